"""The steps of runbooks that the console can take: each says first what it would do, and asks.

A runbook names a step as `[[resync]]`. A step is about the stream, the connection or the subscriber
that the incident names; where it names none, or there is nothing to do, it says so instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from django.db.models.functions import Now
from django.http import HttpRequest

from catalog.notices import purge_all
from connectors.admin.asking import ASK, who
from connectors.admin.connections import TEST_TIMEOUT_SECONDS
from connectors.drift.aliases import DAYS, accept, replay
from connectors.drift.detective import Candidate
from connectors.drift.runbook import likely_of
from connectors.drift.stopping import resume as resume_stream
from connectors.drift.stopping import stop
from connectors.models import Breaker, Connection, Stream, Subscriber, SyncRun
from connectors.replay.boxes import BOXES
from connectors.replay.chosen import Chosen
from connectors.runtime import queue, wake
from connectors.runtime.pause import resume as unpause
from connectors.runtime.probe import first_page, probe
from observability import incidents
from observability.incidents import Incident
from observability.silences import Silence

HOUR = timedelta(hours=1)
#: Beyond asking for runs: to call a system, or a subscriber, again.
BREAK, TELL = "connectors.change_breaker", "connectors.change_outboxcommand"


class NothingToDoError(Exception):
    """Why a step is none for this incident."""


@dataclass(frozen=True, slots=True)
class Step:
    """`dry` says in a sentence what it would do to an incident; `run` does it, and says what it did.

    Both raise NothingToDoError; `run` HubError too.
    """

    title: str
    permission: str
    dry: Callable[[Incident], str]
    run: Callable[[Incident, HttpRequest], str]


def stream_of(row: Incident) -> Stream:
    """The stream that an incident is about. Raises NothingToDoError."""
    found = Stream.objects.select_related("connection").filter(
        connection__slug=row.system, slug=row.stream
    )
    if stream := found.first():
        return stream
    raise NothingToDoError("This incident is about no stream that there is.")


def connection_of(row: Incident) -> Connection:
    """The connection that an incident is about. Raises NothingToDoError."""
    if found := Connection.objects.filter(slug=row.system).first():
        return found
    raise NothingToDoError("This incident is about no connection that there is.")


def _subscriber_of(row: Incident) -> Subscriber:
    if found := Subscriber.objects.filter(slug=row.system).first():
        return found
    raise NothingToDoError("This incident is about no subscriber that there is.")


# --- the incident itself ----------------------------------------------------------------------------


def _acknowledging(row: Incident) -> str:
    if row.acknowledged_at or row.resolved_at:
        raise NothingToDoError("It is acknowledged, or resolved, already.")
    return "Say that you look after it: nobody else is told, and it does not escalate."


def _acknowledge(row: Incident, request: HttpRequest) -> str:
    incidents.acknowledge(Incident.objects.filter(pk=row.pk), who(request))
    return "You look after it."


def _silencing(row: Incident) -> str:
    if row.resolved_at:
        raise NothingToDoError("It is resolved.")
    return (
        f"Tell nobody of {row.kind.replace('_', ' ')} at {row.place} for an hour. What is still"
        " wrong then is told then; reads are not marked."
    )


def _silence(row: Incident, request: HttpRequest) -> str:
    Silence.objects.create(
        system=row.system, stream=row.stream, kind=row.kind, until=Now() + HOUR,
        maintenance=False, reason=f"asked for on incident {row.pk}", made_by=who(request),
    )  # fmt: skip
    incidents.look_after()
    return "Nobody is told for an hour."


# --- its stream -------------------------------------------------------------------------------------


def _pausing(row: Incident) -> str:
    stream = stream_of(row)
    if stream.stopped_at is not None:
        raise NothingToDoError(f"{stream} is stopped already.")
    return (
        f"Stop {stream}: nothing of it is read or applied until somebody resumes it. Its checkpoint"
        " stays; its values grow old."
    )


def _pause(row: Incident, request: HttpRequest) -> str:
    stream = stream_of(row)
    stop(stream, f"paused by {who(request)}")
    return f"{stream} is stopped."


def _resuming(row: Incident) -> str:
    stream = stream_of(row)
    if stream.stopped_at is None:
        raise NothingToDoError(f"{stream} is not stopped.")
    return f"Read {stream} on from its checkpoint, and apply its events that wait."


def _resume(row: Incident, request: HttpRequest) -> str:
    stream = stream_of(row)
    resume_stream(stream)
    return _asked(queue.ask(stream, queue.natural_kind(stream), asked_by=who(request)))


def _asking(kind: str, sentence: str) -> tuple[Callable[..., str], Callable[..., str]]:
    """`dry` and `run` of a step that asks for a run; an empty kind: as a schedule would."""

    def dry(row: Incident) -> str:
        return sentence.format(stream_of(row))

    def run(row: Incident, request: HttpRequest) -> str:
        stream = stream_of(row)
        return _asked(queue.ask(stream, kind or queue.natural_kind(stream), asked_by=who(request)))

    return dry, run


def _asked(run: SyncRun) -> str:
    return f"Asked for: {run}."


def _replaying_held(row: Incident) -> str:
    stream = stream_of(row)
    held = stream.quarantine.count()
    if not held:
        raise NothingToDoError(f"{stream} holds nothing in quarantine.")
    return (
        f"Try {held:,} records that {stream} holds again, by the contract, mapping and policies of"
        " today. What still breaks its contract stays held."
    )


def _replay_held(row: Incident, request: HttpRequest) -> str:
    return _asked(replay(stream_of(row), by=who(request)))


def _alias(row: Incident) -> tuple[Stream, Candidate]:
    stream = stream_of(row)
    likely = likely_of(row, stream)
    if likely is None:
        raise NothingToDoError("No member is known that could stand for one that is missing.")
    return stream, likely


def _accepting(row: Incident) -> str:
    stream, likely = _alias(row)
    return (
        f"Read {likely.path} of {stream} as {likely.member} for {DAYS} days ({likely.text}), and"
        " try what is held again."
    )


def _accept(row: Incident, request: HttpRequest) -> str:
    stream, likely = _alias(row)
    alias = accept(stream, likely.path, likely.member, by=who(request), evidence=likely.text)
    return f"{alias.path} is read as {alias.renamed} for {DAYS} days."


# --- its system -------------------------------------------------------------------------------------


def _probing(row: Incident) -> str:
    connection = connection_of(row)
    if not Breaker.objects.filter(connection=connection).exclude(state="closed").exists():
        raise NothingToDoError(
            f"The breaker of {connection.slug} is closed: it is called as usual."
        )
    return (
        f"Ask {connection.slug} for one page now, and close the breaker if it answers. What waited"
        " goes out at once then."
    )


def _probe(row: Incident, request: HttpRequest) -> str:
    connection = connection_of(row)
    if not connection.circuit_breaker.probe_by(who(request)):
        return f"{connection.slug} is called as usual already."
    # A person waits for the answer.
    connection.timeout_seconds = min(connection.timeout_seconds, TEST_TIMEOUT_SECONDS)
    if probe(connection):
        return f"{connection.slug} answers, and is called again."
    reason = Breaker.objects.get(pk=connection.pk).reason
    return f"{connection.slug} is still down: {reason}."


def _testing(row: Incident) -> str:
    return f"Read the first page of {connection_of(row).slug}; nothing is stored."


def _test(row: Incident, _request: HttpRequest) -> str:
    connection = connection_of(row)
    connection.timeout_seconds = min(connection.timeout_seconds, TEST_TIMEOUT_SECONDS)
    found = first_page(connection)
    unpause(connection.pk)
    said = f"{len(found[1].records)} records of {found[0].slug}" if found else "it has no stream"
    return f"{connection.slug} answers: {said}. It is asked again at once."


# --- its messages -----------------------------------------------------------------------------------


def letters_of(row: Incident) -> tuple[str, Chosen]:
    """The box and the dead letters that an incident is about. Raises NothingToDoError."""
    for name in (row.subject, *BOXES) if row.subject in BOXES else BOXES:
        box = BOXES[name]
        for place in (one for one in ("connection", "subscriber", "channel") if one in box.places):
            words = {place: row.system, **({"stream": row.stream} if row.stream else {})}
            if row.system and box.dead(Chosen(places=words)).exists():
                return name, Chosen(places=words)
    raise NothingToDoError(f"{row.place} has no dead letters.")


def _replaying(row: Incident) -> str:
    name, chosen = letters_of(row)
    count = BOXES[name].dead(chosen).count()
    causes = "; ".join(
        f"{one.count:,} × {one.code}: {one.error[:120]}" for one in BOXES[name].causes(chosen, 3)
    )
    return (
        f"Put {count:,} dead letters of {row.place} back into the {name}, where they are tried again"
        f" from the first attempt on. They died of: {causes}."
    )


def _replay(row: Incident, request: HttpRequest) -> str:
    name, chosen = letters_of(row)
    return f"{BOXES[name].replay(chosen, who(request)):,} are tried again."


def _switching(row: Incident) -> str:
    subscriber = _subscriber_of(row)
    if subscriber.enabled and not subscriber.failures:
        raise NothingToDoError(f"{subscriber} is switched on, and takes its calls.")
    return f"Call {subscriber} again from now on. What was given up meanwhile stays a dead letter."


def _switch_on(row: Incident, _request: HttpRequest) -> str:
    subscriber = _subscriber_of(row)
    subscriber.enabled = True
    subscriber.forgive()
    subscriber.save()
    wake.notify(wake.OUTBOX)
    return f"{subscriber} is called again."


def _purging(_row: Incident) -> str:
    return (
        "Drop all kept answers: in every web process, in Redis, and at the frontends and CDNs that"
        " subscribe to purges. Reads are slower until they are kept anew."
    )


def _purge(_row: Incident, _request: HttpRequest) -> str:
    purge_all()
    wake.CHANGES.ring()
    return "Every cache is told to drop everything."


_RESYNC = _asking("", "Ask for a run of {}: it reads what changed since its checkpoint.")
_FULL = _asking(
    SyncRun.Kind.FULL,
    "Ask for a full refresh of {}: it reads everything, and tombstones what is gone upstream; the"
    " guard against mass deletes holds.",
)
_RECONCILE = _asking(
    SyncRun.Kind.RECONCILE,
    "Ask for a reconciliation of {}: all its records are compared with the upstream, slowly, and"
    " what was missed is healed.",
)
_REMAP = _asking(
    SyncRun.Kind.REMAP,
    "Ask for a remap of {}: its entities are derived again from what is stored; nobody is called.",
)

STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "acknowledge": Step(
            "Acknowledge", "observability.change_incident", _acknowledging, _acknowledge
        ),
        "silence": Step("Silence for 1 h", "observability.add_silence", _silencing, _silence),
        "pause": Step("Pause the stream", ASK, _pausing, _pause),
        "resume": Step("Resume the stream", ASK, _resuming, _resume),
        "resync": Step("Resync", ASK, *_RESYNC),
        "full_refresh": Step("Full refresh", ASK, *_FULL),
        "reconcile": Step("Reconcile", ASK, *_RECONCILE),
        "remap": Step("Remap", ASK, *_REMAP),
        "replay_held": Step("Replay the quarantine", ASK, _replaying_held, _replay_held),
        "accept_alias": Step(
            "Accept the alias", "connectors.change_fieldalias", _accepting, _accept
        ),
        "probe": Step("Probe the breaker", BREAK, _probing, _probe),
        "test": Step("Test the connection", BREAK, _testing, _test),
        "replay": Step(
            "Replay its dead letters", "connectors.change_inboxevent", _replaying, _replay
        ),
        "switch_on": Step("Switch the subscriber on", TELL, _switching, _switch_on),
        "purge": Step("Purge all caches", TELL, _purging, _purge),
    }
)
