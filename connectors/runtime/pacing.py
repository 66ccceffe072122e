"""The rate limit of a connection, shared by all its sessions, in every process.

Departure times are handed out in Valkey. While it is away each process keeps the rate by itself,
which is faster than allowed by as many times as there are processes, until the upstream says 429.
"""

from __future__ import annotations

import threading
import time

import structlog
from django_redis import get_redis_connection
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

#: After a failure Valkey is left alone for so long.
AWAY_SECONDS = 5.0

# The next departure by Valkey's clock, and seconds until it. ARGV: seconds between two departures
# (0: a pause is all that is wanted), and seconds for which nobody may depart.
RESERVE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local departure = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local nothing_before = math.max(departure + ARGV[1], now + ARGV[2])
redis.call('SET', KEYS[1], string.format('%.6f', nothing_before),
           'PX', math.ceil((nothing_before - now) * 1000) + 1000)
return string.format('%.6f', departure - now)"""


class Pacer:
    """Hands out departure times, evenly spaced at `requests_per_second`; thread-safe.

    Without a rate it still carries a pause that an upstream asked for (429) to every thread of this
    process.
    """

    def __init__(self, connection: str, requests_per_second: float | None = None) -> None:
        self._key = f"headwater:pace:{connection}"
        self._lock = threading.Lock()
        self._next = 0.0
        self._interval = 0.0
        self._away_until = 0.0
        self.rate(requests_per_second)

    def rate(self, requests_per_second: float | None) -> None:
        """Change the rate. None or 0: no limit of ours."""
        with self._lock:
            self._interval = 1.0 / requests_per_second if requests_per_second else 0.0

    def reserve(self) -> float:
        """Take the next departure; returns the seconds until it."""
        ours = self._reserve_here()
        return max(ours, self._reserve_everywhere(0.0)) if self._interval else ours

    def pause(self, seconds: float) -> None:
        """Nobody departs in the next `seconds`."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)
        if self._interval:
            self._reserve_everywhere(seconds)

    def wait(self) -> None:
        """Block until the next departure."""
        seconds = self.reserve()
        if seconds > 0:
            time.sleep(seconds)

    def _reserve_here(self) -> float:
        with self._lock:
            now = time.monotonic()
            departure = max(now, self._next)
            self._next = departure + self._interval
            return departure - now

    def _reserve_everywhere(self, pause: float) -> float:
        if time.monotonic() < self._away_until:
            return 0.0
        interval = 0.0 if pause else self._interval
        try:
            connection = get_redis_connection("default")
            return float(connection.eval(RESERVE, 1, self._key, interval, pause))
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning("no shared rate limit for now; each process keeps it", error=str(error))
            return 0.0


_pacers: dict[str, Pacer] = {}
_pacers_lock = threading.Lock()


def pacer_of(connection: str, requests_per_second: float | None) -> Pacer:
    """The one pacer of a connection in this process, at the rate given last."""
    with _pacers_lock:
        pacer = _pacers.setdefault(connection, Pacer(connection, requests_per_second))
    pacer.rate(requests_per_second)
    return pacer
