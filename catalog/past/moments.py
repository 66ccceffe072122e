"""Reading as of a moment: what an earlier transaction would have seen, or that nobody knows.

A moment is one of the database's clock. A change counts from the beginning of the transaction that
wrote it, which is what its revision says; it could be read a little later, when that committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import psycopg
from django.db import Error, connection, transaction

from catalog.entities import Entity, entities
from catalog.entities.derived import quoted
from catalog.history import Revision
from catalog.past.views import NOT_KNOWN, SCHEMA, SETTING
from observability.clock import database_now
from observability.errors import ConfigurationError, HubError

#: Rebuilding more than a few thousand rows is no question for a web process.
SECONDS = 15
TOO_MUCH = (
    f"it takes longer than {SECONDS} s to find what this was at that moment: ask for records by their"
    " keys, or by what they belong to"
)
UNDEFINED_TABLE, UNDEFINED_SCHEMA, QUERY_CANCELED = "42P01", "3F000", "57014"


class NotKnownError(HubError):
    """History does not reach back to the moment: it was not kept, or it was taken out."""

    code = "not_known_then"


class FutureError(HubError):
    """The moment has not come."""

    code = "not_yet"


class TooMuchError(HubError):
    """What was asked would have to rebuild too many records."""

    code = "too_much_past"


class Standing(StrEnum):
    """What is known of a record at a moment."""

    THERE = "there"
    NOT_YET = "not yet"
    DELETED = "deleted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Known:
    """How a record stood, and since or until when: a time of its history, if it has any."""

    standing: Standing
    at: datetime | None = None


def known_moment(moment: datetime) -> datetime:
    """The moment, which is not in the future. Raises FutureError."""
    now = database_now()
    if moment > now:
        raise FutureError(f"{moment.isoformat()} is still to come; it is {now.isoformat()}")
    return moment


_moment: ContextVar[datetime | None] = ContextVar("headwater_past", default=None)


def current() -> datetime | None:
    """The moment that the block around reads as of; None where it reads the present."""
    return _moment.get()


@contextmanager
def knowing(moment: datetime) -> Iterator[None]:
    """A block whose statements read entities as they were at the moment. It writes nothing.

    Raises NotKnownError where a record is read whose history does not reach back so far, and
    TooMuchError where the block takes too long.
    """
    former = _moment.set(moment)
    views = ", ".join(f"{SCHEMA}.{quoted(c._meta.db_table)}" for c in entities().values())
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                # They are all there, and stay until the end: without one its table would be read.
                cursor.execute(
                    f"LOCK TABLE {views}, {SCHEMA}.catalog_sameas IN ACCESS SHARE MODE;"
                    "SELECT set_config(%s, %s, true), set_config('search_path', %s, true),"
                    " set_config('statement_timeout', %s, true)",
                    [SETTING, moment.isoformat(), f"{SCHEMA}, public", f"{SECONDS}s"],
                )
            yield
            # The settings end with it, also where another transaction is around this one.
            transaction.set_rollback(True)
    except Error as error:
        if (ours := in_words(error)) is not None:
            raise ours from error
        raise
    finally:
        _moment.reset(former)


def in_words(error: BaseException | None) -> HubError | None:
    """What the database means by an error under `knowing`; None where it means something else."""
    cause = getattr(error, "__cause__", None) or error
    if not isinstance(cause, psycopg.Error):
        return None
    state = cause.diag.sqlstate
    if state == NOT_KNOWN:
        return NotKnownError(str(cause.diag.message_primary))
    if state == QUERY_CANCELED:
        return TooMuchError(TOO_MUCH)
    if state in (UNDEFINED_TABLE, UNDEFINED_SCHEMA):
        return ConfigurationError("the views of the past are missing: run `manage.py migrate`")
    return None


def standing(cls: type[Entity], key: str, moment: datetime) -> Known:
    """How the record with a key stood at a moment."""
    try:
        with knowing(moment):
            return stood(cls._default_manager.filter(pk=key).first(), key, cls)
    except NotKnownError:
        return Known(Standing.UNKNOWN, begins(cls, key))


def stood(past: Entity | None, key: str, cls: type[Entity]) -> Known:
    """The same of a row that was read of the past, with its tombstone; None: there is none."""
    if past is None:
        return Known(Standing.NOT_YET, begins(cls, key))
    if past.deleted_at is not None:
        return Known(Standing.DELETED, past.deleted_at)
    return Known(Standing.THERE)


def begins(cls: type[Entity], key: str) -> datetime | None:
    """When history of a record begins."""
    kept = Revision.objects.filter(key=key, entity=cls.declaration.name)
    return kept.values_list("at", flat=True).order_by("at").first()
