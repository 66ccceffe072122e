"""The journal of outgoing calls: a row for each attempt, with nothing in it that is not ours to keep."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from connectors.runtime import noting
from connectors.runtime.session import HubSession
from observability import calls, journal, retention
from observability.calls import Call, OutgoingCall
from observability.context import correlation
from observability.errors import RetryableError
from tests.unit.connectors.hostile import Answer, hostile

POLICY = '"minute";q=100;w=60'


@pytest.mark.django_db
def test_each_attempt_is_a_row_with_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Call] = []
    monkeypatch.setattr(calls, "LISTENERS", [heard.append])
    limits = {"RateLimit": '"minute";r=25;t=30', "RateLimit-Policy": POLICY}
    with hostile() as upstream, correlation("two-tries"):
        upstream.then(Answer(503), Answer(200, b"[1, 2]", limits), None, None)
        session = HubSession("erp", f"{upstream.url}/gateway-s3cret", timeout=(1, 2), retries=1)
        session.get("products/P-000017?email=ada@example.com")
        with pytest.raises(RetryableError):
            session.put("products/P-000018", data=b"12345")
        upstream.then(Answer(404))
        session.get("customers/ada%40example.com")
    journal.write()
    rows = list(OutgoingCall.objects.filter(correlation_id="two-tries").order_by("id"))
    assert [(r.operation, r.status, r.error) for r in rows] == [
        ("GET products/{}", 503, "upstream.retryable"),
        ("GET products/{}", 200, ""),
        ("PUT products/{}", None, "upstream.retryable"),
        ("PUT products/{}", None, "upstream.retryable"),
        ("GET customers/{}", 404, ""),
    ]
    assert rows[-1].path == "/customers/•••"
    assert (rows[1].path, rows[1].received_bytes, rows[1].headroom) == (
        "/products/P-000017",
        6,
        0.25,
    )
    assert rows[0].at <= rows[1].at <= rows[2].at
    assert [(call.operation, call.status) for call in heard] == [
        (r.operation, r.status) for r in rows
    ]


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("sap/opu/odata/sap/API_PRODUCT_SRV/A_Product('MAT 1')/to_Description",
         "sap/opu/odata/sap/API_PRODUCT_SRV/A_Product({})/to_Description"),
        ("services/data/v60.0/sobjects/Account/001gL00000AbcDe", "services/data/v60.0/sobjects/Account/{}"),
        ("services/oauth2/token", "services/oauth2/token"),
        ("api/rest/v1/categories/cat_1", "api/rest/v1/categories/{}"),
        ("customers/ada%40example.com", "customers/{}"),
        ("v1/payment_intents/pi_3Nx/capture", "v1/payment_intents/{}/capture"),
    ],
)  # fmt: skip
def test_an_operation_is_a_path_without_its_ids(path: str, operation: str) -> None:
    assert noting.operation_of("any", "GET", f"/{path}") == f"GET {operation}"


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        (
            {"RateLimit": '"a";r=5;t=1, "b";r=90;t=9', "RateLimit-Policy": '"a";q=10, "b";q=100'},
            0.5,
        ),
        ({"X-RateLimit-Remaining": "30", "X-RateLimit-Limit": "40"}, 0.75),
        ({"Sforce-Limit-Info": "api-usage=15000/100000"}, 0.85),
        ({"X-Shopify-Shop-Api-Call-Limit": "40/40"}, 0.0),
        ({"X-RateLimit-Remaining": "many"}, None),
    ],
)
def test_the_rate_limits_headroom_is_told_in_many_ways(
    headers: dict[str, str], left: float | None
) -> None:
    assert noting.headroom(headers) == left


@pytest.mark.django_db
def test_old_calls_go_and_the_rest_stays() -> None:
    row = {"system": "erp", "operation": "GET x", "method": "GET", "path": "/x", "milliseconds": 1,
           "sent_bytes": 0, "received_bytes": 0}  # fmt: skip
    OutgoingCall.objects.create(at=Now() - timedelta(days=7, hours=1), **row)
    kept = OutgoingCall.objects.create(at=Now() - timedelta(days=7, hours=-1), **row)
    assert retention.prune() == 1
    assert list(OutgoingCall.objects.values_list("pk", flat=True)) == [kept.pk]
