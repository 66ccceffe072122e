"""The resident workers of the inbox.

Two *appliers* work through events whose record is at hand; the first takes everything, the
second besides that what may be poisonous, one at a time, so that a message that kills its worker
does not stop the rest. One *asker* fetches records, a thread for each upstream that is asked.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import monotonic

import structlog
from django.db import connection

from connectors.inbox import events, fetch
from connectors.inbox.apply import Applier
from connectors.runtime import wake

log = structlog.get_logger(__name__)

#: A drain looks by itself when nobody has rung for this long.
LOOK_SECONDS = 1.0
SWEEP_SECONDS = 2.0
#: The second applier leaves the first a moment, so that most batches are whole.
ASKING_THREADS = 16
#: How many records one upstream is asked for at once; its rate limit holds for all of them.
LANES = 4
#: For most calls that is enough to come to an end.
LEAVING_SECONDS = 2.0


def apply_events(until: float, *, careful: bool) -> None:
    """Apply events as they come, until `until` (time.monotonic seconds) or a stop."""
    ear, applier, swept = wake.Ear([wake.INBOX]), Applier(), 0.0
    try:
        while monotonic() < until and not wake.stopping():
            if monotonic() - swept > SWEEP_SECONDS:
                events.BOX.release_expired()
                swept = monotonic()
            alone = events.claim_alone() if careful else []
            batch = alone or events.claim_batch()
            if batch:
                applier.apply(batch)
                wake.CHANGES.ring()
            else:
                ear.wait(LOOK_SECONDS)
    finally:
        ear.close()


def ask_upstreams(until: float) -> None:
    """Fetch what events only named, until `until` (time.monotonic seconds) or a stop."""
    ear = wake.Ear([wake.UPSTREAM])
    # The post has one holder, so what is claimed now was left by one that ended. Its leases are
    # long, as a call's time-out is.
    events.BOX.release_expired(events.ASKED)
    asked: dict[tuple[int, int], Future[None]] = {}
    pool = ThreadPoolExecutor(ASKING_THREADS, "asker")
    try:
        while monotonic() < until and not wake.stopping():
            for pk, events_due in fetch.due_connections():
                for lane in range(min(LANES, 1 + events_due // fetch.BATCH)):
                    if (pk, lane) not in asked or asked[pk, lane].done():
                        asked[pk, lane] = pool.submit(_ask, pk)
            ear.wait(LOOK_SECONDS)
        # Whoever comes next to this post lets go of what is claimed still, and shall not have to
        # wait for an upstream that does not answer.
        wait(asked.values(), LEAVING_SECONDS)
    finally:
        ear.close()
        pool.shutdown(wait=False, cancel_futures=True)


def _ask(connection_id: int) -> None:
    try:
        while fetch.fetch_batch(connection_id) and not wake.stopping():
            pass
    except Exception:
        log.exception("asking an upstream broke; the leases bring its events back")
    finally:
        # Idle threads hold no connections.
        connection.close()
