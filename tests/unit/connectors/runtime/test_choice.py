"""A write goes to a connection that is able to, and to the system that owns what it changes."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from catalog.ownership import OwnershipRule
from connectors.models import Connection
from connectors.runtime import choice
from connectors.runtime.connector import Capability, Connector, register
from connectors.runtime.declare import Ask, Page, StreamSpec
from connectors.wms.connector import STOCK
from observability.errors import ConfigurationError, PermanentError, RefusedByUpstreamError

pytestmark = pytest.mark.django_db


@register
class ShelfConnector(Connector):
    """Able to `shelf.fill`; answers how full it is."""

    slug: ClassVar[str] = "shelf"
    label: ClassVar[str] = "Shelf"
    streams: ClassVar[tuple[StreamSpec, ...]] = (STOCK,)
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("shelf.fill", "stock", lambda v, key: {"n": int(v["quantity"]), "by": key}),
    )
    questions: ClassVar[Any] = {"stock.fullness": lambda self, values: {"share": values["sku"]}}  # noqa: ARG005

    def page(self, stream: StreamSpec, ask: Ask) -> Page:
        raise NotImplementedError

    def record(self, stream: StreamSpec, record_key: str) -> bytes | None:
        raise NotImplementedError


def shelf(slug: str, **more: Any) -> Connection:
    return Connection.objects.create(
        slug=slug, connector="shelf", base_url="http://127.0.0.1:9", **more
    )


def test_the_only_one_that_is_enabled() -> None:
    shelf("old", enabled=False)
    shelf("left")
    assert choice.able_to("shelf.fill").slug == "left"
    assert choice.who_answers("stock.fullness").slug == "left"


def test_of_two_the_first_connected_unless_a_rule_names_the_other() -> None:
    shelf("left")
    shelf("right")
    assert choice.able_to("shelf.fill").slug == "left"
    OwnershipRule.objects.create(entity="stock", owner="elsewhere", fallbacks=["right", "left"])
    assert choice.able_to("shelf.fill").slug == "right"
    assert choice.who_answers("stock.fullness").slug == "right"


def test_nobody_is_able_to() -> None:
    with pytest.raises(ConfigurationError, match=r"is able to shelf\.fill.*does: shelf"):
        choice.able_to("shelf.fill")
    with pytest.raises(ConfigurationError, match="none of those installed"):
        choice.able_to("shelf.burn")
    with pytest.raises(ConfigurationError, match=r"cannot be asked 'stock\.colour'"):
        shelf("left").open().ask("stock.colour", {})


def test_a_write_in_the_upstreams_own_words() -> None:
    able = ShelfConnector.capability("shelf.fill")
    push = able.push({"quantity": "3"}, "cmd_1.fill")
    assert (push.operation, push.body) == ("shelf.fill", b'{"n":3,"by":"cmd_1.fill"}')
    with pytest.raises(PermanentError, match=r"shelf\.fill.*'many'"):
        able.push({"quantity": "many"}, "cmd_1.fill")


def test_a_refusal_carries_its_reason() -> None:
    error = RefusedByUpstreamError("only 2 are left", reason="insufficient_stock", status=409)
    told = error.details()
    assert (told["code"], told["reason"]) == ("upstream.refused", "insufficient_stock")
