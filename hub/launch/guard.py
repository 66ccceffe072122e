"""Ends what is left when the launcher is gone, however it went. A script of its own.

    python -I -S guard.py RUN_ID    the launcher holds the other end of standard input

When the pipe closes, the launcher has ended; what still lives is asked to stop, then killed. It
reads `+PID` and `-PID` of process groups, a line each, and needs them only where processes do not
show their mark. It holds the lock of the state directory to the end, so that the next start waits
for a clean house.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hub.launch import marks

PATIENCE_SECONDS = 8.0


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    if sys.platform == "linux":
        _end_marked(sys.argv[1])
    else:
        _end_groups(groups)


def _end_marked(run_id: str) -> None:
    # The kernel has sent each child its own stop signal by now; this reaches their children.
    marks.send(marks.marked(run_id), signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while marks.marked(run_id) and time.monotonic() < deadline:
        time.sleep(0.1)
    marks.kill(run_id)


def _end_groups(groups: set[int]) -> None:
    for number, pause in ((signal.SIGINT, PATIENCE_SECONDS), (signal.SIGKILL, 0.0)):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        time.sleep(pause)


if __name__ == "__main__":
    main()
