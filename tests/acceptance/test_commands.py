"""Commands against the simulated systems: lost answers, an outage, a drain that is stopped."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from django.db import connection

from connectors.commands import accept, carry_out, doors, drain
from connectors.commands.declare import Check, Operation, Refused, Undo, Write, register
from connectors.models import Command, Connection, InboxEvent
from connectors.runtime import wake
from connectors.runtime.connect import connect
from connectors.sandbox.server import SandboxServer
from tests.processes import until
from tests.sandboxes import running, set_fault
from tests.vendors import CREDENTIALS
from tests.writing import Params

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with running() as server:
        row = connect("wms", "wms", server.url, CREDENTIALS["wms"])
        Connection.objects.filter(pk=row.pk).update(timeout_seconds=1, breaker_cooldown_seconds=1)
        doors.forget()
        yield server


def reserving(*more: Any) -> Operation:
    """Reserves a piece, and gives it back where a later step refuses."""
    reserve = Write(
        "reserve",
        "stock.reserve",
        lambda work: {"sku": "P-000001-01", "quantity": work.params.quantity},
        undo=Undo("stock.release", lambda work: {"reservation": work.results["reserve"]["key"]}),
    )
    return register(
        Operation(
            slug="stock.keep", title="Keep", description="Of these tests.", method="POST",
            path="", scope="write:stock", params=Params, steps=(reserve, *more),
            result=lambda work: {"reservation": work.results["reserve"]["key"]},
            result_model=Params, deadline_seconds=3.0,
        )
    )  # fmt: skip


def asked(made: Operation) -> Command:
    return accept(made, {"quantity": 1}, "key:1", "key-1", "corr-1").command


def made_upstream(server: SandboxServer) -> dict[str, int]:
    """How many reservations each reference of ours made."""
    answer = requests.get(f"{server.url}/_control/references/wms", timeout=5).json()
    found: dict[str, int] = answer["references"].get("reservations", {})
    return found


@contextmanager
def drained() -> Iterator[None]:
    """A resident drain, which is stopped as the supervisor stops it."""
    inherited, stop = os.pipe()
    os.environ[wake.STOP_VARIABLE] = str(inherited)

    def work() -> None:
        try:
            drain.run(time.monotonic() + 60)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        os.close(stop)
        thread.join(20)
        del os.environ[wake.STOP_VARIABLE]
        os.close(inherited)
        assert not thread.is_alive()


def state_of(command: Command) -> str:
    return Command.objects.get(pk=command.pk).state


def test_an_answer_that_is_lost_is_found_and_read_back(sandbox: SandboxServer) -> None:
    set_fault(sandbox.url, "wms", kind="answer_lost", seconds=0, count=1)
    command = carry_out(asked(reserving()))
    assert (command.state, command.status) == ("acknowledged", 201)
    assert made_upstream(sandbox) == {f"{command.reference}.reserve": 1}
    with drained():
        until("confirmation", lambda: state_of(command) == "confirmed", 20)
    event = InboxEvent.objects.get(event_id=f"command.read_back/{command.reference}.reserve")
    assert command.result == {"reservation": event.record_key}


def test_what_the_upstream_does_after_our_time_out_is_not_done_twice(
    sandbox: SandboxServer,
) -> None:
    set_fault(sandbox.url, "wms", kind="slow_writes", seconds=2, count=1)
    command = carry_out(asked(reserving()))
    assert not command.answered
    with drained():
        until("confirmation", lambda: state_of(command) == "confirmed", 30)
    assert made_upstream(sandbox) == {f"{command.reference}.reserve": 1}


def test_during_an_outage_a_command_waits_and_is_done_once_it_is_over(
    sandbox: SandboxServer,
) -> None:
    set_fault(sandbox.url, "wms", kind="down")
    row = Connection.objects.get(slug="wms")
    row.circuit_breaker.open_by("ann")
    command = carry_out(asked(reserving()))
    assert (command.state, command.waits_for_id) == ("accepted", row.pk)
    with drained():
        time.sleep(1.5)
        assert state_of(command) == "accepted"
        requests.delete(f"{sandbox.url}/_control/faults/wms", timeout=5).raise_for_status()
        row.circuit_breaker.close_by("ann")
        until("confirmation", lambda: state_of(command) == "confirmed", 20)
    assert made_upstream(sandbox) == {f"{command.reference}.reserve": 1}


def test_a_refused_command_leaves_nothing_behind(sandbox: SandboxServer) -> None:
    def refuse(_: object) -> None:
        raise Refused("price_changed", "it is dearer now")

    command = carry_out(asked(reserving(Check("price", refuse, after=("reserve",)))))
    assert (command.state, command.status) == ("refused", 422)
    key = command.steps.get(name="reserve").record_key
    shown = requests.get(f"{sandbox.url}/_control/wms/reservations/{key}", timeout=5).json()
    assert shown["status"] == "released"


def test_a_drain_that_is_stopped_leaves_its_command_to_the_next(sandbox: SandboxServer) -> None:
    stopped, looked = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        looked.set()
        stopped.wait(10)

    command = asked(reserving(Check("slow", slow, after=("reserve",)), Check("more", lambda _: 1)))
    Command.objects.update(lease_until=None)
    with drained():
        assert looked.wait(20)
        # Between two steps it is let go of.
        threading.Timer(0.5, stopped.set).start()
    command.refresh_from_db()
    assert (command.lease_until, command.state) in ((None, "sent"), (None, "acknowledged"))
    with drained():
        until("confirmation", lambda: state_of(command) == "confirmed", 20)
    assert made_upstream(sandbox) == {f"{command.reference}.reserve": 1}
