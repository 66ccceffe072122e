"""What the supervisor sees to between its looks at the workers: a row for each duty, with how often.

None of them may cost the cluster its supervisor. What others have locked is left for later: a worker that
is frozen, only the supervisor can end. What breaks is logged, and tried again when its time comes. Only
that PostgreSQL is away is the supervisor's own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from operator import itemgetter
from time import monotonic

import structlog
from django.db import InterfaceError, OperationalError, connection

from catalog import labels
from catalog.conflict_counts import count_conflicts
from catalog.derived import RENEWED_AT_ONCE, renew_due
from catalog.matching import find as matching
from catalog.overrides import EXPIRED_AT_ONCE, expire_due
from connectors import changing
from connectors.auction.closing import close_due
from connectors.drift import weekly
from connectors.inbox import care as inbox_care
from connectors.outbox import care as outbox_care
from connectors.runtime import bell, circuit, measuring, wake
from connectors.runtime.deadlocks import despite_deadlocks, gave_way
from observability import alerts, metrics, pack, retention, telling

log = structlog.get_logger(__name__)

CARE_SECONDS = 10.0
#: So long it waits for a row that somebody has locked.
LOCK_MILLISECONDS = 1000
LOCKED = "55P03"  # PostgreSQL, Appendix A, "lock_not_available"


@dataclass(frozen=True, slots=True)
class Duty:
    """What is done every so many seconds, and at once again where it says that there is more (True)."""

    name: str
    seconds: float
    work: Callable[[], object]


def probe() -> None:
    """Have upstreams that are down asked whether they are back."""
    for connection_id in circuit.unprobed():
        bell.ring_to_probe(connection_id)


def renew() -> bool:
    """Derive anew some of what the clock has changed; whether there may be more."""
    return _told(despite_deadlocks(renew_due)) >= RENEWED_AT_ONCE


def expire() -> bool:
    """End some of the overrides whose time is over; whether there may be more."""
    return _told(despite_deadlocks(expire_due)) >= EXPIRED_AT_ONCE


def _told(changed: int) -> int:
    if changed:
        # A bell's thread would not live on in the cluster that is forked from here.
        wake.notify(wake.OUTBOX)
    return changed


def prune() -> bool:
    """Let a piece go of what is kept no longer; whether there was something."""
    return retention.prune(contained) > 0


DUTIES = (
    Duty("probe upstreams", CARE_SECONDS, probe),
    Duty("inbox", CARE_SECONDS, inbox_care.look_after),
    Duty("outbox", CARE_SECONDS, outbox_care.look_after),
    Duty("weekly report", CARE_SECONDS, weekly.report_when_due),
    Duty("close lots", CARE_SECONDS, close_due),
    Duty("alerts", CARE_SECONDS, alerts.evaluate),
    Duty("telling", CARE_SECONDS, telling.tell),
    Duty("derived columns", CARE_SECONDS, renew),
    Duty("overrides", CARE_SECONDS, expire),
    # A comparison reads all records of an entity that has one to compare.
    Duty("matching", 30.0, matching.look),
    Duty("labels", 30.0, labels.follow),
    Duty("count conflicts", 60.0, count_conflicts),
    # It reads the history of minutes; an alert that waits for it is to come within one.
    Duty("count changes", 20.0, changing.count_changes),
    # Minutes are judged and rolled up by whoever comes first (`connectors.runtime.measuring`).
    # A stream that was read for the first time is judged soon, though minutes are what is counted.
    Duty("measure", 20.0, measuring.sample),
    Duty("roll up", 300.0, metrics.roll_up),
    # Looking for what is long done reads a whole table where there is nothing to find.
    Duty("prune", 3600.0, prune),
    Duty("incident packs", 0.0, pack.look),
)


class Round:
    """Goes from duty to duty, and knows when each is due again."""

    def __init__(self, duties: tuple[Duty, ...] = DUTIES) -> None:
        self._due = dict.fromkeys(duties, 0.0)

    def go(self, seconds: float = inf) -> None:
        """Do what is due, what has been for longest first, and begin nothing after so many seconds.

        Raises OperationalError or InterfaceError where PostgreSQL is away.
        """
        began = monotonic()
        for duty, due in sorted(self._due.items(), key=itemgetter(1)):
            now = monotonic()
            if due > now or now - began > seconds:
                return
            self._due[duty] = now + duty.seconds
            with contained(duty.name):
                if duty.work() is True:
                    self._due[duty] = now


@contextmanager
def contained(name: str) -> Iterator[None]:
    """Whatever is met within is logged, and ends nothing else. Raises what `Round.go` raises."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")
    try:
        yield
    except OperationalError as error:
        if not (gave_way(error) or getattr(error.__cause__, "sqlstate", None) == LOCKED):
            raise
        said = str(error).strip()
        log.warning("somebody holds a lock for long; looked after later", duty=name, error=said)
    except InterfaceError:
        raise
    except Exception:
        log.exception("a duty broke", duty=name)
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
