"""The rate limit of a connection, and the pauses that its upstream asks for, in every process.

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
#: How long a process goes by what it heard of pauses; whoever meets another 429 says so again.
HEARD_SECONDS = 0.25
#: No pause is longer, whatever an upstream says.
LONGEST_PAUSE = 24 * 3600.0

# Seconds until the next departure, by Valkey's clock, and of the pause that holds.
# ARGV: seconds between two departures; 0: nothing is reserved.
RESERVE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local pause = math.max(0, redis.call('PTTL', KEYS[2]) / 1000)
local departure = now + pause
if tonumber(ARGV[1]) > 0 then
    departure = math.max(departure, tonumber(redis.call('GET', KEYS[1]) or '0'))
    redis.call('SET', KEYS[1], string.format('%.6f', departure + ARGV[1]),
               'PX', math.ceil((departure + ARGV[1] - now) * 1000) + 1000)
end
return {string.format('%.6f', departure - now), string.format('%.6f', pause)}"""

# A longer pause that runs already stays. ARGV: milliseconds.
PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end"""


class Pacer:
    """Hands out departure times, evenly spaced at `requests_per_second`; thread-safe.

    Without a rate it still carries a pause that an upstream asked for (429).
    """

    def __init__(self, connection: str, requests_per_second: float | None = None) -> None:
        self._key = f"headwater:pace:{connection}"
        self._lock = threading.Lock()
        self._next = 0.0
        self._paused_until = 0.0
        self._heard_at = float("-inf")
        self._interval = 0.0
        self._away_until = 0.0
        self.rate(requests_per_second)

    def rate(self, requests_per_second: float | None) -> None:
        """Change the rate. None or 0: no limit of ours."""
        with self._lock:
            self._interval = 1.0 / requests_per_second if requests_per_second else 0.0

    def reserve(self) -> float:
        """Take the next departure; returns the seconds until it."""
        with self._lock:
            now = time.monotonic()
            departure = max(now, self._next, self._paused_until)
            if self._interval:
                self._next = departure + self._interval
        return max(departure - now, self._everywhere(self._interval))

    def pause(self, seconds: float) -> None:
        """Nobody departs in the next `seconds`."""
        seconds = min(seconds, LONGEST_PAUSE)
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)
        if seconds > 0 and time.monotonic() >= self._away_until:
            try:
                milliseconds = max(1, round(seconds * 1000))
                get_redis_connection("default").eval(PAUSE, 1, f"{self._key}:pause", milliseconds)
            except (RedisError, OSError) as error:
                self._missed(error)

    def paused(self, heard: float = HEARD_SECONDS) -> float:
        """Seconds for which the upstream asked to be left alone still, as was heard so lately."""
        if time.monotonic() - self._heard_at > heard:
            self._everywhere(0.0)
        return max(self._paused_until - time.monotonic(), 0.0)

    def wait(self, most: float | None = None) -> float:
        """Block until the next departure.

        A pause longer than `most` seconds is not waited for: the seconds that are left of it.
        """
        left = self.paused()
        if self._interval and (most is None or left <= most):
            time.sleep(self.reserve())
            # Another may have been refused meanwhile.
            left = self.paused()
        while left > 0:
            if most is not None and left > most:
                return left
            time.sleep(left)
            left = self.paused(heard=0.0)
        return 0.0

    def _everywhere(self, interval: float) -> float:
        """Seconds until the next departure that all processes agree on; hears of a pause on the way."""
        if time.monotonic() < self._away_until:
            return 0.0
        try:
            connection = get_redis_connection("default")
            keys = (self._key, f"{self._key}:pause")
            departure, pause = connection.eval(RESERVE, 2, *keys, interval)
        except (RedisError, OSError) as error:
            self._missed(error)
            return 0.0
        with self._lock:
            self._heard_at = time.monotonic()
            self._paused_until = max(self._paused_until, self._heard_at + float(pause))
        return float(departure)

    def _missed(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        log.warning("no shared rate limit for now; each process keeps it", error=str(error))


_pacers: dict[str, Pacer] = {}
_pacers_lock = threading.Lock()


def pacer_of(connection: str, requests_per_second: float | None) -> Pacer:
    """The one pacer of a connection in this process, at the rate given last."""
    with _pacers_lock:
        pacer = _pacers.setdefault(connection, Pacer(connection, requests_per_second))
    pacer.rate(requests_per_second)
    return pacer
