"""`manage.py connect_sandbox`: the five simulated systems and the first ownership rules."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from catalog.ownership import OwnershipRule
from connectors.runtime.connect import connect

#: slug, name, path below the sandbox's address, settings (see connectors/sandbox).
SYSTEMS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("sap", "SAP S/4HANA", "", {"user": "HEADWATER", "password": "sandbox-sap", "client": "100"}),
    (
        "akeneo",
        "Akeneo PIM",
        "",
        {
            "client_id": "1_headwater",
            "client_secret": "akeneo-secret",
            "username": "headwater",
            "password": "sandbox-akeneo",
        },
    ),
    (
        "salesforce",
        "Salesforce",
        "",
        {"client_id": "headwater", "client_secret": "sandbox-salesforce"},
    ),
    ("wms", "Warehouse", "", {"token": "wms-sandbox-token"}),
    ("stripe", "Stripe", "", {"api_key": "sk_test_headwater"}),
)

#: Secrets with which the sandbox signs its webhooks (see connectors/sandbox/signing.py).
STANDARD = "whsec_aGVhZHdhdGVyLXNhbmRib3gtc2VjcmV0"
WEBHOOK_SECRETS = {
    "sap": STANDARD,
    "akeneo": "akeneo-webhook-secret",
    "salesforce": STANDARD,
    "wms": STANDARD,
    "stripe": "whsec_headwater_sandbox",
}

#: entity, field (empty: all others), owner, fallbacks, reason.
RULES: tuple[tuple[str, str, str, list[str], str], ...] = (
    ("category", "", "akeneo", [], "The assortment is kept in the PIM."),
    ("product", "", "akeneo", [], "Texts are written in the PIM."),
    ("variant", "", "akeneo", ["sap"], "Texts are written in the PIM."),
    ("variant", "gtin", "sap", ["akeneo"], "Articles are numbered in the ERP."),
    ("variant", "group", "sap", [], "Material groups exist in the ERP alone."),
    ("variant", "unit", "sap", [], "Units of measure exist in the ERP alone."),
    ("price", "", "sap", [], "Prices are set in the ERP."),
    ("stock", "", "wms", ["sap"], "The warehouse counts; the ERP is asked when it is silent."),
    ("review", "", "salesforce", [], "Reviews are collected in the CRM."),
    ("customer", "", "salesforce", ["sap"], "Customers are looked after in the CRM."),
    ("customer", "payment_account", "stripe", [], "The payment provider names its own accounts."),
    ("order", "", "sap", [], "Orders are fulfilled by the ERP."),
    ("order_line", "", "sap", [], "Orders are fulfilled by the ERP."),
    ("payment", "", "stripe", [], "Money moves at the payment provider."),
    ("refund", "", "stripe", [], "Money moves at the payment provider."),
    ("payout", "", "stripe", [], "Money moves at the payment provider."),
    ("payout_line", "", "stripe", [], "Money moves at the payment provider."),
    ("lot", "", "salesforce", [], "Auctions are prepared in the CRM."),
    ("lot", "current_price", "headwater", [], "The hub decides bids."),
    ("lot", "leading_bidder", "headwater", [], "The hub decides bids."),
    ("lot", "bid_count", "headwater", [], "The hub decides bids."),
    ("lot", "status", "headwater", ["salesforce"], "What became of a lot the hub decides."),
    ("bid", "", "headwater", [], "The hub decides bids."),
)


NOT_NARROWED: dict[str, Any] = {
    "locale": "", "channel": "", "market": "", "valid_from": None, "valid_to": None,
}  # fmt: skip


class Command(BaseCommand):
    help = "Connect the sandbox's five systems and lay down the first ownership rules."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="Address of the sandbox, http://127.0.0.1:8100")

    def handle(self, *, url: str, **_options: Any) -> None:
        for entity, field, owner, fallbacks, reason in RULES:
            # A rule that somebody has changed stays as it is.
            OwnershipRule.objects.get_or_create(
                entity=entity,
                field=field,
                **NOT_NARROWED,
                defaults={"owner": owner, "fallbacks": fallbacks, "reason": reason},
            )
        for slug, name, path, values in SYSTEMS:
            secret = {"webhook_secret": WEBHOOK_SECRETS[slug]}
            connect(slug, slug, url.rstrip("/") + path, {**values, **secret}, name=name)
        self.stdout.write(f"{len(SYSTEMS)} systems connected at {url}")
