"""What lines cost now, as the owner of prices says: asked side by side, compared with what was offered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import connection

from catalog.currencies import spelled
from connectors.commands.declare import Refused, Work
from observability.errors import RefusedByUpstreamError

#: So many questions of one order are under way at a time.
AT_ONCE = 4


def must_be_current(work: Work, lines: Sequence[Any], market: str, currency: str) -> list[Any]:
    """The owner's prices of lines (`sku`, `quantity`, `unit_price`), one each.

    Raises Refused: `price_changed` with the current price of each line that offers another one,
    `no_price` with the lines that have none.
    """
    ask = partial(_asked, work, market=market, currency=currency)
    if len(lines) == 1:
        found = [ask(lines[0])]
    else:
        with ThreadPoolExecutor(min(AT_ONCE, len(lines)), "prices") as pool:
            began = [pool.submit(copy_context().run, _alone, partial(ask, line)) for line in lines]
            found = [one.result() for one in began]
    if without := [line.sku for line, said in zip(lines, found, strict=True) if said is None]:
        raise Refused(
            "no_price",
            f"there is no price for {', '.join(without)} in {market}, {currency}",
            lines=[{"sku": sku} for sku in without],
        )
    changed = list(_changed(lines, found, currency))
    if changed:
        names = ", ".join(line["sku"] for line in changed)
        raise Refused("price_changed", f"the price of {names} is another one now", lines=changed)
    return found


def _asked(work: Work, line: Any, *, market: str, currency: str) -> dict[str, Any] | None:
    try:
        return work.ask(
            "price.current", sku=line.sku, market=market, currency=currency, quantity=line.quantity
        )
    except RefusedByUpstreamError as no:
        if no.reason == "no_price":
            return None
        raise Refused(no.reason, no.message, sku=line.sku) from no


def _alone(ask: Any) -> Any:
    try:
        return ask()
    finally:
        # The thread ends with the order.
        connection.close()


def _changed(
    lines: Sequence[Any], found: Iterable[Mapping[str, Any] | None], currency: str
) -> Iterable[dict[str, Any]]:
    for line, said in zip(lines, found, strict=True):
        if said and Decimal(said["amount"]) != Decimal(line.unit_price):
            yield {
                "sku": line.sku,
                "offered": line.unit_price,
                "current_price": spelled(Decimal(said["amount"]), currency),
                "currency": currency,
                "valid_from": said.get("valid_from"),
                "valid_to": said.get("valid_to"),
            }
