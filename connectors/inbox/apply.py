"""Applies claimed events: one transaction for a batch, in the order of each record's versions.

    read every event ─▶ begin ─▶ fence ─▶ lock and compare ─▶ source records ─▶ merge ─▶ commit

An event that cannot be read has its attempt written down and the others go on. Where the
transaction fails the batch is halved, until the event that is to blame stands alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from catalog.merge import Cause
from connectors.drift.breaches import Broken
from connectors.drift.noticed import report_events
from connectors.inbox.events import BOX, TIME_LIMIT, Event
from connectors.inbox.reread import arrivals_of, put_anew
from connectors.inbox.sentences import DepartureError, Said, Target, Targets
from connectors.models import Message, Stream
from connectors.runtime import wake
from connectors.runtime.apply import apply_said
from connectors.runtime.box import Failure, failure, wait_for_no_disk
from connectors.runtime.deadlocks import despite_deadlocks
from connectors.runtime.limit import TimeLimitError, time_limit
from connectors.runtime.measuring import propagated
from connectors.runtime.prepare import Prepared
from connectors.runtime.retry import RetryPolicy, policy
from connectors.runtime.sweep import tombstone
from observability.context import correlation

log = structlog.get_logger(__name__)

#: A mapping takes microseconds. Alone, an event may take longer before it is given up; not much
#: longer, because those that were interrupted together with a killed worker wait behind it.
SECONDS_TOGETHER, SECONDS_ALONE = 0.5, 1.0

OLDER = "older than what is stored"
SAME = "what it says is stored already"
COVERED = "a newer event of the same record came with it"

# Rows that exist are locked in the order in which pulls lock them; a record that does not exist
# yet is locked by name, so that two workers cannot both believe to be the first.
STORED = """
SELECT p.place, r.version, r.payload_hash, r.deleted_at IS NOT NULL, r.observed_at
FROM unnest(%(sources)s::int[], %(keys)s::text[]) WITH ORDINALITY AS p (source, key, place)
JOIN catalog_sourcerecord r ON r.source_id = p.source AND r.record_key = p.key
ORDER BY r.source_id, r.record_key FOR UPDATE OF r"""

NAMED = """
SELECT pg_advisory_xact_lock(p.source, hashtext(p.key))
FROM (SELECT DISTINCT source, key FROM unnest(%(sources)s::int[], %(keys)s::text[])
      AS p (source, key) ORDER BY 1, 2) AS p"""

# What was gone before it was ever stored has left no tombstone: the inbox remembers it.
GONE = """
SELECT p.place, max(e.asked_at)
FROM unnest(%(connections)s::bigint[], %(streams)s::text[], %(keys)s::text[])
    WITH ORDINALITY AS p (connection, stream, key, place)
JOIN connectors_inboxevent e ON e.record_key = p.key AND e.stream = p.stream
    AND e.connection_id = p.connection AND e.gone AND e.state = 'applied'
