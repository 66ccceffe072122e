"""The faults: how each is brought about, how it is healed, and which system and hop are to blame.

A fault is done to a house in which people and frontends go on with their work (`DrillHouse.traffic`).
It is healed as an operator would, and the reading of the system is asked for at once.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from random import Random
from typing import Any

from tests.drill.house import (
    LEVELS,
    MIRROR,
    SHELF,
    STOREFRONT,
    TWIN,
    DrillHouse,
    level_key,
    wrong_secret,
)
from tests.faults.house import SECRET, send
from tests.faults.upstream import level
from tests.processes import free_port, until

#: Instead of a system: what is our own.
OURSELVES = "headwater"
RESTARTS = 4
#: A member that is there, and says nothing.
EMPTY = [{"data": None, "locale": None, "scope": None}]

Deed = Callable[[DrillHouse, Random], Any]


@dataclass(frozen=True)
class Fault:
    """`inject` returns what `heal` is given."""

    name: str
    system: str
    hop: str
    inject: Deed
    heal: Callable[[DrillHouse, Any], None]


# --- of the sandbox -----------------------------------------------------------------------------


def _scripted(name: str, system: str, hop: str, **fault: Any) -> Fault:
    """One of the sandbox's own (connectors/sandbox/faults.py). `refresh`: read this stream in full."""
    refresh, touch = fault.pop("refresh", ""), fault.pop("touch", "")
    count = fault.pop("records", 40)

    def inject(house: DrillHouse, random: Random) -> None:
        house.control(f"faults/{system}", "PUT", {**fault, "seed": random.randrange(1, 1000)})
        if touch:
            house.control("touch", "POST", {"system": system, "collection": touch, "count": count})
        if refresh:
            ask(system, refresh)

    def heal(house: DrillHouse, _: Any) -> None:
        house.control(f"faults/{system}", "DELETE")
        if refresh:
            ask(system, refresh)

    return Fault(name, system, hop, inject, heal)


# --- of a connection ----------------------------------------------------------------------------


def _moved(name: str, system: str, hop: str, address: Callable[[DrillHouse], str]) -> Fault:
    """Its address leads elsewhere."""

    def inject(house: DrillHouse, _: Random) -> str:
        from connectors.models import Connection

        rows = Connection.objects.filter(slug=system)
        former: str = rows.values_list("base_url", flat=True).get()
        rows.update(base_url=address(house))
        return former

    def heal(_: DrillHouse, former: str) -> None:
        from connectors.models import Connection

        Connection.objects.filter(slug=system).update(base_url=former)

    return Fault(name, system, hop, inject, heal)


def _refused_port(_: DrillHouse) -> str:
    return f"http://127.0.0.1:{free_port()}"


def _insecure(house: DrillHouse) -> str:
    return house.sandbox.replace("http://", "https://")


def _silent(house: DrillHouse) -> str:
    house.endpoints["nobody"].status = None
    return house.endpoints["nobody"].url


def _set_secret(name: str, system: str, member: str) -> Fault:
    """One of its secrets is another than the other side's."""

    def inject(_: DrillHouse, __: Random) -> dict[str, Any]:
        from connectors.models import Connection
        from connectors.secrets import unseal

        row = Connection.objects.get(slug=system)
        former = {**row.settings, **unseal(row.secrets, row.slug)}
        wrong = wrong_secret() if member == "webhook_secret" else "revoked"
        row.configure({**former, member: wrong})
        row.save()
        return former

    def heal(_: DrillHouse, former: dict[str, Any]) -> None:
        from connectors.models import Connection

        row = Connection.objects.get(slug=system)
        row.configure(former)
        row.save()

    return Fault(name, system, "credentials", inject, heal)


# --- of what is said ----------------------------------------------------------------------------


def _emptied(house: DrillHouse, _: Random) -> dict[str, Any]:
    """A text that was there is empty in every product, and nothing says that this is wrong."""
    models = {key: house.control(f"akeneo/product_models/{key}") for key in _models(house)}
    for key in models:
        house.control(f"akeneo/product_models/{key}", "POST", {"values": {"brand": EMPTY}})
    return models


def _filled(house: DrillHouse, models: dict[str, Any]) -> None:
    for key, model in models.items():
        values = {"brand": model["values"].get("brand")}
        house.control(f"akeneo/product_models/{key}", "POST", {"values": values})


