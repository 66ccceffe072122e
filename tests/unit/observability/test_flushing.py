"""What gathers in a process is passed on beside it, at its end, and by nobody twice."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterator

import pytest
from django.db import connection

from observability import flushing
from observability.flushing import Flusher


@pytest.fixture(autouse=True)
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tests' own process passes nothing on (tests.services), but in these."""
    monkeypatch.setattr(Flusher, "_begin", inspect.unwrap(Flusher._begin))
    yield
    flushing.forget()


@pytest.mark.django_db(transaction=True)
def test_a_busy_thread_keeps_its_session_and_an_idle_one_gives_it_back() -> None:
    sessions: list[int] = []
    enough = threading.Event()

    def work() -> bool:
        if len(sessions) == 4:
            enough.set()
            return False
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.append(cursor.fetchone()[0])
        if len(sessions) == 2:
            raise ValueError("which is no end of it")
        return len(sessions) != 2

    flusher = Flusher("some", 0.01, work, dropped=sessions.clear)
    flusher.start()
    flusher.start()
    assert enough.wait(20)
    flusher.stop()
    assert sessions[0] == sessions[1]
    assert sessions[2] == sessions[3] != sessions[1]


def test_what_waits_at_the_end_is_passed_on_once_and_by_who_began_alone() -> None:
    waits = ["a"]
    done: list[str] = []

    def work() -> None:
        done.extend(waits)
        waits.clear()

    flusher = Flusher("some", 3600, work, dropped=waits.clear)
    flusher.stop()
    assert not done
    flusher.start()
    child = os.fork()
    if child == 0:
        # The thread and what waits are its parent's.
        flusher.stop()
        os._exit(len(waits) + len(done))
    assert os.waitpid(child, 0)[1] == 0
    flusher.stop()
    flusher.stop()
    assert done == ["a"]
