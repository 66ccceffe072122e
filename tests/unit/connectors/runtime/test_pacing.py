"""The rate limit of a connection holds for all processes together."""

from __future__ import annotations

import threading
import time

import pytest
from django.core.cache import caches

from connectors.runtime.pacing import Pacer


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


@pytest.mark.parametrize("rate", [20, None])
def test_a_pause_holds_for_the_other_process(rate: float | None) -> None:
    ours, theirs = Pacer("shop", rate), Pacer("shop", rate)
    ours.pause(0.5)
    assert 0.4 < theirs.reserve() <= 0.5
    # A shorter one that is asked for later does not end it.
    ours.pause(0.1)
    assert 0.4 < theirs.paused() <= 0.5


def test_who_waits_already_hears_of_a_pause_that_comes_later() -> None:
    ours, theirs = Pacer("shop"), Pacer("shop")
    ours.pause(0.2)
    began = time.monotonic()
    threading.Timer(0.1, ours.pause, [0.4]).start()
    assert theirs.wait() == 0.0
    assert time.monotonic() - began >= 0.49


def test_a_long_pause_is_not_waited_for() -> None:
    ours, theirs = Pacer("shop", 20), Pacer("shop", 20)
    ours.pause(30)
    assert 29 < theirs.wait(most=5.0) <= 30


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
