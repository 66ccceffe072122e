"""Which operations are asked how often, and what each is made of: for an incident's share of traffic.

Each process counts for itself and adds its numbers to Redis every few seconds, an hour's worth in
minutes. Redis is disposable: without it an incident says no share, and nothing else is lost.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass

import orjson
import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from hub.drawn import Drawn

log = structlog.get_logger(__name__)

COUNTS, OPERATIONS = "headwater:traffic:counts", "headwater:traffic:operations"
#: How often numbers are passed on, how long they are kept, and how many operations are told apart.
SECONDS, KEPT_MINUTES, MOST = 5.0, 60, 500
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, what it is made of, and how often it was asked in the last hour."""

    name: str
    made_of: Drawn
    times: int


_lock = threading.Lock()
_counted: dict[tuple[str, Drawn], int] = {}
_passed_on = time.monotonic()


def count(name: str, made_of: Drawn) -> None:
    """One more request."""
    key, due = (name, made_of), False
    with _lock:
        if key in _counted or len(_counted) < MOST:
            _counted[key] = _counted.get(key, 0) + 1
        due = time.monotonic() - _passed_on > SECONDS
    if due:
        pass_on()


def pass_on() -> None:
    """Add this process's numbers to everybody's."""
    global _counted, _passed_on  # noqa: PLW0603 (one count a process)
    with _lock:
        _passed_on = time.monotonic()
        counted, _counted = _counted, {}
    if not counted:
        return
    minute = f"{COUNTS}:{int(time.time() / 60)}"
    try:
        with _redis() as redis, redis.pipeline(transaction=False) as pipe:
            for (name, made_of), times in counted.items():
                told = orjson.dumps([name[:SHOWN_CHARACTERS], sorted(made_of)])
                known = hashlib.blake2b(told, digest_size=8).hexdigest()
                pipe.hincrby(minute, known, times)
                pipe.hset(OPERATIONS, known, told)
            pipe.expire(minute, KEPT_MINUTES * 60 + 120)
            pipe.hlen(OPERATIONS)
            if pipe.execute()[-1] > MOST * 4:
                redis.delete(OPERATIONS)
    except RedisError as error:
        log.warning("a count of requests is lost", error=str(error))


def last_hour() -> list[Operation]:
    """All that was asked in the last hour, the most frequent first; nothing while Redis is away."""
    pass_on()
    now, times = int(time.time() / 60), dict[bytes, int]()
    try:
        with _redis() as redis:
            for minute in range(now - KEPT_MINUTES, now + 1):
                for known, count in redis.hgetall(f"{COUNTS}:{minute}").items():
                    times[known] = times.get(known, 0) + int(count)
            operations = redis.hgetall(OPERATIONS)
    except RedisError as error:
        log.warning("the counts of requests are not there", error=str(error))
        return []
    found = []
    for known, count in times.items():
        if known in operations:
            name, made_of = orjson.loads(operations[known])
            found.append(Operation(name, frozenset(map(tuple, made_of)), count))
    return sorted(found, key=lambda operation: -operation.times)


def forget() -> None:
    """Start counting anew. Raises RedisError."""
    with _lock:
        _counted.clear()
    with _redis() as redis:
        redis.delete(OPERATIONS, *redis.keys(f"{COUNTS}:*"))


def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.2)
