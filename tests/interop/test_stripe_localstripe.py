"""The Stripe connector reads payments from a fake Stripe that nobody here wrote (localstripe).

It lists the oldest first, knows no filter (a parameter that it does not know is a 400), embeds
`charges` as an API version of 2017 did, and says nothing about what was received. It is started by
`upstreams/ups stripe start` of the folder that `HEADWATER_SHARED` names, or `../shared`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from catalog.entities import Payment
from catalog.source import SourceRecord
from tests.pulls import pulled
from tests.vendors import everything, opened, said

ROOT = Path(__file__).resolve().parents[2]
UPS = Path(os.environ.get("HEADWATER_SHARED") or ROOT.parent / "shared") / "upstreams" / "ups"
KEY = ("sk_test_headwater", "")
INSTALL_SECONDS = 180

pytestmark = pytest.mark.skipif(
    not UPS.is_file() or shutil.which("bash") is None,
    reason=f"no third-party servers: {UPS} is absent (HEADWATER_SHARED names its folder)",
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own: own folder, own port; what others have started stays as it is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    home = tmp_path_factory.mktemp("upstreams")
    environment = {**os.environ, "UPS_HOME": str(home), "PORT": port}
    # Its output stays open with the server it leaves behind, so it goes to a file.
    log = home / "ups.log"
    try:
        with log.open("wb") as out:
            started = subprocess.run(
                [str(UPS), "stripe", "start"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        if started.returncode:
            pytest.skip(f"ups stripe start failed: {log.read_text('utf-8', 'replace')[-300:]}")
        address = f"http://127.0.0.1:{port}"
        _wait_for(address)
        yield address
    finally:
        subprocess.run([str(UPS), "stripe", "stop"], env=environment, timeout=30, check=False)


def _wait_for(address: str) -> None:
    for _ in range(40):
        try:
            requests.get(f"{address}/v1/customers", auth=KEY, timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.25)
    pytest.skip(f"the server does not answer at {address}")


def post(url: str, path: str, **form: Any) -> Any:
    answer = requests.post(f"{url}/v1/{path}", data=form, auth=KEY, timeout=10)
    answer.raise_for_status()
    return answer.json()


@pytest.fixture(scope="module")
def payments(url: str) -> dict[str, str]:
    """{what it is: id}, and 100 more, so that there are two pages."""
    numbered = {"metadata[customer_number]": "10000001"}
    customer = post(url, "customers", email="a@example.com", **numbered)["id"]
    card = {"card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "2040"}
    method = post(url, "payment_methods", type="card", **card, **{"card[cvc]": "123"})["id"]
    post(url, f"payment_methods/{method}/attach", customer=customer)

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
