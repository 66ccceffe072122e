"""How an upstream's latest calls went, counted for all processes together in a rolling window.

The window is made of buckets in Valkey, by Valkey's clock. Each process also counts for itself, and
goes by that while Valkey is away: its breaker then opens a little later, on its own calls. A call that
went well decides nothing: it is told with the next that went ill, or of half a second.
"""

from __future__ import annotations

import threading
import time

import structlog
from django_redis import get_redis_connection
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

BUCKETS = 10
#: After a failure Valkey is left alone for so long.
AWAY_SECONDS = 5.0
#: What went well is told of no more often.
TELL_SECONDS = 0.5

# Adds a call to its bucket, and sums up the window. ARGV: seconds of a bucket, buckets, calls that
# went well and ill to add (negative: taken back). Returns those of the window. A bucket of the
# future was counted with another length of buckets, before somebody changed the window.
COUNT = """
local time = redis.call('TIME')
local now = math.floor((time[1] + time[2] / 1000000) / ARGV[1])
redis.call('HINCRBY', KEYS[1], now .. ':w', ARGV[3])
redis.call('HINCRBY', KEYS[1], now .. ':i', ARGV[4])
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[1] * ARGV[2] * 2000))
local sums = {w = 0, i = 0}
local all = redis.call('HGETALL', KEYS[1])
for place = 1, #all, 2 do
    local bucket, kind = string.match(all[place], '^(%d+):(%a)$')
    if tonumber(bucket) <= now - ARGV[2] or tonumber(bucket) > now then
        redis.call('HDEL', KEYS[1], all[place])
    else
        sums[kind] = sums[kind] + tonumber(all[place + 1])
    end
end
return {sums.w, sums.i}"""


class Outcomes:
    """The calls of one connection; thread-safe. Each count is (went well, went ill)."""

    def __init__(self, connection: str) -> None:
        self._key = f"headwater:outcomes:{connection}"
        self._lock = threading.Lock()
        self._own: dict[int, tuple[int, int]] = {}
        self._away_until = 0.0
        #: What went well and is not told yet, and when something was told last.
        self._well, self._told_at = 0, float("-inf")

    def add(self, well: int, ill: int, window_seconds: float) -> tuple[int, int]:
        """Count calls; the counts of the window, these included: of all processes, if any went ill."""
        own, now = self._add_own(well, ill, window_seconds / BUCKETS), time.monotonic()
        with self._lock:
            self._well += well
            if not ill and now - self._told_at < TELL_SECONDS:
                return own
            well, self._well, self._told_at = self._well, 0, now
        return self._everywhere(well, ill, window_seconds / BUCKETS) or own

    def reset(self) -> None:
        """Begin anew for all: the upstream's state has changed."""
        self.forget()
        if time.monotonic() >= self._away_until:
            try:
                get_redis_connection("default").delete(self._key)
            except (RedisError, OSError) as error:
                self._missed(error)

    def forget(self) -> None:
        """Begin anew in this process: another has changed the state."""
        with self._lock:
            self._own.clear()
            self._well = 0

    def _add_own(self, well: int, ill: int, bucket_seconds: float) -> tuple[int, int]:
        now = int(time.monotonic() / bucket_seconds)
        with self._lock:
            before = self._own.get(now, (0, 0))
            self._own[now] = before[0] + well, before[1] + ill
            self._own = {b: n for b, n in self._own.items() if now - BUCKETS < b <= now}
            wells, ills = zip(*self._own.values(), strict=True)
        return sum(wells), sum(ills)

    def _everywhere(self, well: int, ill: int, bucket_seconds: float) -> tuple[int, int] | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            given = (bucket_seconds, BUCKETS, well, ill)
            counted = get_redis_connection("default").eval(COUNT, 1, self._key, *given)
        except (RedisError, OSError) as error:
            self._missed(error)
            return None
        return int(counted[0]), int(counted[1])

    def _missed(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        log.warning("no shared outcomes for now; each process counts its own", error=str(error))
