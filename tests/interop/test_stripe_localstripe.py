"""The Stripe connector reads payments from a fake Stripe that nobody here wrote (localstripe).

It lists the oldest first, knows no filter (a parameter that it does not know is a 400), embeds
`charges` as an API version of 2017 did, and says nothing about what was received.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from catalog.entities import Payment
from catalog.source import SourceRecord
from tests.localstripe import card, localstripe, needs_localstripe, post
from tests.pulls import pulled
from tests.vendors import everything, opened, said

pytestmark = needs_localstripe


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with localstripe(tmp_path_factory.mktemp("upstreams")) as address:
        yield address


@pytest.fixture(scope="module")
def payments(url: str) -> dict[str, str]:
    """{what it is: id}, and 100 more, so that there are two pages."""
    numbered = {"metadata[customer_number]": "10000001"}
    customer = post(url, "customers", email="a@example.com", **numbered)["id"]
    method = card(url, customer)

    def pay(order: int, **form: Any) -> Any:
        about = {"metadata[order_number]": f"{order:010d}", "metadata[customer_number]": "10000001"}
        known = {"amount": "331680", "currency": "eur", "customer": customer, **about}
        return post(url, "payment_intents", **known, **form)

    confirmed = {"payment_method": method, "confirm": "true"}
    held = {**confirmed, "capture_method": "manual"}
    part = pay(5, **held)
    post(url, f"charges/{part['charges']['data'][0]['id']}/capture", amount="100")
    made = {
        "captured": pay(1, **confirmed)["id"],
        "authorised": pay(2, **held)["id"],
        "unpaid": pay(3)["id"],
        "cancelled": post(url, f"payment_intents/{pay(4)['id']}/cancel")["id"],
        "captured in part": part["id"],
    }
    for order in range(6, 106):
        pay(order)
    return made


def read(url: str) -> dict[str | None, dict[str, Any]]:
    connector = opened("stripe", url)
    spec = connector.stream("payments")
    found = [said(spec, raw) for raw in everything(connector, "payments")]
    assert len({key for key, _ in found}) == len(found)
    return dict(found)


@pytest.mark.usefixtures("payments")
def test_every_payment_is_read_over_the_border_of_pages(url: str) -> None:
    found = read(url)
    assert len(found) == 105
    assert {fields["order"] for fields in found.values()} == {f"{n:010d}" for n in range(1, 106)}
    assert {fields["customer"] for fields in found.values()} == {"10000001"}


def test_what_each_payment_says(url: str, payments: dict[str, str]) -> None:
    found = read(url)
    said_of = {what: found[key] for what, key in payments.items()}
    assert {what: fields["status"] for what, fields in said_of.items()} == {
        "captured": "succeeded",
        "authorised": "requires_capture",
        "unpaid": "requires_payment_method",
        "cancelled": "canceled",
        "captured in part": "succeeded",
    }
    assert {what: fields.get("captured") for what, fields in said_of.items()} == {
        "captured": Decimal("3316.80"),
        "authorised": Decimal("0.00"),
        "unpaid": Decimal("0.00"),
        "cancelled": Decimal("0.00"),
        # this server shows the rest as refunded, which it was not: nothing is said
        "captured in part": None,
    }
    paid = {what for what, fields in said_of.items() if "paid_at" in fields}
    assert paid == {"captured", "captured in part"}
    amounts = {(fields["amount"], fields["currency"]) for fields in said_of.values()}
    assert amounts == {(Decimal("3316.80"), "EUR")}


def test_one_payment_is_read_again(url: str, payments: dict[str, str]) -> None:
    connector = opened("stripe", url)
    spec = connector.stream("payments")
    raw = connector.record(spec, payments["captured"])
    assert raw is not None
    assert said(spec, raw)[0] == payments["captured"]
    assert connector.record(spec, "pi_nope") is None


@pytest.mark.usefixtures("payments")
def test_the_customers_are_read_by_their_number(url: str) -> None:
    connector = opened("stripe", url)
    spec = connector.stream("accounts")
    (raw,) = everything(connector, "accounts")
    assert said(spec, raw) == ("10000001", {"payment_account": json.loads(raw)["id"]})


@pytest.mark.django_db(transaction=True)
def test_payments_reach_the_catalogue_with_where_they_came_from(
    url: str, payments: dict[str, str]
) -> None:
    run = pulled("stripe", url, "payments")
    assert (run.state, run.read, run.merged, run.quarantined) == ("done", 105, 105, 0)
    payment = Payment.objects.get(pk=payments["captured"])
    assert (payment.order_id, payment.amount) == ("0000000001", Decimal("3316.80"))
    assert (payment.currency, payment.status) == ("EUR", "succeeded")
    record = SourceRecord.objects.get(pk=payment.provenance["amount"])
    assert (record.record_key, record.run_id) == (payments["captured"], run.pk)
