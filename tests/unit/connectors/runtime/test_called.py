"""Threads that are called by name stay with their session, and make room where it is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from connectors.runtime import wake
from connectors.runtime.called import STAYS_SECONDS, Called

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 2 * STAYS_SECONDS


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.called.close(PATIENCE)


class Desk:
    """One thread, and work for it; `sessions` are those of PostgreSQL's that it was done in."""

    def __init__(self) -> None:
        self.called = Called(1, "desk")
        self.sessions: list[tuple[str, int]] = []
        self._done = threading.Semaphore(0)

    def work(self, name: str) -> Callable[[], bool]:
        waiting = [name]

        def turn() -> bool:
            if not waiting:
                return False
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.sessions.append((waiting.pop(), cursor.fetchone()[0]))
            self._done.release()
            return True

        return turn

    def has(self, name: str, turn: Callable[[], bool]) -> None:
        """Call, and wait until it is done."""
        self.called.call(name, turn)
        assert self._done.acquire(timeout=PATIENCE)


def test_who_had_work_stays_with_the_session(desk: Desk) -> None:
    left = ["first", "second"]

    def turn() -> bool:
        return bool(left) and desk.work(left.pop(0))()

    desk.has("a", turn)
    assert desk.called.busy() == {"a"}
    left.append("third")
    desk.has("a", turn)
    desk.has("a", lambda: bool(left) and desk.work(left.pop(0))())
    assert [name for name, _ in desk.sessions] == ["first", "second", "third"]
    assert len({session for _, session in desk.sessions}) == 1


def test_who_stays_for_nothing_makes_room_at_once(desk: Desk) -> None:
    desk.has("a", desk.work("a"))
    desk.has("b", desk.work("b"))
    assert [name for name, _ in desk.sessions] == ["a", "b"]


def test_a_turn_that_breaks_is_made_again_when_it_is_called_again(desk: Desk) -> None:
    broke = threading.Event()

    def breaks() -> bool:
        broke.set()
        raise RuntimeError("a defect")

    desk.called.call("a", breaks)
    assert broke.wait(PATIENCE)
    while desk.called.busy():
        time.sleep(0.01)
    desk.has("a", desk.work("a"))


def test_a_pace_is_quick_after_a_pause_and_steady_in_the_long_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, rests = [1000.0], []

    def sleep(seconds: float) -> None:
        rests.append(round(seconds, 3))
        now[0] += seconds

    monkeypatch.setattr("connectors.runtime.wake.time.monotonic", lambda: now[0])
    monkeypatch.setattr("connectors.runtime.wake.time.sleep", sleep)
    pace = wake.Pace(0.1, 0.02)
    for _ in range(20):
        pace.rest()
    assert rests[0] == 0.02
    assert rests[-5:] == [0.1] * 5
    now[0] += 60
    pace.rest()
    assert rests[-1] == 0.02
