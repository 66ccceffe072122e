"""Keeps the django-q cluster honest: schedules, sweeps, and replaces it when it hangs.

A killed worker can take the cluster's shared queue lock with it and leave every other worker
waiting for good, with all processes alive. So liveness is judged by the work: when runs wait
though workers should be free, the cluster's whole process group is replaced.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from time import monotonic, sleep
from types import FrameType

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from connectors.runtime import bell, queue

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
RING_EVERY_SECONDS = 2.0
#: Work that has waited this long beside a free worker means that the cluster hangs.
STALL_SECONDS = 8.0
STOP_SECONDS = 15.0

WORKERS = int(str(settings.Q_CLUSTER["workers"]))

BUSY = "SELECT count(*) FROM connectors_syncrun WHERE state = 'running' AND lease_until >= now()"


class Cluster:
    """One `manage.py qcluster` and all its children: a session of their own."""

    def __init__(self) -> None:
        self._process = self._start()
        self.started = monotonic()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=settings.BASE_DIR,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (no threads run here yet)
        )

    @property
    def alive(self) -> bool:
        """Whether the cluster's main process runs."""
        return self._process.poll() is None

    def stop(self, grace: float) -> None:
        """End the main process in order, and whatever is left of its group by force."""
        if self.alive and grace:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                log.warning("the cluster does not stop; it is killed")
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def replace(self) -> None:
        """Kill everything and start afresh; leases bring the interrupted runs back."""
        self.stop(grace=0)
        self._process = self._start()
        self.started = monotonic()


class Supervisor:
    """Runs until SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._stopping = False
        self._rung = 0.0
        self._database_down = False

    def run(self) -> None:
        """Start the cluster and look after it."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        cluster = Cluster()
        try:
            while not self._stopping:
                self._tick(cluster)
                sleep(TICK_SECONDS)
        finally:
            cluster.stop(STOP_SECONDS)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _tick(self, cluster: Cluster) -> None:
        if not cluster.alive:
            log.warning("the cluster ended; it is started again")
            cluster.replace()
        try:
            close_old_connections()
            queue.schedule_due()
            waiting, seconds = queue.due()
            idle = WORKERS - self._busy()
        except DatabaseError as error:
            if not self._database_down:
                log.warning("the database does not answer; waiting for it", error=str(error))
            self._database_down = True
            connection.close()
            return
        self._database_down = False
        if not waiting or idle <= 0:
            return
        now = monotonic()
        if seconds > STALL_SECONDS and now - cluster.started > STALL_SECONDS + 5:
            log.warning("work waits beside free workers; the cluster is replaced", seconds=seconds)
            cluster.replace()
        elif now - self._rung > RING_EVERY_SECONDS:
            self._rung = now
            for _ in range(min(idle, waiting)):
                bell.ring()

    def _busy(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute(BUSY)
            return int(cursor.fetchone()[0])


def _die_with_parent() -> None:
    """On Linux the cluster gets SIGTERM when its supervisor dies, however it dies (prctl(2))."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
