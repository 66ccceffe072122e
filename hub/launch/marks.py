"""The mark that every process of a run carries in its environment, and how to find it again.

Only Linux shows the environment of processes; elsewhere the process groups have to do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

VARIABLE = "HEADWATER_RUN"


def marked(prefix: str) -> list[int]:
    """The processes whose mark begins with `prefix` (a run id, or run id/name), without our own."""
    needle = f"\0{VARIABLE}={prefix}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        # A process may be another user's, or be gone by now.
        with suppress(OSError):
            if needle in b"\0" + entry.read_bytes():
                found.append(int(entry.parent.name))
    return [pid for pid in found if pid != os.getpid()]


def send(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to processes that may be gone by now."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill(prefix: str) -> None:
    """End every marked process now, also those that start while we look."""
    for _attempt in range(5):
        found = marked(prefix)
        if not found:
            return
        send(found, signal.SIGKILL)


def children() -> list[int]:
    """The children of this process, adopted ones (see `adopt_orphans`) among them."""
    found: list[int] = []
    for listing in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        with suppress(OSError):
            found.extend(int(pid) for pid in listing.read_text().split())
    return found


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent dies, so that they can be found and ended."""
    _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def stop_with_parent() -> None:
    """Get SIGTERM when the process that started this one dies."""
    _prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)