def _models(_: DrillHouse) -> list[str]:
    from catalog.source import SourceRecord

    rows = SourceRecord.objects.filter(source__system="akeneo", source__stream="products")
    return list(rows.order_by("record_key").values_list("record_key", flat=True))


def _wrong_mapping(house: DrillHouse, _: Random) -> None:
    house.deploy("reserved")
    house.restart_workers()
    ask(SHELF, "stock", kind="remap")


def _right_mapping(house: DrillHouse, _: Any) -> None:
    house.deploy("available")
    house.restart_workers()
    ask(SHELF, "stock", kind="remap")


def _poison(house: DrillHouse, random: Random) -> None:
    from connectors.webhooks.schemes import standard_signature

    for number in range(3):
        sku, name = f"SHELF-{number}", f"poison-{random.randrange(10**6)}-{number}"
        record = level(sku, 9000 + number, "defect") | {"updated_at": datetime.now(UTC).isoformat()}
        body = json.dumps({"id": name, "key": level_key(sku), "record": record}).encode()
        stamp = int(time.time())
        link = HTTPConnection("127.0.0.1", house.port, timeout=10)
        link.request(
            "POST", f"/hooks/{SHELF}/", body,
            {
                "Content-Type": "application/json", "webhook-id": name,
                "webhook-timestamp": str(stamp),
                "webhook-signature": standard_signature(name, stamp, body, [SECRET]),
            },
        )  # fmt: skip
        answer = link.getresponse()
        assert answer.status == 202, answer.read()
        link.close()


def _lost_webhooks(house: DrillHouse, random: Random) -> None:
    """Some go to somebody who says yes and keeps nothing."""
    hub = {"url": f"{house.url}/hooks/wms/"}
    sink = house.endpoints["nobody"]
    sink.status = 200
    skus = [key.partition("/")[2] for key in house.keys("wms", "stock")]
    house.control("subscriptions/wms", "PUT", {"url": sink.url})
    for _ in range(4):
        _count(house, skus[0], random)
    until("webhooks that are lost", lambda: not house.control("state")["pending_deliveries"], 30)
    house.control("subscriptions/wms", "PUT", hub)
    _count(house, skus[0], random)


def _count(house: DrillHouse, sku: str, random: Random) -> None:
    said = {"sku": sku, "warehouse": "AMS", "on_hand": random.randrange(500)}
    house.control("stock", "POST", said)


