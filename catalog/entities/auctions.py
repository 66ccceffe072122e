"""What is sold by auction, and who bid how much."""

from __future__ import annotations

from django.db import models

from catalog.entities.base import (
    INTERNAL,
    PERSONAL,
    Declaration,
    Entity,
    Money,
    Reference,
)


class Lot(Entity):
    """A variant that is sold by auction; natural key is the lot number.

    An upstream says what is sold, and when; what the bids made of it the hub decides itself, and
    tells the catalogue as the system `headwater` (`connectors.auction`).
    """

    title = models.TextField(null=True)
    variant = Reference("catalog.Variant", related_name="lots")
    opens_at = models.DateTimeField(null=True, help_text="Bids are taken from then on.")
    closes_at = models.DateTimeField(null=True, help_text="Bids are taken before then.")
    currency = models.TextField(null=True, help_text="ISO 4217 code.")
    start_price = Money(help_text="The least first bid.")
    increment = Money(help_text="By so much a bid is above the current price, at least.")
    reserve_price = Money(help_text="Below it the lot is not sold.")
    status = models.TextField(
        null=True, help_text="published or withdrawn; once it is closed: sold or unsold."
    )
    current_price = Money(help_text="The leading bid; empty before the first.")
    leading_bidder = Reference("catalog.Customer", related_name="leading_lots")
    bid_count = models.IntegerField(null=True, help_text="Accepted bids.")

    declaration = Declaration(
        name="lot",
        plural="lots",
        key="number",
        data_class="price",
        labels=("title", "current_price", "currency"),
        filters=("variant", "status"),
        guarded={"reserve_price": INTERNAL, "leading_bidder": PERSONAL},
    )

    class Meta:
        indexes = [models.Index(fields=["closes_at"], name="lot_closes_at")]


class Bid(Entity):
    """What one customer offered for a lot; natural key `lot/sequence`."""

    lot = Reference("catalog.Lot", related_name="bids")
    sequence = models.IntegerField(
        null=True, help_text="The bid's place in the order in which the lot's bids were decided."
    )
    bidder = Reference("catalog.Customer", related_name="bids")
    amount = Money()
    currency = models.TextField(null=True, help_text="ISO 4217 code.")
    placed_at = models.DateTimeField(null=True)
    status = models.TextField(null=True, help_text="leading, outbid, won, unsold or rejected.")
    reason = models.TextField(null=True, help_text="Why it was rejected, as a stable code.")

    declaration = Declaration(
        name="bid",
        plural="bids",
        key="id",
        data_class="order",
        labels=("amount", "currency", "status"),
        filters=("lot", "bidder", "status"),
        path=("sequence",),
        guarded={"bidder": PERSONAL},
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lot", "sequence"], name="bid_natural_key")]
