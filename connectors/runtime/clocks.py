"""How far the clocks of upstreams are from ours, by the Date of their answers (RFC 9110, 6.6.1).

Kept in Valkey for a few minutes: what is lost with it, the next answer says again.
"""

from __future__ import annotations

import time
from contextlib import suppress
from email.utils import parsedate_to_datetime

import structlog
from django_redis import get_redis_connection
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

KEY = "headwater:clocks"
#: A process tells of a connection no more often.
EVERY_SECONDS = 10.0
KEPT_SECONDS = 300

_told: dict[str, float] = {}


def note(connection: str, date: str | None) -> None:
    """An answer has just come, and says that it was made at `date` (an HTTP-date)."""
    if date is None or time.monotonic() - _told.get(connection, float("-inf")) < EVERY_SECONDS:
        return
    _told[connection] = time.monotonic()
    try:
        ahead = parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return
    try:
        pipeline = get_redis_connection("default").pipeline()
        pipeline.hset(KEY, connection, f"{ahead:.1f}")
        pipeline.expire(KEY, KEPT_SECONDS)
        pipeline.execute()
    except (RedisError, OSError) as error:
        log.debug("a clock could not be noted", connection=connection, error=str(error))


def ahead() -> dict[str, float]:
    """Seconds by which each upstream's clock is ahead of its caller's, as was told last."""
    try:
        found = get_redis_connection("default").hgetall(KEY)
    except (RedisError, OSError):
        return {}
    return {_text(name): float(value) for name, value in found.items()}


def forget() -> None:
    """Know of no clock, until the next answer."""
    _told.clear()
    with suppress(RedisError, OSError):
        get_redis_connection("default").delete(KEY)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
