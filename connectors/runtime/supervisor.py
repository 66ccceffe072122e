"""Keeps the django-q cluster honest: schedules, mans its posts, and replaces it when it hangs.

A killed worker can take the cluster's shared queue lock with it and leave every other worker
waiting for good, with all processes alive. So liveness is judged by the work: when runs wait
though workers should be free, when a post stays empty though somebody was called, or when due
events find no end, the cluster's whole process group is replaced.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from types import FrameType
from typing import NoReturn

import structlog
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import OperationalError, close_old_connections, connection, connections

from catalog import labels, rule_changes
from catalog.conflict_counts import count_conflicts, prune_counts
from catalog.conflicts import prune_conflicts
from catalog.derived import RENEWED_AT_ONCE, renew_due
from catalog.matching import find as matching
from catalog.notices import prune_notices
from catalog.overrides import EXPIRED_AT_ONCE, expire_due
from connectors import changing
from connectors.auction.closing import close_due
from connectors.commands import ledger
from connectors.drift import weekly
from connectors.inbox import care as inbox_care
from connectors.inbox import events
from connectors.outbox import care as outbox_care
from connectors.outbox import commands, receipts
from connectors.runtime import bell, circuit, deploys, measuring, posts, queue, wake
from connectors.runtime.deadlocks import despite_deadlocks
from observability import (
    alerts,
    calls,
    incidents,
    metrics,
    pack,
    received,
    refusals,
    retention,
    starts,
    telling,
)

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
RING_EVERY_SECONDS = 2.0
#: A post is empty while its events wait, so it is looked after more often.
POST_LOOKS_A_TICK = 4
CALL_EVERY_SECONDS = 1.0
#: Work that has waited this long beside a free worker means that the cluster hangs.
STALL_SECONDS = 8.0
#: So long a cluster may take to start on a busy machine. It is judged once its first worker has
#: come to a post, and at the latest after this time.
STARTING_SECONDS = 30.0
CARE_SECONDS = 10.0
#: A worker that applies ownership rules may take a while; another one beside it does no harm.
RULES_EVERY_SECONDS = 5.0
#: Looking for what is long done reads a whole table where there is nothing to find.
PRUNE_SECONDS = 3600.0
#: A comparison reads all records of an entity that has one to compare.
MATCH_SECONDS = 30.0
COUNT_SECONDS = 60.0
#: Minutes are judged and rolled up by whoever comes first (`connectors.runtime.measuring`).
SAMPLE_SECONDS, ROLL_UP_SECONDS = 60.0, 300.0
#: So long it waits for a row that somebody has locked.
LOCK_MILLISECONDS = 1000
LOCKED = "55P03"  # PostgreSQL, Appendix A, "lock_not_available"
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.02

BUSY = "SELECT count(*) FROM connectors_syncrun WHERE state = 'running' AND lease_until >= now()"


class Cluster:
    """One `manage.py qcluster` and all its children: a session of their own.

    It is forked, not started: this process has loaded what it needs, and on a busy machine loading
    it again takes longer than everything else about a replacement.

    They inherit the reading end of a pipe. When it ends they come to an end too: the drains, which
    would otherwise keep their workers for minutes, look at it.
    """

    def __init__(self) -> None:
        self._ended = True
        self._start()

    def _start(self) -> None:
        inherited, self._stop_pipe = os.pipe()
        # A database session cannot be shared, and what stdout still holds would be written twice.
        connections.close_all()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._stop_pipe)
            _be_the_cluster(parent, inherited)
        os.close(inherited)
        self._ended = False
        self.started = monotonic()

    def ended(self) -> bool:
        """Whether the cluster's main process runs no more."""
        if not self._ended:
            self._ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
        return self._ended

    def stop(self, grace: float) -> None:
        """End the main process in order, and whatever is left of its group by force."""
        os.close(self._stop_pipe)
        if grace and not self.ended():
            os.kill(self._pid, signal.SIGTERM)
            deadline = monotonic() + grace
            while not self.ended() and monotonic() < deadline:
                sleep(LOOK_SECONDS)
            if not self.ended():
                log.warning("the cluster does not stop; it is killed")
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        if not self.ended():
            # Just forked, it has no group yet.
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._ended = True

    def replace(self) -> None:
        """Kill everything and start afresh; leases bring the interrupted runs back."""
        self.stop(grace=0)
        self._start()


