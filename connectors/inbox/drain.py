"""The resident workers of the inbox.

Three *appliers* work through events whose record is at hand. The first is rung for; the others look
by themselves, and go on while they find something: what one can do alone, three would only look
for. The third takes besides that what may be poisonous, one at a time, so that a message that kills its
worker does not stop the rest. One *asker* fetches records, a thread for each upstream that is asked.
"""

from __future__ import annotations

from functools import partial
from time import monotonic

from connectors.inbox import events, fetch
from connectors.inbox.apply import Applier
from connectors.runtime import wake
from connectors.runtime.called import Called

#: A drain looks by itself when nobody has rung for this long.
LOOK_SECONDS = 1.0
SWEEP_SECONDS = 2.0
#: How often an applier looks who is not rung for.
HELP_SECONDS = 0.5
ASKING_THREADS = 16
#: How many records one upstream is asked for at once; its rate limit holds for all of them.
LANES = 4
#: For most calls that is enough to come to an end.
LEAVING_SECONDS = 2.0


def apply_events(until: float, *, first: bool = False, careful: bool = False) -> None:
    """Apply events as they come, until `until` (time.monotonic seconds) or a stop."""
    ear, applier, swept = wake.Ear([wake.INBOX] if first else []), Applier(), 0.0
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
                ear.wait(LOOK_SECONDS if first else HELP_SECONDS)
    finally:
        ear.close()


def ask_upstreams(until: float) -> None:
    """Fetch what events only named, until `until` (time.monotonic seconds) or a stop."""
    ear = wake.Ear([wake.UPSTREAM])
    # The post has one holder, so what is claimed now was left by one that ended. Its leases are
    # long, as a call's time-out is.
    events.BOX.release_expired(events.ASKED)
    called = Called(ASKING_THREADS, "asker")
    try:
        while monotonic() < until and not wake.stopping():
            while events.dismiss_echoes() == events.BATCH:
                pass
            for pk, events_due in fetch.due_connections():
                for lane in range(min(LANES, 1 + events_due // fetch.BATCH)):
                    called.call((pk, lane), partial(_ask, pk))
            ear.wait(LOOK_SECONDS)
    finally:
        ear.close()
        # Whoever comes next to this post lets go of what is claimed still, and shall not have to
        # wait for an upstream that does not answer.
        called.close(LEAVING_SECONDS)


def _ask(connection_id: int) -> bool:
    return fetch.fetch_batch(connection_id) > 0
