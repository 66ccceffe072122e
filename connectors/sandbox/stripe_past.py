"""What the simulated past left on Stripe's balance, computed from the world's orders.

What was collected on a day was paid out two days later, one payout for each currency, with the fees
taken off; every so-manieth payment was given back in part, before its payout.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from connectors.sandbox import stripe_balance as balance
from connectors.sandbox import stripe_objects as objects
from connectors.sandbox.ids import opaque_id, opaque_index
from connectors.sandbox.store import Collection
from connectors.sandbox.stripe_objects import PAST_REFUND, RETURNED_EVERY, Record
from connectors.sandbox.world import World

SYSTEM = "stripe"
_PAST_PAYOUT = 1 << 33


class Past:
    """What the orders of the simulated world left on the balance. Indexes stand for positions."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.paid = [o for o in range(world.n_orders) if world.order_status(o) == "completed"]
        self.returned = [o for o in self.paid if (o + 1) % RETURNED_EVERY == 0]
        days: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
        for o in self.paid:
            days[self._placed_s(o) // balance.DAY_S, world.order_currency(o).lower()].append(o)
        self.days = sorted(days.items())
        self._payouts: dict[int, Record] = {}
        self._places = {order: place for place, order in enumerate(self.returned)}

    def collections(self) -> Iterator[Collection]:
        """Refunds, payouts and transactions."""
        yield Collection(
            SYSTEM,
            "refunds",
            len(self.returned),
            key=lambda i: opaque_id("re_", PAST_REFUND + self.returned[i]),
            index=self._refund_place,
            build=lambda i: objects.order_refund(self.world, self.returned[i]),
            changed_ms=lambda i: (self._placed_s(self.returned[i]) + 3602) * 1000,
        )
        yield Collection(
            SYSTEM,
            "payouts",
            len(self.days),
            key=lambda i: opaque_id("po_", i),
            index=self._payout_place,
            build=self.payout,
            changed_ms=lambda i: self._paid_out_s(i) * 1000,
        )
        yield Collection(
            SYSTEM,
            "balance_transactions",
            len(self.entries),
            key=lambda i: opaque_id("txn_", self.entries[i][1]),
            index=self._transaction_place,
            build=lambda i: self.transaction(self.entries[i][1]),
            changed_ms=lambda i: self.entries[i][0] * 1000,
        )

    @cached_property
    def entries(self) -> list[tuple[int, int]]:
        """(second, number) of every transaction in order; the number is behind its id."""
        charges = ((self._placed_s(o) + 2, o) for o in self.paid)
        refunds = ((self._placed_s(o) + 3602, PAST_REFUND + o) for o in self.returned)
        payouts = ((self._paid_out_s(i), _PAST_PAYOUT + i) for i in range(len(self.days)))
        return sorted([*charges, *refunds, *payouts])

    @cached_property
    def positions(self) -> dict[int, int]:
        """Where a transaction stands, by its number."""
        return {number: place for place, (_, number) in enumerate(self.entries)}

    def transaction(self, number: int) -> Record:
        """The transaction behind a number: of a charge, a refund or a payout."""
        if number >= _PAST_PAYOUT:
            return balance.of_payout(self.payout(number - _PAST_PAYOUT))
        if number >= PAST_REFUND:
            refund = objects.order_refund(self.world, number - PAST_REFUND)
            return balance.of_refund(refund, "available")
        charge = objects.order_charge(self.world, self.world.order(number))
        return balance.of_charge(charge, charge["created"], "available")

    def members(self, place: int) -> list[int]:
        """The numbers of the transactions that a payout consists of, newest first."""
        orders = self.days[place][1]
        returned = [PAST_REFUND + o for o in orders if o in self._places]
        moved = sorted([*orders, *returned], key=lambda n: self.positions[n], reverse=True)
        return [_PAST_PAYOUT + place, *moved]

    def payout(self, place: int) -> Record:
        if place not in self._payouts:
            self._payouts[place] = balance.new_payout(
                opaque_id("po_", place),
                self._paid_out_s(place),
                amount=sum(self.transaction(number)["net"] for number in self.members(place)[1:]),
                currency=self.days[place][0][1],
                transaction=opaque_id("txn_", _PAST_PAYOUT + place),
            )
        return self._payouts[place]

    def _placed_s(self, o: int) -> int:
        return self.world.order_placed_ms(o) // 1000

    def _paid_out_s(self, place: int) -> int:
        return (self.days[place][0][0] + 2) * balance.DAY_S

    def _refund_place(self, key: str) -> int | None:
        number = opaque_index("re_", key)
        return None if number is None else self._places.get(number - PAST_REFUND)

    def _transaction_place(self, key: str) -> int | None:
        number = opaque_index("txn_", key)
        return None if number is None else self.positions.get(number)

    def _payout_place(self, key: str) -> int | None:
        place = opaque_index("po_", key)
        return place if place is not None and place < len(self.days) else None
