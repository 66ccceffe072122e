"""What became of the money: given back, and paid out to the company."""

from __future__ import annotations

from django.db import models

from catalog.entities.base import INTERNAL, Declaration, Entity, Money, Reference


class Refund(Entity):
    """Money of a payment that was given back, or is about to be."""

    payment = Reference("catalog.Payment", related_name="refunds")
    amount = Money()
    currency = models.TextField(null=True, help_text="ISO 4217 code.")
    status = models.TextField(null=True, help_text="Status as the payment provider names it.")
    reason = models.TextField(null=True, help_text="Why, as the payment provider names it.")
    refunded_at = models.DateTimeField(null=True)

    declaration = Declaration(
        name="refund",
        plural="refunds",
        key="id",
        data_class="order",
        labels=("status", "amount", "currency"),
        filters=("payment", "status"),
        path=("key",),
    )


class Payout(Entity):
    """What the payment provider sent to the company's bank, of what it had collected."""

    amount = Money()
    currency = models.TextField(null=True, help_text="ISO 4217 code.")
    status = models.TextField(null=True, help_text="Status as the payment provider names it.")
    made_at = models.DateTimeField(null=True)
    arrives_at = models.DateTimeField(null=True, help_text="When the bank has it, or should have.")

    declaration = Declaration(
        name="payout",
        plural="payouts",
        key="id",
        data_class="order",
        parts=("lines",),
        labels=("status", "amount", "currency"),
        filters=("status", "currency"),
        path=("key",),
        guarded={"amount": INTERNAL},
    )


class PayoutLine(Entity):
    """One movement that a payout consists of: a payment or a refund, with the provider's fee."""

    payout = Reference("catalog.Payout", related_name="lines")
    kind = models.TextField(null=True, help_text="charge, refund, or as the provider names it.")
    payment = Reference("catalog.Payment", related_name="payout_lines")
    refund = Reference("catalog.Refund", related_name="payout_lines")
    amount = Money()
    fee = Money()
    net = Money()
    currency = models.TextField(null=True, help_text="ISO 4217 code.")
    booked_at = models.DateTimeField(null=True)

    declaration = Declaration(
        name="payout_line",
        plural="payout_lines",
        key="id",
        data_class="order",
        labels=("kind", "amount", "currency"),
        filters=("payout", "payment", "refund", "kind"),
        path=("key",),
        guarded=dict.fromkeys(("amount", "fee", "net"), INTERNAL),
    )
