"""The rate limit of a connection, shared by all its sessions in this process."""

from __future__ import annotations

import threading
import time


class Pacer:
    """Hands out departure times, evenly spaced at `requests_per_second`; thread-safe.

    Without a rate it still carries a pause that an upstream asked for (429) to every thread.
    """

    def __init__(self, requests_per_second: float | None) -> None:
        self._lock = threading.Lock()
        self._next = 0.0
        self._interval = 0.0
        self.rate(requests_per_second)

    def rate(self, requests_per_second: float | None) -> None:
        """Change the rate. None or 0: no limit of ours."""
        with self._lock:
            self._interval = 1.0 / requests_per_second if requests_per_second else 0.0

    def reserve(self) -> float:
        """Take the next departure; returns the seconds until it."""
        with self._lock:
            now = time.monotonic()
            departure = max(now, self._next)
            self._next = departure + self._interval
            return departure - now

    def pause(self, seconds: float) -> None:
        """Nobody departs in the next `seconds`."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def wait(self) -> None:
        """Block until the next departure."""
        seconds = self.reserve()
        if seconds > 0:
            time.sleep(seconds)


_pacers: dict[str, Pacer] = {}
_pacers_lock = threading.Lock()


def pacer_of(connection: str, requests_per_second: float | None) -> Pacer:
    """The one pacer of a connection, at the rate given last."""
    with _pacers_lock:
        pacer = _pacers.setdefault(connection, Pacer(requests_per_second))
    pacer.rate(requests_per_second)
    return pacer
