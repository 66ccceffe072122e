"""Bids as the hub decides them, and whom a caller may act for.

    entered ──▶ leading ──▶ outbid                  by a later bid
        │           ├─────▶ won                     it led when the lot was closed
        │           └─────▶ unsold                  likewise, below the reserve price
        └─────▶ rejected                            `problem` says why

A bid is entered when its payment is pre-authorised: that gives it the next `sequence` of its lot, under
a lock, so that the numbers have no gap and become visible in their order. Bids are decided in that order,
whichever process does it. What is decided is told to the catalogue in the same transaction.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q


class AuctionLot(models.Model):
    """Where a lot's bidding stands. Its row is locked by whoever decides."""

    lot = models.TextField(primary_key=True, db_collation="C", help_text="Key of the entity.")
    price = models.DecimalField(max_digits=18, decimal_places=4, null=True)
    leader = models.TextField(default="", db_default="", help_text="Customer number.")
    accepted = models.PositiveIntegerField(default=0, db_default=0, help_text="Accepted bids.")
    version = models.BigIntegerField(
        default=0, db_default=0, help_text="Grows each time that something was decided."
    )
    closed_at = models.DateTimeField(null=True)
    outcome = models.TextField(default="", db_default="", help_text="sold or unsold, once closed.")

    class Meta:
        ordering: ClassVar = ["lot"]

    def __str__(self) -> str:
        return self.lot


class AuctionBid(models.Model):
    """One bid that was entered. See the module for its states."""

    class State(models.TextChoices):
        ENTERED = "entered"
        LEADING = "leading"
        OUTBID = "outbid"
        WON = "won"
        UNSOLD = "unsold"
        REJECTED = "rejected"

    id = models.BigAutoField(primary_key=True)
    lot = models.TextField(db_collation="C")
    sequence = models.PositiveIntegerField()
    reference = models.TextField(unique=True, help_text="Of the command that placed it.")
    bidder = models.TextField(help_text="Customer number.")
    amount = models.DecimalField(max_digits=18, decimal_places=4)
    currency = models.TextField()
    spendable = models.DecimalField(
        max_digits=18,
        decimal_places=4,
        help_text="What the bidder may owe altogether, as the owner of the credit limit said.",
    )
    payment = models.TextField(help_text="Record key of the pre-authorisation.")
    entered_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    state = models.TextField(choices=State.choices, default=State.ENTERED)
    problem = models.JSONField(null=True, help_text="{code, detail, …} of a rejected one.")
    correlation_id = models.TextField(default="", db_default="")

    class Meta:
        ordering: ClassVar = ["lot", "sequence"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["lot", "sequence"], name="auction_bid_sequence"),
            models.UniqueConstraint(
                fields=["lot"], name="auction_one_leader", condition=Q(state__in=["leading", "won"])
            ),
            models.UniqueConstraint(
                fields=["lot", "amount"],
                name="auction_one_bid_a_price",
                condition=Q(state__in=["leading", "outbid", "won", "unsold"]),
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["lot", "sequence"], name="auction_entered", condition=Q(state="entered")
            ),
            models.Index(
                fields=["bidder"],
                name="auction_exposure",
                condition=Q(state__in=["leading", "won"]),
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def key(self) -> str:
        """Natural key of the entity `bid`."""
        return f"{self.lot}/{self.sequence}"


class Mandate(models.Model):
    """Whom a caller may order and bid for. A caller without any acts for every customer."""

    caller = models.TextField(help_text="Holder of an API key or a token, as commands show it.")
    customer = models.TextField(help_text="Customer number.")

    class Meta:
        ordering: ClassVar = ["caller", "customer"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["caller", "customer"], name="mandate_once")
        ]

    def __str__(self) -> str:
        return f"{self.caller} for {self.customer}"
