"""Writes over real HTTP to a warehouse behind a port: whoever dies or says nothing, it is one write."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.db.models.functions import Now

from connectors.commands import drain
from connectors.models import Command
from hub.auth.keys import issue_key
from tests import catalogue
from tests.acceptance.test_writes import at_once
from tests.processes import children, until
from tests.sandboxes import running, set_fault
from tests.web import Answer, Web, serving

pytestmark = pytest.mark.django_db(transaction=True)

SKU = "P-000003-02"


class Shop:
    """A caller, and the warehouse that it writes to by way of the hub."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.headers = {
            "Authorization": f"Bearer {issue_key('tests')}", "Content-Type": "application/json",
        }  # fmt: skip

    def reserve(self, web: Web, key: str = "a-key", quantity: int = 2) -> Answer:
        body = json.dumps({"sku": SKU, "quantity": quantity}).encode()
        return web.post("/api/v1/reservations", body, self.headers | {"Idempotency-Key": key})

    def made(self) -> dict[str, int]:
        """How many reservations each reference made, as the warehouse counts them."""
        answer = requests.get(f"{self.url}/_control/references/wms", timeout=5).json()
        found: dict[str, int] = answer["references"].get("reservations", {})
        return found

    def serving(self, name: str) -> contextlib.AbstractContextManager[Web]:
        return serving(self.folder / f"{name}.log")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running(20) as sandbox:
        call_command("connect_sandbox", sandbox.url, stdout=io.StringIO())
        catalogue.say("akeneo", "variants", [catalogue.variant(SKU)])
        level = {"on_hand": 500, "reserved": 0}
        address = f"{sandbox.url}/_control/wms/stock/AMS/{SKU}"
        requests.post(address, json=level, timeout=5).raise_for_status()
        yield Shop(sandbox.url, tmp_path)


def killed(web: Web) -> None:
    """At once, all of it."""
    for pid in (web.pid, *children(web.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def drained(command: Command) -> Command:
    """What the drain makes of it."""
    deadline = time.monotonic() + 20
    while command.state not in ("confirmed", "refused", "failed"):
        assert time.monotonic() < deadline, (command.state, command.error)
        drain.run(time.monotonic() + 2.0)
        command.refresh_from_db()
    return command


def all_drained() -> None:
    """What was left to the drain, carried out."""
    for command in Command.objects.filter(status=None):
        drained(command)


def test_many_callers_and_keys_at_once(shop: Shop) -> None:
    with shop.serving("web") as web:
        answers = at_once(50, lambda _: shop.reserve(web))
        # 202: the process had no turn for it, and left it to the drain.
        assert {answer.status for answer in answers} <= {201, 202, 409}
        assert len({answer.body for answer in answers if answer.status == 201}) <= 1
        all_drained()
        assert list(shop.made().values()) == [1]
        others = at_once(20, lambda n: shop.reserve(web, f"key-{n // 2}"))
        assert {answer.status for answer in others} <= {201, 202, 409}
        all_drained()
        first = shop.reserve(web)
    assert sorted(shop.made().values()) == [1] * 11
    with shop.serving("next") as web:
        again = shop.reserve(web)
    assert again.status == 201
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"


def test_a_request_whose_process_is_killed_is_gone_on_with(shop: Shop) -> None:
    set_fault(shop.url, "wms", kind="answer_lost", seconds=5, count=1)
    lost: list[Any] = []
    with shop.serving("web") as web, shop.serving("other") as other:

        def ask() -> None:
            try:
                lost.append(shop.reserve(web))
            except (OSError, http.client.HTTPException) as error:
                lost.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        until("reservation", shop.made, 20)
        killed(web)
        asking.join()
        assert isinstance(lost[0], Exception)
        waiting = shop.reserve(other)
        assert (waiting.status, json.loads(waiting.body)["code"]) == (
            409, "idempotency_key_in_flight",
        )  # fmt: skip
        Command.objects.update(lease_until=Now())  # as if its time had passed
        command = drained(Command.objects.get())
        assert command.state == "confirmed"
        first, second = shop.reserve(other), shop.reserve(other)
    assert first.status == 201
    assert json.loads(first.body)["reservation"].startswith("RSV-")
    assert first.headers["idempotent-replayed"] == "true"
    assert second.body == first.body
    assert shop.made() == {f"{command.reference}.reserve": 1}


def test_an_answer_that_never_comes_is_no_second_write(shop: Shop) -> None:
    set_fault(shop.url, "wms", kind="answer_lost", seconds=0, count=1)
    with shop.serving("web") as web:
        answer = shop.reserve(web)
        assert answer.status == 201, answer.body
        followed = web.request(
            "GET", f"/api/v1/commands/{answer.headers['headwater-command']}", headers=shop.headers
        )
    (step,) = (s for s in json.loads(followed.body)["steps"] if s["name"] == "reserve")
    assert (step["state"], step["system"]) == ("done", "wms")
    assert list(shop.made().values()) == [1]


def test_what_the_warehouse_refuses_is_told_in_its_own_words(shop: Shop) -> None:
    with shop.serving("web") as web:
        answer = shop.reserve(web, quantity=100_000)
    problem = json.loads(answer.body)
    assert (answer.status, problem["code"]) == (422, "insufficient_stock")
    assert shop.made() == {}
