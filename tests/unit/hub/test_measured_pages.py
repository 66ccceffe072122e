"""What was measured, on the pages that show it, and for Prometheus."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.entities import Product
from connectors.models import Connection, Stream
from hub.auth.keys import issue_key, prefix_of
from hub.console.flows import declared
from hub.usage import counting
from hub.usage.uses import of_rest
from observability import judging, metrics
from observability.clock import database_now
from observability.freshness import StreamFreshness
from observability.judging import Watched
from observability.objectives import FreshnessObjective
from observability.silences import Silence
from tests import console_demo

pytestmark = pytest.mark.django_db

STATEMENTS, DAY = 15, timedelta(days=1)


@pytest.fixture(autouse=True)
def _nothing_else() -> None:
    metrics.forget()


@pytest.fixture
def support(client: Client) -> Client:
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


def read(client: Client, address: str, statements: int = STATEMENTS) -> str:
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(address)
    assert answer.status_code == 200, address
    assert len(seen) <= statements, [q["sql"][:150] for q in seen.captured_queries]
    return answer.content.decode()


@pytest.fixture
def erp() -> Stream:
    console_demo.fill()
    stream = Stream.objects.get(connection__slug="erp", slug="prices")
    judging.judge([Watched("erp", "prices", 60, None, ("price",))])
    where = {"system": "erp", "operation": "GET prices"}
    for milliseconds in (10, 20, 4000):
        metrics.observe("call_milliseconds", milliseconds, **where, outcome="ok")
    metrics.observe("call_milliseconds", 1, **where, outcome="upstream.retryable")
    metrics.observe("call_received_bytes", 4096, **where)
    metrics.count("stream_records", 12, system="erp", stream="prices", outcome="read")
    metrics.flush()
    metrics.roll_up()
    return stream


@pytest.mark.usefixtures("erp")
def test_service_levels_are_shown_and_exported(support: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE observability_measurement m SET total = 1 FROM observability_series s"
            " WHERE s.id = m.series_id AND s.name = 'freshness_late'"
            " AND s.labels ->> 'objective' = 'prices'"
        )
    page = read(support, reverse("sla"))
    assert "erp.prices" in page
    assert page.count("missed") >= 4
    assert "Late minutes of prices in the last week" in page
    # The last minutes of the stream are planned maintenance, and the page and the file say so.
    excused = Silence(system="erp", until=datetime.now(UTC) + DAY, reason="upgrade")
    excused.starts_at = excused.made_at = datetime.now(UTC) - DAY
    excused.save()
    judging.judge([Watched("erp", "prices", 60, None, ("price",))])
    metrics.roll_up()
    assert "1 in maintenance" in read(support, reverse("sla"))
    rows = list(csv.DictReader(io.StringIO(read(support, reverse("sla") + "?format=csv"))))
    assert {row["minutes_maintenance"] for row in rows if row["system"]} == {"1"}
    told = support.get(reverse("sla") + "?format=json").json()["months"]
    assert [row["objective"] for row in rows] == [row["objective"] for row in told]
    kept = {(row["objective"], row["stream"]): row["attained"] for row in told}
    assert kept == {
        ("prices", ""): 0, ("prices", "prices"): 0, ("streams", ""): 1, ("streams", "prices"): 1,
    }  # fmt: skip
    assert support.get(reverse("sla") + "?format=xls").status_code == 404


def test_the_front_page_and_the_map_go_by_the_objectives_and_not_by_the_age(
    support: Client, erp: Stream
) -> None:
    """What is older than promised is in time while nothing changed that is not here."""
    past, now = timedelta(hours=2), database_now()
    StreamFreshness.objects.filter(system="erp", stream="prices").update(watermark=now - past)
    FreshnessObjective.objects.filter(name="streams").update(enabled=False)
    for hours_apart, waiting, said in ((24, None, ""), (24, now - past, "late")):
        judging.judge([Watched("erp", "prices", hours_apart * 3600, waiting, ("price",))])
        answer = support.get(reverse("admin:index"))
        rows = {row.name: row for row in answer.context["classes"]}
        assert (rows["price"].fresh, rows["price"].worst) == (0 if said else 1, erp)
        assert said in rows["price"].lag
        # Of the class that no objective is about nothing is said.
        assert (rows["text"].fresh, "not judged" in rows["text"].lag) == (0, True)
        systems = {system.slug: system for system in declared.systems({}, {})}
        (flow,) = (flow for flow in systems["erp"].inflows if flow.name == "prices")
        assert flow.state == (said or "in time")
    # In maintenance it is neither, and both say so.
    Silence.objects.create(
        system="erp", starts_at=now - DAY, until=now + DAY, made_at=now - DAY, reason="upgrade"
    )
    metrics.forget()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE observability_measurement SET at = at - interval '1 minute'")
    judging.judge([Watched("erp", "prices", 60, None, ("price",))])
    rows = {row.name: row for row in support.get(reverse("admin:index")).context["classes"]}
    assert "in maintenance" in rows["price"].lag
    flows = {flow.name: flow for one in declared.systems({}, {}) for flow in one.inflows}
    assert flows["prices"].state == "in maintenance"


def test_a_connection_and_a_stream_show_what_was_measured_of_them(
    support: Client, erp: Stream
) -> None:
    address = reverse("admin:connectors_connection_change", args=[erp.connection_id])
    page = read(support, address)
    assert "Slowest twentieth (p95) by operation" in page
    assert "1 × upstream.retryable" in page
    assert "GET prices" in page
    page = read(support, reverse("admin:connectors_stream_change", args=[erp.pk]))
    assert "From a change upstream to its commit here" in page
    assert "last 0, most 12 in 20 min" in page or "last 12, most 12 in 20 min" in page
    assert Connection.objects.get(pk=erp.connection_id).slug == "erp"


def test_traffic_is_told_by_operation_and_key(support: Client) -> None:
    key = issue_key("shop")
    uses = of_rest(Product, many=True, parts=False, provenance=False)
    for outcome in ("process", "redis", "database", "database"):
        counting.count(prefix_of(key), uses, outcome, 2.0)
    counting.pass_on()
    assert support.get("/api/v1/nothing-here").status_code == 404
    metrics.flush()
    page = read(support, reverse("traffic") + "?span=hour")
    assert "GET /api/v1/products" in page
    assert "shop" in page
    assert "50 %" in page
    assert "1 × client error" in page
    assert "(unknown address)" in page
    assert support.get(reverse("traffic") + "?span=week").status_code == 404


def test_pages_and_metrics_are_for_those_who_may(client: Client) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))
    for name in ("sla", "traffic"):
        assert client.get(reverse(name)).status_code == 403
    stranger = Client(REMOTE_ADDR="192.0.2.7")
    answer = stranger.get("/metrics")
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    lacking = stranger.get("/metrics", HTTP_X_API_KEY=issue_key("shop", ["read:*"]))
    assert lacking.status_code == 403
    assert "metrics" in lacking.json()["detail"]
    told = stranger.get("/metrics", HTTP_X_API_KEY=issue_key("prometheus", ["metrics"]))
    assert (told.status_code, told["Content-Type"]) == (
        200, "text/plain; version=0.0.4; charset=utf-8",
    )  # fmt: skip
    assert Client(REMOTE_ADDR="127.0.0.1").get("/metrics").status_code == 200
    # A proxy on this machine asks for somebody else.
    assert (
        Client(REMOTE_ADDR="127.0.0.1")
        .get("/metrics", HTTP_X_FORWARDED_FOR="192.0.2.7")
        .status_code
        == 401
    )
