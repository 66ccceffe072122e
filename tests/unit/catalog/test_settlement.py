"""Whether the money adds up: each kind of difference, and what is none."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from catalog import settlement
from tests import catalogue

pytestmark = pytest.mark.django_db

WHO = catalogue.CUSTOMER_TAG["customer_number"]


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop whose one order is paid, given back in part and paid out; nothing has to be quiet."""
    for kind in settlement.WINDOWS:
        monkeypatch.setitem(settlement.WINDOWS, kind, timedelta(0))
    catalogue.fill(1)


def told() -> dict[str, tuple[str, str, Any, Any]]:
    """By kind: key, the other key, expected, found."""
    found = settlement.differences()
    assert len({d.kind for d in found}) == len(found)
    return {d.kind: (d.key, d.other_key, d.expected, d.found) for d in found}


def order(number: str, total: str = "100.00", **members: Any) -> None:
    made = {**deepcopy(catalogue.ORDER), "SalesOrder": number, "TotalNetAmount": total, **members}
    catalogue.say("sap", "orders", [made])


def payment(key: str, number: str | None, amount: int, **members: Any) -> None:
    tags = {"customer_number": WHO, **({"order_number": number} if number else {})}
    made = {**catalogue.PAYMENT, "id": key, "amount": amount, "metadata": tags}
    catalogue.say("stripe", "payments", [{**made, "amount_received": amount, **members}])


def refund(key: str, of: str | None, amount: int, **members: Any) -> None:
    made = {**catalogue.REFUND, "id": key, "payment_intent": of, "amount": amount, **members}
    catalogue.say("stripe", "refunds", [made])


def test_what_adds_up_is_no_difference() -> None:
    assert told() == {}
    assert all((count.open, count.waiting) == (0, 0) for count in settlement.counts())


def test_an_order_without_a_payment_that_brought_money() -> None:
    order("0000000002")
    payment("pi_2", "0000000002", 10_000, status="canceled", amount_received=0)
    assert told() == {"order_without_payment": ("0000000002", "", Decimal(100), 0)}
    payment("pi_3", "0000000002", 10_000)
    assert told() == {}


def test_nothing_is_expected_of_a_cancelled_order_and_nothing_may_be_held_for_it() -> None:
    order("0000000002", OverallSDDocumentRejectionSts="C")
    assert told() == {}
    payment("pi_2", "0000000002", 10_000, status="requires_capture", amount_received=0)
    assert told() == {"amount_differs": ("0000000002", "pi_2", 0, Decimal(100))}
    payment("pi_2", "0000000002", 10_000)
    assert told() == {"captured_more_than_ordered": ("0000000002", "pi_2", 0, Decimal(100))}
    refund("re_2", "pi_2", 10_000)
    assert told() == {}


@pytest.mark.parametrize("number", [None, "0000000404"])
def test_a_payment_without_an_order(number: str | None) -> None:
    payment("pi_2", number, 500)
    assert told() == {"payment_without_order": ("pi_2", number or "", 0, Decimal(5))}


def test_a_payment_in_another_currency_than_its_order() -> None:
    order("0000000002")
    payment("pi_2", "0000000002", 10_000, currency="usd")
    assert told() == {"currency_differs": ("0000000002", "pi_2", Decimal(100), Decimal(100))}
    assert settlement.differences()[0].currency == "EUR / USD"


def test_what_is_held_is_not_what_was_ordered() -> None:
    order("0000000002", OverallSDProcessStatus="A")
    held = {"status": "requires_capture", "amount_received": 0}
    payment("pi_2", "0000000002", 9_000, **held)
    assert told() == {"amount_differs": ("0000000002", "pi_2", Decimal(100), Decimal(90))}
    payment("pi_3", "0000000002", 1_000, **held)
    assert told() == {}


def test_less_was_captured_than_ordered() -> None:
    order("0000000002")
    payment("pi_2", "0000000002", 10_000, amount_received=8_000)
    less = {"captured_less_than_ordered": ("0000000002", "pi_2", Decimal(100), Decimal(80))}
    assert told() == less
    payment("pi_3", "0000000002", 2_000)
    assert told() == {}


def test_what_is_held_for_a_completed_order_was_never_collected() -> None:
    order("0000000002")
    payment("pi_2", "0000000002", 10_000, status="requires_capture", amount_received=0)
    assert told() == {"captured_less_than_ordered": ("0000000002", "pi_2", Decimal(100), 0)}


def test_more_was_captured_than_ordered_until_it_is_given_back() -> None:
    order("0000000002")
    payment("pi_2", "0000000002", 12_000)
    more = {"captured_more_than_ordered": ("0000000002", "pi_2", Decimal(100), Decimal(120))}
    assert told() == more
    refund("re_2", "pi_2", 2_000, status="failed")
    assert told() == more
    refund("re_2", "pi_2", 2_000)
    assert told() == {}


def test_more_was_given_back_than_captured() -> None:
    refund("re_2", "pi_1", 30_000)
    assert told() == {
        "refunded_more_than_captured": ("pi_1", "re_1", Decimal("259.80"), Decimal(325))
    }


def test_a_refund_of_a_payment_that_nobody_knows() -> None:
    refund("re_2", "pi_404", 100)
    assert told() == {"refund_without_payment": ("re_2", "pi_404", 0, Decimal(1))}


def test_a_payout_that_does_not_add_up() -> None:
    catalogue.say("stripe", "payouts", [{**catalogue.PAYOUT, "amount": 23_000}])
    assert told() == {"payout_does_not_add_up": ("po_1", "txn_1", Decimal("230.66"), Decimal(230))}


def test_a_line_of_a_payout_that_is_not_what_was_captured() -> None:
    wrong = deepcopy(catalogue.PAYOUT)
    wrong["transactions"]["data"][0] |= {"amount": 25_970, "net": 25_556}
    wrong["amount"] = 23_056
    catalogue.say("stripe", "payouts", [wrong])
    assert told() == {
        "payout_line_differs": ("txn_1", "pi_1", Decimal("259.80"), Decimal("259.70"))
    }


def test_money_that_later_payouts_have_passed_over() -> None:
    order("0000000002")
    payment("pi_2", "0000000002", 10_000)
    assert told() == {}
    later = {**catalogue.PAYOUT, "id": "po_2", "created": 1767225600 + 15 * 86_400, "amount": 1}
    catalogue.say("stripe", "payouts", [{**later, "transactions": {"data": []}}])
    assert told() == {"payment_not_paid_out": ("pi_2", "", Decimal(100), 0)}


def test_what_changed_a_moment_ago_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settlement.WINDOWS, "order_without_payment", timedelta(minutes=15))
    order("0000000002")
    assert settlement.differences() == []
    (waiting,) = [count for count in settlement.counts() if count.waiting]
    assert (waiting.kind, waiting.open, waiting.waiting) == ("order_without_payment", 0, 1)


def test_one_kind_page_by_page_and_all_at_once() -> None:
    for n in range(2, 7):
        order(f"{n:010d}")
    payment("pi_9", None, 500)
    kind = "order_without_payment"
    pages = [settlement.differences(kind, limit=2, offset=at) for at in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {d.key for page in pages for d in page} == {f"{n:010d}" for n in range(2, 7)}
    assert len(list(settlement.every())) == 6
    assert {d.kind for d in settlement.every(kind)} == {kind}
    with pytest.raises(LookupError, match="order_without_payment"):
        settlement.differences("all")