GROUP BY 1"""

BACK_TO_FETCH = """
UPDATE connectors_inboxevent SET state = 'received', key_only = true, attempts = attempts - 1,
    finished_at = NULL WHERE id = ANY(%s)"""

SUPERSEDE = """
UPDATE connectors_inboxevent SET state = 'superseded', note = %s WHERE id = ANY(%s)"""

#: Version, hash of the payload, whether it is tombstoned, when it was seen.
Stored = tuple[int, bytes, bool, datetime]


class Applier:
    """Applies batches; keeps what it learned of connections and streams."""

    def __init__(self) -> None:
        self._targets = Targets()
        #: Of one batch: a person may have changed them before the next.
        self._policies: dict[tuple[int, str], RetryPolicy] = {}

    def apply(self, events: Sequence[Event]) -> int:
        """Bring every event to an outcome; the number of those applied or superseded."""
        limit = SECONDS_ALONE if len(events) == 1 else SECONDS_TOGETHER
        self._policies.clear()
        readable, failures, departed, anew = [], [], [], 0
        for event in events:
            try:
                if not event.stream:
                    # Nobody could read it; somebody mended that, and asks for its replay.
                    with time_limit(limit):
                        arrivals = arrivals_of(event)
                    anew += put_anew(event, arrivals) is not None
                    continue
                with time_limit(limit):
                    readable.append(self._targets.of(event).read(event))
            except (OperationalError, InterfaceError):
                raise
            except TimeLimitError as error:
                failures.append(_late(event, error, self._policy(event)))
                # The others waited for it; they shall not lose their lease over it.
                BOX.hold({e.id: e.token for e in events})
            except Exception as error:  # noqa: BLE001 (written down with the event)
                failures.append(self._failed(event, error))
                if isinstance(error, DepartureError):
                    departed.append((event, error.broken))
        done = self._commit(readable, failures)
        BOX.fail(failures)
        if departed or any(said.prepared for said in readable):
            self._report(readable, departed)
        return done + anew

    def _report(self, readable: Sequence[Said], departed: Sequence[tuple[Event, Broken]]) -> None:
        """Drift becomes an incident, in a transaction of its own: it must not hold up any event."""
        found: dict[Target, list[Prepared]] = defaultdict(list)
        for said in readable:
            if said.prepared is not None:
                found[said.target].append(said.prepared)
        for event, broken in departed:
            found[self._targets.of(event)].append(Prepared([event.record_key], broken=[broken]))
        for target, pages in found.items():
            despite_deadlocks(partial(report_events, target.system, target.preparer, pages))

    def _commit(self, said: list[Said], failures: list[Failure]) -> int:
        if not said:
            return 0
        try:
            return despite_deadlocks(lambda: commit(said))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 (written down with the event)
            if len(said) == 1:
                failures.append(self._failed(said[0].event, error))
                return 0
        middle = len(said) // 2
        return self._commit(said[:middle], failures) + self._commit(said[middle:], failures)

    def _failed(self, event: Event, error: Exception) -> Failure:
        with correlation(event.correlation_id or None):
            log.warning(
                "an event could not be applied",
                event_id=event.id,
                stream=event.stream,
                record=event.record_key,
                error=str(error)[:500],
                exc_info=not hasattr(error, "code"),
            )
        return failure(error, event.id, event.token, event.attempts, self._policy(event))

    def _policy(self, event: Event) -> RetryPolicy:
        place = (event.connection_id, event.stream)
        if place not in self._policies:
            row = Stream.objects.filter(connection=place[0], slug=place[1]).first()
            self._policies[place] = policy(row.retry_seconds if row else None)
        return self._policies[place]


def commit(said: Sequence[Said]) -> int:
    """Apply what was read, in one transaction; how many events came to an end."""
    with transaction.atomic():
        wait_for_no_disk()
        mine = BOX.finish({s.event.id: s.event.token for s in said}, Message.State.APPLIED)
        newest, covered = _newest([s for s in said if s.event.id in mine])
        news, outcomes, again = _compare(newest)
        outcomes[COVERED].extend(covered)
        _store(news)
        transaction.on_commit(partial(_measure, news))
        with connection.cursor() as cursor:
            for note, ids in outcomes.items():
                if ids:
                    cursor.execute(SUPERSEDE, [note, ids])
            if again:
                cursor.execute(BACK_TO_FETCH, [again])
                wake.notify(wake.UPSTREAM)
    return len(mine) - len(again)


def _measure(news: Sequence[Said]) -> None:
    """How long the changes took, from when their system dates them."""
    changed: dict[Target, list[datetime]] = defaultdict(list)
    for item in news:
        if item.contributions:
            changed[item.target].append(item.contributions[0].changed_at or item.event.received_at)
    for target, moments in changed.items():
        propagated(target.system, target.spec.slug, moments)


def _newest(said: Iterable[Said]) -> tuple[list[Said], list[int]]:
    """The newest for each record, and the ids of the events that these cover.

    Records are ordered by their versions. That one is gone has no version: it counts from when the
    upstream was asked, and covers what was true before then.
    """
    covered: list[int] = []
    items = sorted(said, key=lambda s: (s.version, s.event.id))
    newest = _last([item for item in items if item.contributions], covered)
    for place, gone in _last([item for item in items if not item.contributions], covered).items():
        record = newest.get(place)
        if record is not None and record.moment > gone.moment:
            covered.append(gone.event.id)
            continue
        if record is not None:
            covered.append(record.event.id)
        newest[place] = gone
    return list(newest.values()), covered


def _last(items: Iterable[Said], covered: list[int]) -> dict[tuple[int, str], Said]:
    """The last one for each record; the ids of the others are added to `covered`.

    Two of the same version that differ cannot be ordered: the later to arrive stands for both,
    and is compared, or fetched, like any other.
    """
    chosen: dict[tuple[int, str], Said] = {}
    for item in items:
        former = chosen.get(item.place)
        if former is not None:
            covered.append(former.event.id)
            tied = former.version == item.version and former.digest != item.digest
            item.unordered = item.unordered or former.unordered or tied
        chosen[item.place] = item
    return chosen


def _compare(said: Sequence[Said]) -> tuple[list[Said], dict[str, list[int]], list[int]]:
    """(what is news, {note: ids that are not}, ids whose record has to be asked for)."""
    stored = _locked(said)
    gone = _gone([item for item in said if item.contributions and item.place not in stored])
    news: list[Said] = []
    outcomes: dict[str, list[int]] = defaultdict(list)
    again: list[int] = []
    for item in said:
        known = stored.get(item.place)
        answered = item.event.asked_at is not None
        if item.unordered and not answered:
            again.append(item.event.id)
        elif known is None and item.moment < gone.get(item.place, item.moment):
            outcomes[OLDER].append(item.event.id)
        elif known is None and item.place in gone and not answered:
            again.append(item.event.id)
        elif known is None or not item.contributions:
            news.append(item)
        elif item.version < known[0] or _overtaken(item, known):
            outcomes[OLDER].append(item.event.id)
        elif known[2] and not answered:
            # It was gone. An event that came since may be late, or tell of a record that is there
            # again: only the upstream knows.
            again.append(item.event.id)
        elif item.version > known[0] or answered:
            news.append(item)
        elif bytes(known[1]) == item.digest:
            outcomes[SAME].append(item.event.id)
        else:
            # As old as what is stored, and different: only the upstream knows.
            again.append(item.event.id)
    return news, outcomes, again


def _overtaken(item: Said, known: Stored) -> bool:
    """Whether a later look decided already where versions do not: it was gone, or says otherwise."""
    version, _, deleted, observed = known
    tied = item.version == version and item.event.asked_at is not None
    return item.moment < observed and (deleted or tied)


def _gone(said: Sequence[Said]) -> dict[tuple[int, str], datetime]:
    """When the upstream was last asked in vain, for records that are not stored."""
    if not said:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            GONE,
            {
                "connections": [item.event.connection_id for item in said],
                "streams": [item.event.stream for item in said],
                "keys": [item.event.record_key for item in said],
            },
        )
        return {said[place - 1].place: asked for place, asked in cursor.fetchall()}


def _locked(said: Sequence[Said]) -> dict[tuple[int, str], Stored]:
    found = _stored([item.place for item in said])
    missing = [item.place for item in said if item.place not in found]
    if missing:
        with connection.cursor() as cursor:
            cursor.execute(NAMED, _places(missing))
        found |= _stored(missing)
    return found


def _stored(places: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Stored]:
    with connection.cursor() as cursor:
        cursor.execute(STORED, _places(places))
        return {places[place - 1]: tuple(rest) for place, *rest in cursor.fetchall()}


def _places(places: Sequence[tuple[int, str]]) -> dict[str, Any]:
    return {"sources": [source for source, _ in places], "keys": [key for _, key in places]}


def _store(news: Sequence[Said]) -> None:
    """Store and merge, stream by stream: each has a contract, and entities, of its own."""
    streams: dict[tuple[int, bool], list[Said]] = defaultdict(list)
    for item in news:
        streams[id(item.target), item.event.asked_at is not None].append(item)
    for (_, answered), items in streams.items():
        _store_stream(items, answered=answered)


def _store_stream(items: Sequence[Said], *, answered: bool) -> None:
    preparer = items[0].target.preparer
    said = [c for item in items for c in item.contributions]
    parents = {k: v for item in items for k, v in (item.parents or {}).items()}
    # A record that an answer holds is there; one that an event holds may be gone by now.
    apply_said(preparer, said, parents, Cause(), present=answered)
    for item in items:
        if not item.contributions:
            told = Cause(event_id=item.event.id, correlation_id=item.event.correlation_id)
            tombstone([item.event.record_key], preparer, told, item.event.asked_at)


def _late(event: Event, error: TimeLimitError, allowed: RetryPolicy) -> Failure:
    # At once, but alone: the first time it may have been a neighbour's fault, or the machine's.
    wait = allowed.wait(event.attempts)
    return Failure(event.id, event.token, TIME_LIMIT, str(error), wait and min(wait, 1.0))
