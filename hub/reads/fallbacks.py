"""What was left to Graphene because it could not be compiled: counted, for `manage.py uncompiled`.

Each process counts for itself and adds its numbers to Redis every few seconds, which all share.
Redis is disposable: without it the numbers are lost, and nothing else.
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

log = structlog.get_logger(__name__)

COUNTS, DOCUMENTS = "headwater:uncompiled:counts", "headwater:uncompiled:documents"
#: How many documents are told apart, and how often the numbers are passed on.
MOST, SECONDS = 500, 2.0
SHOWN_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Uncompiled:
    """A document, why it was left to Graphene, and how often."""

    times: int
    reason: str
    document: str


_lock = threading.Lock()
_counted: dict[str, int] = {}
_documents: dict[str, bytes] = {}
_passed_on = 0.0


def count(text: str, name: str | None, reason: str) -> None:
    """One more."""
    known = hashlib.blake2b(f"{name}\0{text}".encode(errors="replace"), digest_size=8).hexdigest()
    due = False
    with _lock:
        if known in _counted or len(_counted) < MOST:
            _counted[known] = _counted.get(known, 0) + 1
            _documents[known] = orjson.dumps([reason, _shown(text)])
        due = time.monotonic() - _passed_on > SECONDS
    if due:
        pass_on()


def pass_on() -> None:
    """Add this process's numbers to everybody's."""
    global _passed_on, _counted, _documents  # noqa: PLW0603 (one count a process)
    with _lock:
        _passed_on = time.monotonic()
        counted, documents, _counted, _documents = _counted, _documents, {}, {}
    try:
        with _redis() as redis, redis.pipeline(transaction=False) as pipe:
            for known, times in counted.items():
                pipe.hincrby(COUNTS, known, times)
                pipe.hset(DOCUMENTS, known, documents[known])
            pipe.hlen(COUNTS)
            if pipe.execute()[-1] > MOST * 4:
                redis.delete(COUNTS, DOCUMENTS)
    except RedisError as error:
        log.warning("the count of uncompiled documents is lost", error=str(error))


def uncompiled() -> list[Uncompiled]:
    """All that are known, the most frequent first. Raises RedisError."""
    pass_on()
    with _redis() as redis:
        counts, documents = redis.hgetall(COUNTS), redis.hgetall(DOCUMENTS)
    found = [
        Uncompiled(int(times), *orjson.loads(documents[known]))
        for known, times in counts.items()
        if known in documents
    ]
    return sorted(found, key=lambda u: -u.times)


def forget() -> None:
    """Start counting anew. Raises RedisError."""
    with _redis() as redis:
        redis.delete(COUNTS, DOCUMENTS)


def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.2)


def _shown(text: str) -> str:
    return text[:SHOWN_CHARACTERS].encode(errors="replace").decode()
