"""How long what is kept: one declared line for each kind of data, by its class.

Every floor declares its own (`declare`, in AppConfig.ready), and nothing is let go of in any other way: a
piece at a time, by the supervisor. `HEADWATER_RETENTION` (`personal_history=180`) changes how long those
are kept that say so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from observability.errors import ConfigurationError

#: Rows that go at once: a piece is a transaction.
PIECE = 5000

BY_AGE = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT m.ctid FROM {table} m
    WHERE m.{column} < now() - make_interval(days => %(days)s) AND {only}
    LIMIT %(piece)s))"""

# Ids rise with time, near enough: looking at the oldest alone never reads the table to its end.
OF_A_JOURNAL = """
DELETE FROM {table} WHERE id IN (
    SELECT id FROM (SELECT id, at FROM {table} ORDER BY id LIMIT %(piece)s) AS oldest
    WHERE at < now() - make_interval(days => %(days)s) OR id < (SELECT max(id) FROM {table}) - {most})"""


@dataclass(frozen=True, slots=True)
class Kept:
    """One line. `prune(days)` lets go of some rows, about `PIECE`, and says how many.

    `can_be_set`: whether nothing else goes by how long it is kept, `least` days.
    """

    slug: str
    what: str
    data_class: str
    usual_days: int
    how: str
    prune: Callable[[int], int]
    can_be_set: bool = False
    least: int = 1

    @property
    def days(self) -> int:
        """How long, as it is set."""
        return int(settings.HEADWATER_RETENTION.get(self.slug, self.usual_days))


_declared: dict[str, Kept] = {}


def declare(*lines: Kept) -> None:
    """Add lines; one that is there already is replaced."""
    _declared.update({line.slug: line for line in lines})


def declared() -> list[Kept]:
    """All lines, by class and name."""
    return sorted(_declared.values(), key=lambda line: (line.data_class, line.slug))


def check() -> None:
    """Raises ConfigurationError where a setting names no line that can be set, or no sensible time."""
    can = {line.slug: line.least for line in declared() if line.can_be_set}
    for slug, days in settings.HEADWATER_RETENTION.items():
        if slug not in can:
            raise ConfigurationError(
                f"HEADWATER_RETENTION names {slug!r}; what can be set is {', '.join(sorted(can))}"
            )
        if days < can[slug]:
            raise ConfigurationError(
                f"HEADWATER_RETENTION: {slug} is kept for {can[slug]} days at least, not {days}"
            )


def prune(each: Callable[[str], AbstractContextManager[object]] = nullcontext) -> int:
    """Let a piece of each line go, within `each(its slug)`; how many rows. Raises django.db.Error."""
    pruned = 0
    # What refers to something is declared before it, and goes before it.
    for line in _declared.values():
        with each(line.slug):
            pruned += line.prune(line.days)
    return pruned


def by_age(table: str, column: str, only: str = "true") -> Callable[[int], int]:
    """Deletes rows of which a date or time is past for as many days. `only`: SQL about the row, `m`."""
    return deleting(BY_AGE.format(table=table, column=column, only=only))


def of_a_journal(table: str, most: int) -> Callable[[int], int]:
    """Deletes rows (with `id` and `at`) that are older, or not among so many of the last."""
    return deleting(OF_A_JOURNAL.format(table=table, most=most))


def deleting(statement: str) -> Callable[[int], int]:
    """Runs a statement that lets go of at most `%(piece)s` rows that are older than `%(days)s`."""

    def prune(days: int) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"days": days, "piece": PIECE})
            return int(cursor.rowcount)

    return prune