def _be_the_cluster(parent: int, stop_descriptor: int) -> NoReturn:
    """The child's part: never returns into the supervisor's code."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _die_with_parent()
        # The parent may have died before the request to be told.
        if os.getppid() == parent:
            os.environ[wake.STOP_VARIABLE] = str(stop_descriptor)
            call_command("qcluster")
            # What the interpreter would do at its end, which this process does not come to.
            for child in multiprocessing.active_children():
                child.join()
            code = 0
    except Exception:
        log.exception("the cluster broke")
    finally:
        os._exit(code)


class Supervisor:
    """Runs until SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._stopping = False
        self._database_down = False
        self._rung = 0.0
        self._runs_wait_since: float | None = None
        self._cared = self._renew_at = self._match_at = self._prune_at = self._count_at = 0.0
        self._sample_at = self._roll_up_at = 0.0
        self._rung_for_rules = 0.0
        self._came_up = False
        #: Whether this start is written down, and why the cluster was replaced since.
        self._start_noted = False
        self._replaced: list[str] = []
        #: When somebody was first called to a post that is empty still.
        self._called: dict[str, float] = {}
        self._rung_for: dict[str, float] = {}
        #: The event that is next, and since when it has been.
        self._oldest: tuple[int, float] | None = None

    def run(self) -> None:
        """Start the cluster and look after it."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        cluster = Cluster()
        try:
            while not self._stopping:
                self._tick(cluster)
                self._rest()
        finally:
            cluster.stop(STOP_SECONDS)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _rest(self) -> None:
        """Until the next tick; a post that falls empty meanwhile does not stay so for long."""
        for _ in range(POST_LOOKS_A_TICK):
            sleep(TICK_SECONDS / POST_LOOKS_A_TICK)
            if not self._stopping and not self._database_down:
                # What is wrong with the database the next tick says.
                with suppress(DatabaseError):
                    self._man_posts()

    def _tick(self, cluster: Cluster) -> None:
        if cluster.ended():
            log.warning("the cluster ended; it is started again")
            self._replace(cluster, "it ended")
        try:
            close_old_connections()
            self._note_starts()
            queue.schedule_due()
            queue.schedule_reconciliations()
            hangs = self._man_posts() or self._ring_for_runs() or self._events_stand_still()
            if frozen := posts.frozen():
                hangs = f"the holder of {frozen[0]} does nothing"
            if monotonic() - self._cared > CARE_SECONDS:
                self._cared = monotonic()
                _look_after()
            if monotonic() > self._renew_at:
                self._renew_at = monotonic() + (TICK_SECONDS if _renewed() else CARE_SECONDS)
            if monotonic() > self._match_at:
                self._match_at = monotonic() + MATCH_SECONDS
                with _impatient():
                    matching.look()
                    labels.follow()
            self._ring_for_rules()
            self._now_and_then()
            with _impatient():
                pack.look()
        except DatabaseError as error:
            if not self._database_down:
                log.warning("the database does not answer; waiting for it", error=str(error))
            self._database_down = True
            self._called.clear()
            connection.close()
            return
        self._database_down = False
        if hangs and (self._came_up or monotonic() - cluster.started > STARTING_SECONDS):
            log.warning("the cluster is replaced", because=hangs)
            self._replace(cluster, hangs)

    def _note_starts(self) -> None:
        if not self._start_noted:
            deploys.note_start()
            self._start_noted = True
        while self._replaced:
            deploys.note_replaced(self._replaced[0])
            del self._replaced[0]

    def _now_and_then(self) -> None:
        if monotonic() > self._count_at:
            self._count_at = monotonic() + COUNT_SECONDS
            with _impatient():
                count_conflicts()
        if monotonic() > self._sample_at:
            self._sample_at = monotonic() + SAMPLE_SECONDS
            with _impatient():
                measuring.sample()
        if monotonic() > self._roll_up_at:
            self._roll_up_at = monotonic() + ROLL_UP_SECONDS
            with _impatient():
                metrics.roll_up()
        if monotonic() > self._prune_at:
            self._prune_at = monotonic() + (TICK_SECONDS if _pruned() else PRUNE_SECONDS)

    def _replace(self, cluster: Cluster, because: str) -> None:
        self._replaced.append(because)
        self._called.clear()
        self._rung_for.clear()
        self._came_up = False
        self._oldest = None
        cluster.replace()

    def _man_posts(self) -> str:
        """Call somebody to every empty post; why the cluster seems to hang, if it does."""
        now, vacant = monotonic(), posts.vacant()
        self._came_up = self._came_up or len(vacant) < len(posts.POSTS)
        self._called = {post: self._called.get(post, now) for post in vacant}
        for post in vacant:
            if now - self._rung_for.get(post, 0.0) > CALL_EVERY_SECONDS:
                self._rung_for[post] = now
                bell.ring_for(post)
        waited = max((now - since for since in self._called.values()), default=0.0)
        return "nobody comes to a post" if waited > STALL_SECONDS else ""

    def _ring_for_runs(self) -> str:
        waiting, seconds = queue.due()
        idle = posts.PULLERS - self._busy()
        if not waiting or idle <= 0:
            self._runs_wait_since = None
            return ""
        # A run that waited long for its turn, and not for a worker, is no sign of a hang.
        self._runs_wait_since = self._runs_wait_since or monotonic()
        seconds = min(seconds, monotonic() - self._runs_wait_since)
        if monotonic() - self._rung > RING_EVERY_SECONDS:
            self._rung = monotonic()
            for _ in range(min(idle, waiting)):
                bell.ring()
        return "runs wait beside free workers" if seconds > STALL_SECONDS else ""

    def _ring_for_rules(self) -> None:
        if monotonic() - self._rung_for_rules > RULES_EVERY_SECONDS and rule_changes.waiting():
            self._rung_for_rules = monotonic()
            bell.ring_for_rules()

    def _events_stand_still(self) -> str:
        """The oldest is claimed first: if it stays the same, nobody claims (a frozen worker)."""
        oldest = events.oldest()
        if oldest is None or self._oldest is None or oldest[0] != self._oldest[0]:
            self._oldest = oldest and (oldest[0], monotonic())
            return ""
        stuck = monotonic() - self._oldest[1] > STALL_SECONDS
        return "events wait beside a manned post" if stuck else ""

    def _busy(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute(BUSY)
            return int(cursor.fetchone()[0])


def _look_after() -> None:
    for connection_id in circuit.unprobed():
        bell.ring_to_probe(connection_id)
    inbox_care.look_after()
    outbox_care.look_after()
    with _impatient():
        weekly.report_when_due()
        close_due()
        changing.count_changes()
    with _impatient():
        alerts.evaluate()
        telling.tell()


def _renewed() -> bool:
    """Derive anew some of what the clock has changed, overrides among it; whether there may be more."""
    found = expired = 0
    with _impatient():
        found, expired = despite_deadlocks(renew_due), despite_deadlocks(expire_due)
    if found or expired:
        # A bell's thread would not live on in the cluster that is forked from here.
        wake.notify(wake.OUTBOX)
    return found >= RENEWED_AT_ONCE or expired >= EXPIRED_AT_ONCE


@contextmanager
def _impatient() -> Iterator[None]:
    """Leave for later what others have locked: a worker that is frozen, only we can end."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")
        yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != LOCKED:
            raise
        log.warning("somebody holds a lock for long; looked after later", error=str(error).strip())
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


def _pruned() -> bool:
    """Delete a piece of what is long done; whether there was something."""
    pruned = [events.BOX.prune(), commands.BOX.prune(), receipts.prune(), prune_notices()]
    pruned.append(ledger.prune())
    with _impatient():
        pruned.append(retention.prune())
        pruned += [incidents.prune(), weekly.prune(), prune_conflicts(), prune_counts()]
        pruned += [calls.prune(), received.prune()]
    pruned += [starts.prune(), refusals.prune(), changing.prune_changes(), metrics.prune()]
    return any(pruned)


def _die_with_parent() -> None:
    """On Linux the cluster gets SIGTERM when its supervisor dies, however it dies (prctl(2))."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
