"""Which fields nobody fills any more, by the connectors' own mappings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.contracts import supply
from connectors.runtime import connector
from connectors.runtime.connector import Connector, connector_class


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the connectors that other tests have registered."""
    monkeypatch.setattr(connector, "_extra", {})


def changed(monkeypatch: pytest.MonkeyPatch, slug: str, **other: Any) -> None:
    """A stream of SAP's that is declared otherwise."""
    sap: type[Connector] = connector_class("sap")
    streams = tuple(replace(s, **other) if s.slug == slug else s for s in sap.streams)
    monkeypatch.setattr(sap, "streams", streams)


def reading(slug: str, field: str, path: str) -> dict[str, Any]:
    return {**connector_class("sap").stream(slug).fields, field: path}


def test_nothing_is_lost_as_things_stand() -> None:
    assert supply.lost() == {}


def test_a_field_is_lost_with_its_only_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, "products", fields=reading("products", "group", "MaterialGroup"))
    ((lost, (why,)),) = supply.lost().items()
    assert lost == ("variant", "group")
    assert "sap/products: A_ProductType publishes no 'MaterialGroup'" in why


def test_a_field_that_another_system_fills_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, "products", fields=reading("products", "gtin", "Gtin"))
    assert supply.lost() == {}
    assert list(supply.lost([connector_class("sap")])) == [("variant", "gtin")]


def test_without_its_key_a_stream_fills_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, "prices", record_key=("ConditionNumber",))
    prices = connector_class("sap").stream("prices")
    assert list(supply.lost()) == sorted(("price", field) for field in prices.fields)


def test_a_part_s_mapping_counts_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = connector_class("sap").stream("orders")
    (lines,) = orders.children
    fields = {**lines.fields, "quantity": "Quantity"}
    changed(monkeypatch, "orders", children=(replace(lines, fields=fields),))
    assert list(supply.lost()) == [("order_line", "quantity")]
