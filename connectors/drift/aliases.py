"""An alias is accepted, or ended: and what was held for want of it is tried again."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from connectors.drift.members import names_member, used_members
from connectors.drift.renaming import beside
from connectors.drift.report import KIND
from connectors.inbox.letters import INBOX
from connectors.models import FieldAlias, MemberChange, Stream, SyncRun
from connectors.replay.chosen import Chosen
from connectors.runtime import queue
from connectors.runtime.remap import HELD
from observability.errors import ConfigurationError, ContractError
from observability.incidents import Incident

#: So long the connector's code may take to follow.
DAYS = 30


def accept(
    stream: Stream, path: str, renamed: str, *, by: str, evidence: str = "", days: int = DAYS
) -> FieldAlias:
    """Read a member under its new name from now on, and replay what was held.

    Raises ConfigurationError for a member that the stream does not read, and for a name that its
    contract has already.
    """
    spec = stream.spec
    if path not in {*used_members(spec), *spec.record_key} and not names_member(spec, path):
        raise ConfigurationError(f"{stream} reads no member {path!r}", stream=spec.slug)
    if not renamed or names_member(spec, beside(path, renamed)):
        raise ConfigurationError(
            f"{renamed!r} cannot stand for {path}: the contract of {stream} has a member of that"
            " name already; change the mapping instead",
            stream=spec.slug,
        )
    with transaction.atomic():
        FieldAlias.objects.filter(stream=stream, path=path, ended_at=None).update(
            ended_at=Now(), ended_because=f"{renamed} was accepted in its place"
        )
        alias = FieldAlias.objects.create(
            stream=stream, path=path, renamed=renamed, evidence=evidence, accepted_by=by,
            until=Now() + timedelta(days=days),
        )  # fmt: skip
        alias.refresh_from_db()
        changes = MemberChange.objects.filter(stream=stream)
        # What passed without the member lost its value: it is derived again too.
        everything = changes.filter(path=path, change=MemberChange.Change.VANISHED).exists()
        tolerated = Incident.objects.filter(
            kind=KIND, system=stream.connection.slug, stream=stream.slug, resolved_at=None,
            details__path=path, details__action__in=("drop", "accept"),
        )  # fmt: skip
        replay(stream, by=by, everything=everything or tolerated.exists())
        changes.filter(path__in=(path, beside(path, renamed))).delete()
        queue.ask(stream, queue.natural_kind(stream), asked_by=by)
    return alias


def end(alias: FieldAlias, by: str) -> None:
    """Read the member by its old name again."""
    FieldAlias.objects.filter(pk=alias.pk, ended_at=None).update(
        ended_at=Now(), ended_because=f"ended by {by}"
    )


def replay(stream: Stream, *, by: str, everything: bool = False) -> SyncRun:
    """Try again what the stream holds: its quarantine, and its events that died of the contract.

    `everything`: what is stored is derived again as well.
    """
    run = queue.ask(stream, SyncRun.Kind.REMAP, asked_by=by)
    if not everything and run.cursor is None:
        only = SyncRun.objects.filter(pk=run.pk, state=SyncRun.State.QUEUED, asked_by=by)
        only.filter(cursor=None).update(cursor=f"{HELD}0")
    places = {"connection": stream.connection.slug, "stream": stream.slug}
    INBOX.replay(Chosen(places=places, code=ContractError.code), by)
    return run
