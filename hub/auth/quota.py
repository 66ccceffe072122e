"""The rate limit of a key, held by all processes together, at no round trip for most requests.

A token bucket in Valkey: `quota` tokens, filled up evenly over a minute. A process takes tokens
from it in leases of a hundredth of the quota, and spends them on requests without asking. So a
key gets at most `quota` at once and `quota` a minute from then on, give or take the lease that
each process may still hold; under 200 a minute a lease is one token, and the count is exact.

While Valkey is away each process keeps the limit by itself, as `connectors.runtime.pacing` does.
No request waits: Valkey has 50 ms to answer, and is then left alone for five seconds.

Header fields: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4; 429: RFC 6585, section 4.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from functools import lru_cache

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

WINDOW = 60.0
LEASES = 100
PATIENCE_SECONDS = 0.05
AWAY_SECONDS = 5.0
MOST_HOLDERS = 10_000
POLICY = "key"

# Takes up to ARGV[2] tokens of a bucket of ARGV[1]: {taken, left}, by Valkey's clock. Whatever the
# bucket holds is written as text: Lua numbers come back as integers.
TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local quota, wanted, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = quota
if held[1] then
    tokens = math.min(quota, tonumber(held[1]) + math.max(0, now - held[2]) * quota / window)
end
local taken = math.min(wanted, math.floor(tokens))
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens - taken),
           'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window * 1000))
return {taken, string.format('%.6f', tokens - taken)}"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left after a request. Times are whole seconds; `wait` is 0 where it may go on."""

    quota: int
    left: int
    wait: int

    def headers(self) -> list[tuple[str, str]]:
        """The fields of the answer, `Retry-After` with them where it has to wait."""
        refill = self.wait or math.ceil((self.quota - self.left) * WINDOW / self.quota)
        told = [
            ("RateLimit", f'"{POLICY}";r={self.left};t={refill}'),
            ("RateLimit-Policy", f'"{POLICY}";q={self.quota};w={WINDOW:.0f}'),
        ]
        return [*told, ("Retry-After", str(self.wait))] if self.wait else told


class Bucket:
    """One holder's tokens in this process. Thread-safe."""

    def __init__(self, holder: str, quota: int) -> None:
        self._key, self.quota = f"headwater:quota:{holder}", quota
        self._lease = max(1, quota // LEASES)
        self._lock = threading.Lock()
        self._held, self._left = 0, float(quota)
        # alone, while Valkey is away
        self._own, self._own_at = float(quota), time.monotonic()

    def take(self) -> Standing:
        """One token for one request."""
        with self._lock:
            if self._held < 1:
                self._held = self._leased()
            if self._held >= 1:
                self._held -= 1
                return Standing(self.quota, int(self._left) + self._held, 0)
            seconds = (1 - min(self._left, 1.0)) * WINDOW / self.quota
            return Standing(self.quota, 0, max(1, math.ceil(seconds)))

    def _leased(self) -> int:
        answer = _asked(self._key, self.quota, self._lease)
        if answer is None:
            return self._alone()
        taken, self._left = answer
        # Should Valkey go away now, this process starts from what is left.
        self._own, self._own_at = self._left, time.monotonic()
        return taken

    def _alone(self) -> int:
        now = time.monotonic()
        self._own = min(self.quota, self._own + (now - self._own_at) * self.quota / WINDOW)
        self._own_at = now
        taken = min(1, math.floor(self._own))
        self._own -= taken
        self._left = self._own
        return taken


_buckets: dict[str, Bucket] = {}
_away_until = 0.0


def take(holder: str, quota: int) -> Standing:
    """One request of a holder who has `quota` a minute."""
    bucket = _buckets.get(holder)
    if bucket is None or bucket.quota != quota:
        if len(_buckets) >= MOST_HOLDERS:
            _buckets.clear()
        bucket = _buckets[holder] = Bucket(holder, quota)
    return bucket.take()


def _asked(key: str, quota: int, wanted: int) -> tuple[int, float] | None:
    """(tokens taken, tokens left) of the shared bucket; None while Valkey is away."""
    global _away_until  # noqa: PLW0603 (one Valkey a process)
    if time.monotonic() < _away_until:
        return None
    try:
        taken, left = _redis().eval(TAKE, 1, key, quota, wanted, WINDOW)
    except (RedisError, OSError) as error:
        _away_until = time.monotonic() + AWAY_SECONDS
        log.warning("no shared rate limit of keys for now; each process keeps it", error=str(error))
        return None
    return int(taken), float(left)


@lru_cache(maxsize=1)
def _redis() -> Redis:
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
    )
