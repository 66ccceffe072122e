"""Whether the money adds up: orders against payments, refunds and payouts, as one set.

A difference is told once every record that it is about has been quiet for `WINDOWS[kind]`: until then
one of the systems may simply not have said its part yet. Amounts are in the currency's major unit.

| kind | it is one when |
|---|---|
| order_without_payment | an order that is not cancelled has no payment that holds or brought money |
| payment_without_order | such a payment names no order, or one that nobody knows |
| currency_differs | a payment is in another currency than its order, a refund than its payment |
| amount_differs | what is held and not yet captured is not what was ordered |
| captured_less_than_ordered | nothing more is to come, and less was captured |
| captured_more_than_ordered | more was captured, and not given back since |
| refunded_more_than_captured | more was given back than was captured |
| refund_without_payment | a refund names no payment, or one that nobody knows |
| payout_does_not_add_up | the net amounts of its lines are not the amount of the payout |
| payout_line_differs | a line of a payout is not what was captured, or given back |
| payment_not_paid_out | it is in no payout, while later money has long been paid out |

Of a cancelled order nothing is expected; whoever captured less of it is not owed the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

_SOON, _DAYS = timedelta(minutes=15), timedelta(days=1)
#: How long the records of a difference must have been quiet.
WINDOWS: dict[str, timedelta] = {
    "order_without_payment": _SOON,
    "payment_without_order": _SOON,
    "currency_differs": _SOON,
    "amount_differs": _SOON,
    "captured_less_than_ordered": _SOON,
    "captured_more_than_ordered": _SOON,
    "refunded_more_than_captured": _SOON,
    "refund_without_payment": _SOON,
    # Payouts are read once an hour.
    "payout_does_not_add_up": timedelta(hours=2),
    "payout_line_differs": timedelta(hours=2),
    "payment_not_paid_out": _DAYS,
}

#: Payments of these states neither hold money nor brought any (Stripe, "PaymentIntents lifecycle").
NO_MONEY = ["canceled", "requires_payment_method", "requires_confirmation", "requires_action"]
#: Refunds of these states gave nothing back.
IN_VAIN = ["failed", "canceled"]

_SETS = """
WITH orders AS NOT MATERIALIZED (
    SELECT key, currency, changed_at, status,
           CASE WHEN status = 'cancelled' THEN 0 ELSE total END AS expected
    FROM catalog_order WHERE deleted_at IS NULL AND total IS NOT NULL
), payments AS MATERIALIZED (
    SELECT p.key, p.order_id, p.currency, p.amount, p.captured, p.status, p.paid_at,
           greatest(p.changed_at, r.changed_at) AS changed_at, coalesce(r.back, 0) AS back
    FROM catalog_payment p
    LEFT JOIN (
        SELECT payment_id, sum(amount) AS back, max(changed_at) AS changed_at FROM catalog_refund
        WHERE deleted_at IS NULL AND coalesce(status, '') <> ALL(%(in_vain)s) GROUP BY payment_id
    ) r ON r.payment_id = p.key
    WHERE p.deleted_at IS NULL AND coalesce(p.status, '') <> ALL(%(no_money)s)
), of_orders AS (
    SELECT o.key, o.currency, o.expected, o.status, min(p.key) AS payment, count(*) AS payments,
           sum(p.amount) AS held, sum(p.captured) AS captured, sum(p.back) AS back,
           bool_and(p.status = 'succeeded') AS settled, bool_or(p.captured IS NULL) AS unsaid,
           greatest(max(o.changed_at), max(p.changed_at)) AS changed_at
    FROM orders o JOIN payments p ON p.order_id = o.key AND p.currency = o.currency
    GROUP BY o.key, o.currency, o.expected, o.status
), paid_out AS (
    SELECT currency, max(made_at) AS latest FROM catalog_payout WHERE deleted_at IS NULL
    GROUP BY currency
), lines AS NOT MATERIALIZED (
    SELECT * FROM catalog_payoutline WHERE deleted_at IS NULL AND kind <> 'payout'
), differences AS (
    SELECT 'order_without_payment' AS kind, 'order' AS entity, o.key, '' AS other_entity,
           '' AS other_key, o.expected, 0::numeric AS found, o.currency, o.changed_at
    FROM orders o
    WHERE o.expected > 0 AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.key)
  UNION ALL
    SELECT 'payment_without_order', 'payment', p.key, '', coalesce(p.order_id, ''), 0, p.amount,
           p.currency, p.changed_at
    FROM payments p WHERE NOT EXISTS (
        SELECT FROM catalog_order o WHERE o.key = p.order_id AND o.deleted_at IS NULL)
  UNION ALL
    SELECT 'currency_differs', 'order', o.key, 'payment', p.key, o.expected, p.amount,
           concat(o.currency, ' / ', p.currency), greatest(o.changed_at, p.changed_at)
    FROM orders o JOIN payments p ON p.order_id = o.key AND p.currency <> o.currency
  UNION ALL
    SELECT 'currency_differs', 'payment', p.key, 'refund', r.key, p.amount, r.amount,
           concat(p.currency, ' / ', r.currency), greatest(p.changed_at, r.changed_at)
    FROM payments p JOIN catalog_refund r ON r.payment_id = p.key AND r.currency <> p.currency
    WHERE r.deleted_at IS NULL
  UNION ALL
    SELECT 'amount_differs', 'order', key, 'payment', payment, expected, held, currency, changed_at
    FROM of_orders
    WHERE NOT settled AND captured = 0 AND status IS DISTINCT FROM 'completed' AND held <> expected
  UNION ALL
    SELECT 'captured_less_than_ordered', 'order', key, 'payment', payment, expected, captured,
           currency, changed_at
    FROM of_orders
    WHERE NOT unsaid AND (settled OR status = 'completed') AND captured < expected
  UNION ALL
    SELECT 'captured_more_than_ordered', 'order', key, 'payment', payment, expected,
           captured - back, currency, changed_at
    FROM of_orders WHERE NOT unsaid AND captured - back > expected
  UNION ALL
    SELECT 'refunded_more_than_captured', 'payment', p.key, 'refund',
           (SELECT min(r.key) FROM catalog_refund r
            WHERE r.payment_id = p.key AND r.deleted_at IS NULL),
           p.captured, p.back, p.currency, p.changed_at
    FROM payments p WHERE p.back > p.captured
  UNION ALL
    SELECT 'refund_without_payment', 'refund', r.key, '', coalesce(r.payment_id, ''), 0, r.amount,
           r.currency, r.changed_at
    FROM catalog_refund r
    WHERE r.deleted_at IS NULL AND coalesce(r.status, '') <> ALL(%(in_vain)s) AND NOT EXISTS (
        SELECT FROM catalog_payment p WHERE p.key = r.payment_id AND p.deleted_at IS NULL)
  UNION ALL
    SELECT 'payout_does_not_add_up', 'payout', o.key, 'payout_line', min(l.key), sum(l.net),
           o.amount, o.currency, greatest(o.changed_at, max(l.changed_at))
    FROM catalog_payout o JOIN lines l ON l.payout_id = o.key
    WHERE o.deleted_at IS NULL GROUP BY o.key
    HAVING sum(l.net) <> o.amount OR bool_or(l.currency <> o.currency)
  UNION ALL
    SELECT 'payout_line_differs', 'payout_line', l.key, 'payment', p.key, p.captured, l.amount,
           l.currency, greatest(l.changed_at, p.changed_at)
    FROM lines l JOIN payments p ON p.key = l.payment_id
    WHERE l.kind = 'charge' AND l.currency = p.currency AND l.amount <> p.captured
  UNION ALL
    SELECT 'payout_line_differs', 'payout_line', l.key, 'refund', r.key, r.amount, -l.amount,
           l.currency, greatest(l.changed_at, r.changed_at)
    FROM lines l JOIN catalog_refund r ON r.key = l.refund_id AND r.deleted_at IS NULL
    WHERE l.currency = r.currency AND -l.amount <> r.amount
  UNION ALL
    SELECT 'payment_not_paid_out', 'payment', p.key, '', '', p.captured, 0, p.currency, p.changed_at
    FROM payments p JOIN paid_out USING (currency)
    WHERE p.captured > 0 AND p.paid_at < paid_out.latest - interval '14 days'
      AND NOT EXISTS (SELECT FROM lines l WHERE l.payment_id = p.key AND l.kind = 'charge')
), judged AS (
    SELECT d.*, d.changed_at > now() - w.quiet AS waits
    FROM differences d
    JOIN unnest(%(kinds)s::text[], %(windows)s::interval[]) w (kind, quiet) USING (kind)
)
"""
_ROWS = (
    _SETS
    + """
