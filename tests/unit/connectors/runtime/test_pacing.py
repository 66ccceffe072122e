"""The rate limit of a connection holds for all processes together."""

from __future__ import annotations

import time

import pytest
from django.core.cache import caches
from django_redis import get_redis_connection

from connectors.runtime.pacing import Pacer


@pytest.fixture(autouse=True)
def fresh() -> None:
    get_redis_connection("default").delete("headwater:pace:shop", "headwater:pace:other")


def last_departure(*pacers: Pacer, rounds: int = 10) -> float:
    """Seconds until the last of so many departures of each."""
    began = time.monotonic()
    return max(
        time.monotonic() - began + pacer.reserve() for _ in range(rounds) for pacer in pacers
    )


def test_two_processes_share_one_rate() -> None:
    ours, theirs = Pacer("shop", 20), Pacer("shop", 20)
    assert last_departure(ours, theirs) == pytest.approx(19 / 20, abs=0.05)


def test_connections_do_not_slow_each_other() -> None:
    assert last_departure(Pacer("shop", 20), Pacer("other", 20)) == pytest.approx(9 / 20, abs=0.05)


def test_a_pause_holds_for_the_other_process() -> None:
    ours, theirs = Pacer("shop", 20), Pacer("shop", 20)
    ours.pause(0.5)
    assert 0.4 < theirs.reserve() <= 0.5


def test_without_valkey_each_process_keeps_the_rate(settings: object) -> None:
    caches["default"].close()
    settings.CACHES = {  # type: ignore[attr-defined]
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 0.2},
        }
    }
    pacer = Pacer("shop", 20)
    assert last_departure(pacer) == pytest.approx(9 / 20, abs=0.1)