def _mass_deletion(house: DrillHouse, _: Random) -> dict[str, int]:
    held = dict(house.shelves.held["twin"])
    for number in range(LEVELS // 4, LEVELS):
        house.shelves.held["twin"].pop(f"SHELF-{number}", None)
    ask(TWIN, "stock", kind="full")
    return held


def _restored(house: DrillHouse, held: dict[str, int]) -> None:
    house.shelves.held["twin"] = held
    ask(TWIN, "stock", kind="full")


def _skewed(house: DrillHouse, random: Random) -> None:
    house.shelves.skew = timedelta(days=400, hours=random.randrange(1, 24))


def _in_time(house: DrillHouse, _: Any) -> None:
    """The clock is right again; an operator takes the position back and has all read once more."""
    from django.db.models.functions import Now

    from connectors.models import Checkpoint

    house.shelves.skew = timedelta()
    rows = Checkpoint.objects.filter(stream__connection__slug__in=(SHELF, TWIN))
    rows.update(position=Now() - timedelta(days=1))


# --- of our own ---------------------------------------------------------------------------------


def _other_owner(_: DrillHouse, __: Random) -> int:
    from catalog import rule_changes
    from catalog.ownership import OwnershipRule

    rule = OwnershipRule(
        entity="stock", field="available", owner=TWIN, fallbacks=["wms", SHELF], reason="The drill."
    )
    return rule_changes.save(rule, "drill").rule_id


def _same_owner(_: DrillHouse, rule: int) -> None:
    from catalog import rule_changes
    from catalog.ownership import OwnershipRule

    rule_changes.remove(OwnershipRule.objects.get(pk=rule), "drill")


def _purges_fail(house: DrillHouse, _: Random) -> None:
    house.flush_valkey()
    house.endpoints[STOREFRONT].status = 500


def _mirror_fails(house: DrillHouse, _: Random) -> None:
    house.endpoints[MIRROR].status = 503


def _endpoints_work(house: DrillHouse, _: Any) -> None:
    """Somebody mended it, and says so."""
    from django.db.models.functions import Now

    from connectors.models import OutboxCommand, Subscriber

    for slug in (STOREFRONT, MIRROR):
        house.endpoints[slug].status = 200
        row = Subscriber.objects.get(slug=slug)
        row.forgive()
        row.save()
    waiting = OutboxCommand.objects.filter(state="retrying", subscriber__isnull=False)
    waiting.update(next_attempt_at=Now())


def _revoked(house: DrillHouse, _: Random) -> None:
    from django.db.models.functions import Now

    from hub.auth.models import ApiKey

    ApiKey.objects.filter(prefix=house.key.split("_")[1]).update(revoked_at=Now())


def _allowed(house: DrillHouse, _: Any) -> None:
    from hub.auth.models import ApiKey

    ApiKey.objects.filter(prefix=house.key.split("_")[1]).update(revoked_at=None)


def _killed(house: DrillHouse, _: Random) -> None:
    for _again in range(RESTARTS):
        until("cluster", house.qcluster, 60)
        pid = house.qcluster()
        if pid:
            send(pid, signal.SIGKILL)
        time.sleep(4)


def _nothing(_: DrillHouse, __: Any) -> None:
    """It is over by itself, or with the dead letters that an operator throws away."""


def ask(system: str, stream: str, kind: str = "full") -> None:
    """Ask for a run, as a person does; of all streams where none is named."""
    from connectors.models import Stream
    from connectors.runtime import queue

    rows = Stream.objects.filter(connection__slug=system).select_related("connection")
    for row in rows.filter(slug=stream) if stream else rows:
        queue.ask(row, kind, asked_by="the drill")


FAULTS: tuple[Fault, ...] = (
    _scripted("system down", "stripe", "upstream", kind="down"),
    _moved("connection refused", "wms", "network", _refused_port),
    _moved("no secure connection", "salesforce", "network", _insecure),
    _moved("no answer at all", "stripe", "upstream", _silent),
    _scripted("slow answers", "akeneo", "upstream", kind="slow", seconds=6),
    _scripted("most answers are 503", "sap", "upstream", kind="server_error", share=0.8),
    _scripted("truncated answers", "wms", "upstream", kind="truncated"),
    _scripted("garbage for JSON", "salesforce", "upstream", kind="garbage"),
    _scripted("rate limited", "stripe", "upstream", kind="rate_limited", retry_after=20),
    _set_secret("credentials revoked", "wms", "token"),
    _set_secret("webhook secret rotated wrongly", "wms", "webhook_secret"),
    _scripted(
        "renamed field", "sap", "contract", kind="renamed_field", field="ProductGroup",
        touch="A_Product", refresh="products",
    ),
    _scripted(
        "type changed", "salesforce", "contract", kind="retyped_field", field="Name",
        touch="Account", refresh="accounts",
    ),
    # More than a page has changed, and the second page is the first.
    _scripted(
        "stuck cursor", "akeneo", "cursor", kind="stuck_cursor", touch="products", records=1000,
    ),
    Fault("wrong mapping deployed", SHELF, "mapping", _wrong_mapping, _right_mapping),
    Fault("emptied field", "akeneo", "upstream", _emptied, _filled),
    Fault("poison event", SHELF, "inbox", _poison, _nothing),
    Fault("webhooks lost", "wms", "inbox", _lost_webhooks, _nothing),
    Fault("mass deletion upstream", TWIN, "upstream", _mass_deletion, _restored),
    Fault("upstream's clock is wrong", SHELF, "clock", _skewed, _in_time),
    Fault("ownership rule changed", TWIN, "rule", _other_owner, _same_owner),
    Fault("cache purges lost", STOREFRONT, "cache", _purges_fail, _endpoints_work),
    Fault("subscriber's endpoint dead", MIRROR, "subscriber", _mirror_fails, _endpoints_work),
    Fault("a frontend's key revoked", OURSELVES, "key", _revoked, _allowed),
    Fault("workers killed again and again", OURSELVES, "inbox", _killed, _nothing),
)  # fmt: skip
