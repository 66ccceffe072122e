"""One `manage.py qcluster` as a process group: forked, and ended however it hangs."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from time import monotonic, sleep
from typing import NoReturn

import structlog
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from connectors.runtime import wake

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.02


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
            os.nice(settings.HEADWATER_WORKERS_NICE)
            call_command("qcluster")
            # What the interpreter would do at its end, which this process does not come to.
            for child in multiprocessing.active_children():
                child.join()
            code = 0
    except Exception:
        log.exception("the cluster broke")
    finally:
        os._exit(code)


def _die_with_parent() -> None:
    """On Linux the cluster gets SIGTERM when its supervisor dies, however it dies (prctl(2))."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
