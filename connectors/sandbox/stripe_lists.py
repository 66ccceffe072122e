"""Stripe's lists: newest first, `limit` 1 to 100, `starting_after` / `ending_before` an id.

A page costs its own length: positions come from ids, `created` bounds from a bisection. Source:
Stripe API reference, "Pagination".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from connectors.sandbox import stripe_errors as errors
from connectors.sandbox import stripe_payouts
from connectors.sandbox.sequence import Sequence
from connectors.sandbox.store import Store
from connectors.sandbox.stripe_objects import Record
from connectors.sandbox.stripe_params import Params, integer

SYSTEM = "stripe"
_PAGING = frozenset({"limit", "starting_after", "ending_before", "created", "expand"})
_BOUNDS = {"gt": (1, None), "gte": (0, None), "lt": (None, 0), "lte": (None, 1)}


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list endpoint accepts, and the record kind its messages name."""

    kind: str
    filters: frozenset[str] = field(default_factory=frozenset)


LISTED = {
    "customers": Listed("customer", frozenset({"email"})),
    "payment_intents": Listed("payment_intent", frozenset({"customer"})),
    "charges": Listed("charge", frozenset({"customer", "payment_intent"})),
    "refunds": Listed("refund", frozenset({"charge", "payment_intent"})),
    "payouts": Listed("payout", frozenset({"status", "destination"})),
    "balance_transactions": Listed(
        "balance_transaction", frozenset({"currency", "payout", "source", "type"})
    ),
    "events": Listed("event", frozenset({"type", "types"})),
}
_EXPANDABLE = {
    "balance_transaction": "balance_transactions",
    "charge": "charges",
    "customer": "customers",
    "latest_charge": "charges",
    "payment_intent": "payment_intents",
    "source": "",  # its id says what it is
}
_SOURCES = {"ch": "charges", "re": "refunds", "po": "payouts"}

_SEQUENCES: WeakKeyDictionary[Store, dict[str, Sequence]] = WeakKeyDictionary()


def register_sequence(store: Store, name: str, sequence: Sequence) -> None:
    _SEQUENCES.setdefault(store, {})[name] = sequence


def page(store: Store, name: str, params: Params, transform: Callable[[list[Record]], Any]) -> Any:
    """The list object. `transform` is applied to the page's records (scripted faults)."""
    listed = LISTED[name]
    for given in params:
        if given not in _PAGING and given not in listed.filters:
            raise errors.unknown(given)
    limit = integer(params, "limit", 10, low=1, high=100)
    wanted = {key: value for key, value in params.items() if key in listed.filters}
    if "starting_after" in params and "ending_before" in params:
        message = "You can only provide one of ending_before and starting_after."
        raise errors.invalid("ending_before", message)
    if name == "payouts":
        stripe_payouts.pay_out_past_days(store)
    if "payout" in wanted:
        return _of_payout(store, wanted, params, limit)
    sequence = _SEQUENCES[store][name]
    oldest, newest = _created_range(sequence, params.get("created"))
    backwards = "ending_before" in params
    if backwards:
        start = max(_position(sequence, listed, params, "ending_before") + 1, oldest)
        rows = sequence.records(start, max(start, newest + 1))
    else:
        if "starting_after" in params:
            newest = min(newest, _position(sequence, listed, params, "starting_after") - 1)
        rows = sequence.records(newest, min(newest, oldest - 1))
    matching = (record for _, _, record in rows if _matches(record, wanted))
    found = list(islice(matching, limit + 1))
    records = found[:limit]
    return {
        "object": "list",
        "data": transform(records[::-1] if backwards else records),
        "has_more": len(found) > limit,
        "url": f"/v1/{name}",
    }


def _of_payout(store: Store, wanted: Params, params: Params, limit: int) -> Any:
    """The transactions of one payout: few, and found without a walk through all of them."""
    rows = stripe_payouts.transactions_of(store, wanted.pop("payout"))
    found = [row for row in rows if _matches(row, wanted)]
    if "starting_after" in params:
        places = [place for place, row in enumerate(found) if row["id"] == params["starting_after"]]
        if not places:
            raise errors.no_such(
                "balance_transaction", params["starting_after"], "starting_after", 400
            )
        found = found[places[0] + 1 :]
    return {
        "object": "list",
        "data": found[:limit],
        "has_more": len(found) > limit,
        "url": "/v1/balance_transactions",
    }


def _position(sequence: Sequence, listed: Listed, params: Params, name: str) -> int:
    position = sequence.position(params[name])
    if position is None:
        raise errors.no_such(listed.kind, params[name], name, 400)
    return position


def _created_range(sequence: Sequence, created: Any) -> tuple[int, int]:
    """First and last position to look at."""
    oldest, newest = 0, len(sequence) - 1
    if created is None:
        return oldest, newest
    bounds = created if isinstance(created, dict) else {"gte": created, "lte": created}
    for name, text in bounds.items():
        if name not in _BOUNDS:
            raise errors.unknown(f"created[{name}]")
        second = integer({f"created[{name}]": text}, f"created[{name}]", low=0, high=2**53)
        lower, upper = _BOUNDS[name]
        if lower is not None:
            oldest = max(oldest, sequence.first_at(second + lower, _created))
        if upper is not None:
            newest = min(newest, sequence.first_at(second + upper, _created) - 1)
    return oldest, newest


def _created(record: Record) -> int:
    return int(record["created"])


def _matches(record: Record, wanted: Params) -> bool:
    for name, value in wanted.items():
        if name == "types":
            if record["type"] not in value:
                return False
        elif name == "type" and value.endswith(".*"):
            if not record["type"].startswith(value[:-1]):
                return False
        elif record.get(name) != value:
            return False
    return True


def was_deleted(store: Store, name: str, key: str) -> bool:
    known = _SEQUENCES[store][name].position(key) is not None
    return known and store.get(SYSTEM, name, key) is None


def expanded(store: Store, found: Any, paths: Any) -> Any:
    """The answer with the ids at `paths` (`customer`, `data.latest_charge.customer`) replaced by
    their objects.
    """
    for path in paths if isinstance(paths, list) else []:
        found = _expand(store, found, path.split("."), path)
    return found


def _expand(store: Store, record: Any, parts: list[str], path: str) -> Any:
    name, *deeper = parts
    if name == "data" and record.get("object") == "list":
        rows = [_expand(store, row, deeper, path) for row in record["data"]] if deeper else []
        return {**record, "data": rows or record["data"]}
    if name not in _EXPANDABLE or name not in record:
        message = f"This property cannot be expanded ({path})."
        raise errors.invalid("expand", message)
    value = record[name]
    if isinstance(value, str):
        kept = _EXPANDABLE[name] or _SOURCES.get(value.partition("_")[0], "")
        value = (store.get(SYSTEM, kept, value) if kept else None) or value
    if deeper and isinstance(value, dict):
        value = _expand(store, value, deeper, path)
    return {**record, name: value}
