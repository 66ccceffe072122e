"""The map: what is configured, what was seen, and what nothing configured explains."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog import overrides
from catalog.overrides import Decision
from connectors.models import Connection, Stream, Subscriber
from hub.auth.keys import issue_key, prefix_of
from hub.auth.models import ApiKey
from hub.console.flows.graph import Map
from hub.console.flows.page import whole
from hub.usage.models import FieldUsage
from observability import incidents, metrics
from tests import console_demo

pytestmark = pytest.mark.django_db

STATEMENTS = 15
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _demo() -> None:
    metrics.forget()
    console_demo.fill()


def read_by(key: str, entity: str, field: str, requests: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (now() AT TIME ZONE 'UTC')::date")
        (today,) = cursor.fetchone()
    FieldUsage.objects.create(
        day=today, key=prefix_of(key), entity=entity, field=field, requests=requests
    )


def undeclared(shown: Map) -> str:
    return " | ".join(f"{one.what}: {one.why}" for one in shown.undeclared)


def test_systems_feed_entities_and_keys_read_them() -> None:
    shop = issue_key("shop", ["read:variant", "read:price"])
    read_by(shop, "variant", "gtin", 40)
    read_by(shop, "variant", "name", 25)
    Subscriber.objects.create(slug="pages", url="https://shop.example/hook", entities=["price"])

    shown = whole()

    erp = next(system for system in shown.systems if system.slug == "erp")
    fed = {flow.name: flow.entities for flow in erp.inflows}
    assert fed["prices"] == ("price",)
    assert "order_line" in fed["orders"]
    one = next(one for one in shown.consumers if one.name == "shop")
    assert one.reads["variant"].requests == 40
    assert one.reads["variant"].fields == 2
    told = next(one for one in shown.consumers if one.name == "pages")
    assert told.told == ("price",)
    assert not shown.undeclared


def test_trouble_of_a_stream_and_of_a_system_is_said_on_the_map() -> None:
    incidents.find("lag", "erp", "erp.prices is older than promised", stream="prices")
    incidents.find("system_down", "pim", "pim is down")
    Stream.objects.filter(slug="articles").update(enabled=False)

    systems = {system.slug: system for system in whole().systems}

    states = {flow.name: flow.state for flow in systems["erp"].inflows}
    assert states["prices"] == "erp.prices is older than promised"
    assert states["articles"] == "switched off"
    assert systems["pim"].state == "pim is down"
    assert systems["erp"].state == "connected"


def test_what_nothing_declares_is_flagged() -> None:
    gone, narrowed = issue_key("old app", ["read:variant"]), issue_key("app", ["read:variant"])
    read_by(gone, "variant", "gtin", 7)
    read_by(narrowed, "variant", "gtin", 9)
    ApiKey.objects.filter(name="old app").delete()
    ApiKey.objects.filter(name="app").update(scopes=["read:price"])
    metrics.observe("call_milliseconds", 5, system="legacy", operation="GET things", outcome="ok")
    metrics.flush()
    metrics.roll_up()

    found = undeclared(whole())

    assert f"variant → hw_{prefix_of(gone)}_…: at least 7 reads" in found
    assert "variant → app: at least 9 reads" in found
    assert "hub → legacy: 1 calls" in found
    assert "erp" not in found


def test_records_of_a_system_that_is_gone_are_flagged() -> None:
    # A person who decides is no system that is gone.
    overrides.override(
        [Decision("variant", "T-1-01", "gtin", "4006381333931")], by="ola", reason="read"
    )
    assert not whole().undeclared
    Connection.objects.filter(slug="pim").delete()
    assert "pim." in undeclared(whole())


def test_the_page_leads_on_and_costs_few_statements(client: Client) -> None:
    key = issue_key("shop <b>", ["read:*"])
    read_by(key, "variant", "gtin", 3)
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_stream"))
    client.force_login(user)
    assert "shop" not in client.get(reverse("map")).content.decode()

    client.force_login(User.objects.create_superuser("root", "root@example.com", "x"))
    with CaptureQueriesContext(connection) as seen:
        page = client.get(reverse("map")).content.decode()
    assert len(seen) <= STATEMENTS, [q["sql"][:150] for q in seen.captured_queries]
    stream = Stream.objects.get(connection__slug="erp", slug="prices")
    assert reverse("admin:connectors_stream_change", args=[stream.pk]) in page
    assert "shop &lt;b&gt;" in page
    assert "shop <b>" not in page


def test_the_document_is_written_with_its_drawing(tmp_path: Path) -> None:
    call_command("architecture", str(tmp_path / "docs"))

    text = (tmp_path / "docs" / "architecture.md").read_text()
    assert "| erp.prices | price | " in text
    for title in ("Systems", "Ownership", "Freshness", "When a system is down", "Consumers"):
        assert f"## {title}\n" in text
    drawing = ET.parse(tmp_path / "docs" / "architecture.svg").getroot()  # noqa: S314 (our own)
    said = {text for text in drawing.itertext() if text.strip()}
    assert {"erp", "prices", "variants"} <= said
    assert not drawing.findall(f".//{SVG}a"), "a file that travels links to nothing"
