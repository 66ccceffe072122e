"""Bids as they were decided, and whom a caller may act for."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from catalog import masking
from catalog.admin import ReadOnlyAdmin
from connectors.models import AuctionBid, Mandate


@admin.register(AuctionBid)
class AuctionBidAdmin(ReadOnlyAdmin):
    """In the order of their numbers within a lot; `?lot=L-0001`: of one."""

    list_display = (
        "__str__", "who", "amount", "currency", "state", "reason", "entered_at", "decided_at",
    )  # fmt: skip
    list_filter = ("state",)
    search_fields = ("lot", "bidder", "reference", "payment")
    sortable_by: ClassVar = ()
    fields = (
        "lot", "sequence", "who", "amount", "currency", "spendable", "payment", "state",
        "reason", "problem", "entered_at", "decided_at", "command",
    )  # fmt: skip
    readonly_fields = ("who", "reason", "command")

    @admin.display(description="bidder")
    def who(self, row: AuctionBid) -> str:
        """The customer's number, to whoever may see who bids."""
        return str(masking.shown("bid", "bidder", row.bidder, row.bidder))

    def reason(self, row: AuctionBid) -> str:
        """Why it was rejected."""
        return str((row.problem or {}).get("code", "–"))

    def command(self, row: AuctionBid) -> SafeString | str:
        """The command that placed it, as REST shows it."""
        address = reverse("rest-command", args=[row.reference])
        return format_html('<a href="{}">{}</a>', address, row.reference)


@admin.register(Mandate)
class MandateAdmin(ModelAdmin):  # type: ignore[misc]
    """A caller without any acts for every customer; one row narrows it to those named."""

    list_display = ("caller", "customer")
    search_fields = ("caller", "customer")
