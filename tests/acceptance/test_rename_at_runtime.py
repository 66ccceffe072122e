"""An upstream renames a field, unannounced, while shops read: from the first record to the mend.

The sandbox, the web workers and the task workers are processes of their own, as `make run` has
them; the admin is asked by Django's test client.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from catalog.entities import Variant
from connectors.models import DriftIncident, QuarantinedRecord, Stream, SyncRun
from connectors.runtime import queue
from connectors.runtime.connect import connect
from hub.auth.keys import issue_key
from tests.processes import free_port, until
from tests.sandboxes import set_fault
from tests.vendors import CREDENTIALS
from tests.web import ROOT, Web, serving

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTS, READERS = 150, 3
CHANGED = "P-000002-01"
QUERY = """query($sku: String!) {
  product(sku: $sku) { variants { sku group provenance { field stale } } } }"""


@contextmanager
def process(log: Path, *command: str) -> Iterator[None]:
    parts = urlsplit(os.environ["DATABASE_URL"])
    name = database.settings_dict["NAME"]
    told = {**os.environ, "DATABASE_URL": urlunsplit(parts._replace(path=f"/{name}"))}
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=told, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


class Shop:
    """Reads the products one after the other, from several threads, and remembers what it saw."""

    def __init__(self, web: Web, key: str) -> None:
        self._web, self._headers = web, {
            "Content-Type": "application/json", "Authorization": f"Bearer {key}",
        }  # fmt: skip
        self._done = threading.Event()
        self.statuses: Counter[int] = Counter()
        #: sku: the groups that were ever served for it.
        self.groups: dict[str, set[str | None]] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._read, args=(n,)) for n in range(READERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def variant(self, sku: str) -> dict[str, Any]:
        """A variant as it is served now: its group, and whether that is stale."""
        status, variants = self._product(sku.rpartition("-")[0])
        assert status == 200
        one = next(v for v in variants if v["sku"] == sku)
        stale = next(p["stale"] for p in one["provenance"] if p["field"] == "group")
        return {"group": one["group"], "stale": stale}

    def _read(self, number: int) -> None:
        while not self._done.is_set():
            sku = f"P-{1 + number % PRODUCTS:06d}"
            number += READERS
            status, variants = self._product(sku)
            with self._lock:
                self.statuses[status] += 1
                for one in variants:
                    self.groups.setdefault(one["sku"], set()).add(one["group"])

    def _product(self, sku: str) -> tuple[int, list[dict[str, Any]]]:
        body = json.dumps({"query": QUERY, "variables": {"sku": sku}}).encode()
        answer = self._web.post("/graphql", body, self._headers)
        if answer.status != 200:
            return answer.status, []
        product = json.loads(answer.body)["data"]["product"]
        return 200, product["variants"] if product else []


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return requests.get(f"{url}/_control/state", timeout=2).ok
        except requests.ConnectionError:
            return False

    command = ("-m", "connectors.sandbox", f"--port={port}", f"--products={PRODUCTS}")
    with process(tmp_path / "sandbox.log", *command):
        until("sandbox", answers, 60)
        yield url


def only_products(url: str) -> Stream:
    """The system that renames, and the one whose products hold its variants; read every second."""
    for system, slug in (("sap", "products"), ("akeneo", "products")):
        row = connect(system, system, url, CREDENTIALS[system])
        row.streams.exclude(slug=slug).update(enabled=False)
    stream = Stream.objects.select_related("connection").get(
        connection__slug="sap", slug="products"
    )
    stream.interval_seconds, stream.objective_seconds = 1, 4
    stream.save()
    return stream


def test_a_rename_under_load(sandbox: str, tmp_path: Path) -> None:
    stream = only_products(sandbox)
    key = issue_key("shop")
    with (
        serving(tmp_path / "web.log") as web,
        process(tmp_path / "workers.log", "manage.py", "workers"),
    ):
        until("first sync", _read_once, 90)
        before = dict(Variant.objects.values_list("key", "group"))
        with Shop(web, key) as shop:
            until("shops that see fresh values", lambda: not shop.variant(CHANGED)["stale"], 30)

            set_fault(
                sandbox, "sap", kind="renamed_field", field="ProductGroup", to="PRODUCT_GROUP"
            )
            _post(f"{sandbox}/_control/sap/A_Product/{CHANGED}", ProductGroup="NEW-GROUP")
            until("an incident", DriftIncident.objects.exists, 10)
            queue.ask(stream, SyncRun.Kind.FULL, asked_by="test")
            until("all records in quarantine", lambda: _held() == len(before), 60)
            until("stale values", lambda: shop.variant(CHANGED)["stale"], 20)
            assert shop.variant(CHANGED)["group"] == before[CHANGED]
            incident = DriftIncident.objects.get()
            assert (incident.resolved_at, incident.system) == (None, "sap")

            _accept_in_the_admin(incident.pk)
            until("an empty quarantine", lambda: _held() == 0, 30)
            until("the new value", lambda: shop.variant(CHANGED)["group"] == "NEW-GROUP", 20)
            until("fresh values", lambda: not shop.variant(CHANGED)["stale"], 20)
            until("the incident's end", lambda: _resolved(incident.pk), 20)
    assert set(shop.statuses) == {200}
    assert DriftIncident.objects.count() == 1
    served = {sku: groups for sku, groups in shop.groups.items() if sku != CHANGED}
    assert served == {sku: {before[sku]} for sku in served}
    assert len(served) > PRODUCTS
    assert dict(Variant.objects.values_list("key", "group")) == before | {CHANGED: "NEW-GROUP"}


def _read_once() -> bool:
    done = SyncRun.objects.filter(kind="full", state="done").values_list("stream__slug", flat=True)
    return len(done) == 2 and Variant.objects.filter(group__isnull=False).count() >= 2 * PRODUCTS


def _held() -> int:
    return QuarantinedRecord.objects.count()


def _resolved(pk: int) -> bool:
    return bool(DriftIncident.objects.get(pk=pk).resolved_at)


def _post(url: str, **body: Any) -> None:
    requests.post(url, json=body, timeout=5).raise_for_status()


def _accept_in_the_admin(pk: int) -> None:
    operator = Client()
    operator.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    page = operator.get(reverse("admin:connectors_driftincident_change", args=[pk]))
    words = strip_tags(page.content.decode())
    assert "PRODUCT_GROUP equals the former ProductGroup in 99.7 % of" in words
    answer = operator.post(
        reverse("admin:connectors_driftincident_changelist"),
        {"one": f"accept_alias:{pk}", "member": "PRODUCT_GROUP"},
    )
    assert answer.status_code == 302