SELECT kind, entity, key, other_entity, other_key, expected, found, currency, changed_at FROM judged
WHERE NOT waits AND (%(kind)s = '' OR kind = %(kind)s)
ORDER BY changed_at DESC, kind, key, other_key LIMIT %(limit)s OFFSET %(offset)s"""
)
_COUNTS = (
    _SETS
    + """
SELECT kind, count(*) FILTER (WHERE NOT waits), count(*) FILTER (WHERE waits) FROM judged
GROUP BY kind"""
)
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """Two records that do not add up, or one that has no other (`other_entity` is empty then).

    `found` is what the payments' side says. `other_key` without an entity: a key that nobody knows.
    """

    kind: str
    entity: str
    key: str
    other_entity: str
    other_key: str
    expected: Decimal | None
    found: Decimal | None
    currency: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many differences of a kind there are; `waiting` are not told yet."""

    kind: str
    open: int
    waiting: int


def differences(kind: str = "", *, limit: int = 100, offset: int = 0) -> list[Difference]:
    """Those that are told, the latest change first. Raises LookupError for an unknown kind."""
    known(kind)
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, _told(kind, limit, offset))
        return [Difference(*row) for row in cursor.fetchall()]


def every(kind: str = "") -> Iterator[Difference]:
    """All of them, as they stand at one moment, without holding them all in memory."""
    known(kind)
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_ROWS, _told(kind))
        while rows := cursor.fetchmany(BATCH):
            yield from (Difference(*row) for row in rows)


def counts() -> list[Count]:
    """Each kind that there is, in the order of `WINDOWS`."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, _told())
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    return [Count(kind, *found.get(kind, (0, 0))) for kind in WINDOWS]


def known(kind: str) -> None:
    """Raises LookupError that lists what there is; the empty kind stands for all."""
    if kind and kind not in WINDOWS:
        raise LookupError(f"no kind of difference {kind!r}; there are {', '.join(WINDOWS)}")


def _told(kind: str = "", limit: int | None = None, offset: int = 0) -> dict[str, Any]:
    return {
        "no_money": NO_MONEY,
        "in_vain": IN_VAIN,
        "kinds": list(WINDOWS),
        "windows": list(WINDOWS.values()),
        "kind": kind,
        "limit": limit,
        "offset": offset,
    }
