"""Bids as they were decided, and whom a caller may act for."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from catalog import masking
from catalog.admin import ReadOnlyAdmin, entity_link
from catalog.currencies import spelled
from connectors.models import AuctionBid, Mandate


@admin.register(AuctionBid)
class AuctionBidAdmin(ReadOnlyAdmin):
    """In the order of their numbers within a lot; `?lot=L-0001`: of one."""

    list_display = ("__str__", "who", "price", "state", "reason", "entered_at", "decided_at")
    list_filter = ("state",)
    search_fields = ("lot", "bidder", "reference", "payment")
    sortable_by: ClassVar = ()
    fields = (
        "of_lot", "sequence", "who", "price", "limit", "authorised", "state", "reason",
        "entered_at", "decided_at", "command",
    )  # fmt: skip
    readonly_fields = ("of_lot", "who", "price", "limit", "authorised", "reason", "command")
    nothing = "No bid was placed yet."

    @admin.display(description="bidder")
    def who(self, row: AuctionBid) -> str:
        """The customer's number, to whoever may see who bids."""
        return str(masking.shown("bid", "bidder", row.bidder, row.bidder))

    @admin.display(description="lot")
    def of_lot(self, row: AuctionBid) -> SafeString:
        return entity_link("lot", row.lot)

    @admin.display(description="amount")
    def price(self, row: AuctionBid) -> str:
        return f"{spelled(row.amount, row.currency)} {row.currency}"

    @admin.display(description="may owe altogether")
    def limit(self, row: AuctionBid) -> str:
        """As the owner of the credit limit said when it was placed."""
        return f"{spelled(row.spendable, row.currency)} {row.currency}"

    @admin.display(description="pre-authorisation")
    def authorised(self, row: AuctionBid) -> SafeString | str:
        return entity_link("payment", row.payment) if row.payment else "–"

    @admin.display(description="why rejected")
    def reason(self, row: AuctionBid) -> SafeString | str:
        if not row.problem:
            return "–"
        code, detail = row.problem.get("code", ""), row.problem.get("detail", "")
        told = masking.told(str(detail), masking.cover_names())
        return format_html('<code class="hw-mono">{}</code> {}', code, told)

    @admin.display(description="command")
    def command(self, row: AuctionBid) -> SafeString:
        """The command that placed it, with its steps."""
        address = f"{reverse('admin:connectors_command_changelist')}?q={row.reference}"
        return format_html('<a class="hw-link hw-mono" href="{}">{}</a>', address, row.reference)


@admin.register(Mandate)
class MandateAdmin(ModelAdmin):  # type: ignore[misc]
    """A caller without any acts for every customer; one row narrows it to those named."""

    nothing = "There are none: every caller with the scope acts for every customer."
    list_display = ("caller", "customer")
    search_fields = ("caller", "customer")
