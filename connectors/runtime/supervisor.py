"""Keeps the django-q cluster honest: schedules, mans its posts, and replaces it when it hangs.

A killed worker can take the cluster's shared queue lock with it and leave every other worker
waiting for good, with all processes alive. So liveness is judged by the work: when runs wait
though workers should be free, when a post stays empty though somebody was called, or when due
events find no end, the cluster's whole process group is replaced.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from time import monotonic, sleep
from types import FrameType

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from catalog import rule_changes
from connectors.inbox import events
from connectors.runtime import bell, deploys, duties, posts, queue
from connectors.runtime.cluster import Cluster

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
#: A worker that applies ownership rules may take a while; another one beside it does no harm.
RULES_EVERY_SECONDS = 5.0
#: Whoever is called to a post comes and goes meanwhile, so duties are spread over ticks.
ROUND_SECONDS = 2.0
STOP_SECONDS = 15.0

BUSY = "SELECT count(*) FROM connectors_syncrun WHERE state = 'running' AND lease_until >= now()"


class Supervisor:
    """Runs until SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._stopping = False
        self._database_down = False
        self._rung = 0.0
        self._runs_wait_since: float | None = None
        self._round = duties.Round()
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
            self._ring_for_rules()
            self._round.go(ROUND_SECONDS)
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
