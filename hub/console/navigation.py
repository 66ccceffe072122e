"""The sidebar: Overview, Catalogue, Connectors, Observability, Access."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from catalog.entities import entities
from hub.console.correlation import may_look
from hub.console.flows.page import NEEDED as MAP
from hub.console.retention import NEEDED as RETENTION
from hub.console.settlement import NEEDED as SETTLEMENT
from hub.console.sla import NEEDED as SLA
from hub.console.traffic import NEEDED as TRAFFIC

ICONS = {
    "category": "account_tree", "product": "inventory_2", "variant": "style", "price": "sell",
    "stock": "warehouse", "review": "reviews", "customer": "group", "order": "receipt_long",
    "order_line": "list_alt", "payment": "payments", "refund": "currency_exchange",
    "payout": "account_balance", "payout_line": "receipt",
    "lot": "gavel", "bid": "front_hand",
}  # fmt: skip

#: (title, icon, app label, model name)
CATALOGUE = (
    ("Source records", "data_object", "catalog", "sourcerecord"),
    ("Ownership rules", "gavel", "catalog", "ownershiprule"),
    ("Possible matches", "join", "catalog", "matchcandidate"),
    ("Merged records", "merge", "catalog", "sameas"),
    ("Rule changes", "published_with_changes", "catalog", "rulechange"),
    ("Conflicts", "call_split", "catalog", "conflict"),
    ("Overrides", "approval_delegation", "catalog", "override"),
)
CONNECTORS = (
    ("Connections", "cable", "connectors", "connection"),
    ("Streams", "stream", "connectors", "stream"),
    ("Drift policies", "rule", "connectors", "driftpolicy"),
    ("Field aliases", "swap_horiz", "connectors", "fieldalias"),
    ("Subscribers", "campaign", "connectors", "subscriber"),
)
OBSERVABILITY = (
    ("Incidents", "emergency", "observability", "incident"),
    ("Sync runs", "sync", "connectors", "syncrun"),
    ("Inbox", "inbox", "connectors", "inboxevent"),
    ("Outbox", "outbox", "connectors", "outboxcommand"),
    ("Auction bids", "front_hand", "connectors", "auctionbid"),
    ("Commands", "published_with_changes", "connectors", "command"),
    ("Purge receipts", "receipt", "connectors", "purgereceipt"),
    ("Quarantine", "report", "connectors", "quarantinedrecord"),
    ("Drift", "difference", "connectors", "driftincident"),
    ("Additive drift", "add_notes", "connectors", "memberchange"),
    ("History", "history", "catalog", "revision"),
    ("Outgoing calls", "call_made", "observability", "outgoingcall"),
    ("Received requests", "call_received", "observability", "receivedrequest"),
    ("Alert rules", "notification_important", "observability", "alertrule"),
    ("Channels", "forum", "observability", "channel"),
    ("Escalation path", "escalator_warning", "observability", "escalation"),
    ("Silences", "notifications_paused", "observability", "silence"),
    ("Freshness objectives", "flag", "observability", "freshnessobjective"),
    ("Calendars", "calendar_month", "observability", "calendar"),
    ("Maximum ages by use", "timer", "observability", "uselimit"),
)
ACCESS = (
    ("API keys", "key", "hub", "apikey"),
    ("Mandates", "assignment_ind", "connectors", "mandate"),
    ("Field usage", "query_stats", "hub", "fieldusage"),
    ("Users", "person", "auth", "user"),
    ("Groups", "groups", "auth", "group"),
    ("Erasures", "person_off", "hub", "erasure"),
    ("Approvals", "how_to_reg", "hub", "approval"),
    ("Audit log", "shield_person", "observability", "auditentry"),
)
#: (title, icon, address): shown where something answers there.
PAGES = (
    ("GraphiQL", "hub", "/graphql"),
    ("REST reference", "api", "/api/v1/docs"),
)
#: (the second key after `g`, title, view): where people on duty go without the mouse.
SHORTCUTS = (
    ("o", "Overview", "index", ""),
    ("i", "Incidents", "observability_incident_changelist", "observability.view_incident"),
    ("s", "Streams", "connectors_stream_changelist", "connectors.view_stream"),
    ("r", "Sync runs", "connectors_syncrun_changelist", "connectors.view_syncrun"),
    ("d", "Dead letters", "connectors_inboxevent_changelist", "connectors.view_inboxevent"),
    ("c", "Conflicts", "catalog_conflict_changelist", "catalog.view_conflict"),
    ("p", "Products", "catalog_product_changelist", "catalog.view_product"),
)


def _has(*permissions: str) -> Callable[[HttpRequest], bool]:
    return lambda request: bool(request.user.has_perms(permissions))


#: Pages that are no model's: {group: (title, icon, name of the address, who may see it)}.
VIEWS: dict[str, tuple[tuple[str, str, str, Callable[[HttpRequest], bool]], ...]] = {
    "Catalogue": (
        ("Ownership matrix", "grid_on", "matrix", _has("catalog.view_ownershiprule")),
        ("Payment reconciliation", "balance", "settlement", _has(*SETTLEMENT)),
    ),
    "Observability": (
        ("Map", "hub", "map", _has(MAP)),
        ("Service levels", "verified", "sla", _has(SLA)),
        ("API traffic", "speed", "traffic", _has(TRAFFIC)),
        ("By correlation id", "conversion_path", "correlation_find", may_look),
    ),
    "Access": (("Retention", "auto_delete", "retention", _has(RETENTION)),),
}


def stylesheet(_request: HttpRequest) -> str:
    """The console's own styles."""
    return static("console/console.css")


def shortcuts(request: HttpRequest) -> dict[str, Any]:
    """Unfold's GLOBAL_CALLBACK: (keys, title, address) of what a person may see."""
    return {
        "shortcuts": [
            (("g", key), title, reverse(f"admin:{view}"))
            for key, title, view, permission in SHORTCUTS
            if request.user.is_active and (not permission or request.user.has_perm(permission))
        ]
    }


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's SIDEBAR navigation; what a person may not see is left out."""
    overview = {"title": "Overview", "icon": "monitoring", "link": reverse("admin:index")}
    declared = tuple(
        (
            str(cls._meta.verbose_name_plural).capitalize(),
            ICONS.get(name, "dataset"),
            cls._meta.app_label,
            str(cls._meta.model_name),
        )
        for name, cls in entities().items()
    )
    groups = (
        ("Catalogue", _models(request, declared + CATALOGUE) + _views(request, "Catalogue")),
        ("Connectors", _models(request, CONNECTORS)),
        ("Observability", _views(request, "Observability") + _models(request, OBSERVABILITY)),
        ("Access", _models(request, ACCESS) + _views(request, "Access") + _pages()),
    )
    return [
        {"title": "", "items": [overview]},
        *({"title": title, "items": items, "separator": True} for title, items in groups),
    ]


def _models(
    request: HttpRequest, models: tuple[tuple[str, str, str, str], ...]
) -> list[dict[str, Any]]:
    items = []
    for title, icon, app, model in models:
        if not request.user.has_perm(f"{app}.view_{model}"):
            continue
        try:
            link = reverse(f"admin:{app}_{model}_changelist")
        except NoReverseMatch:
            continue
        items.append({"title": title, "icon": icon, "link": link})
    return items


def _views(request: HttpRequest, group: str) -> list[dict[str, Any]]:
    """Pages of the console's own, for whoever may see what is on them."""
    return [
        {"title": title, "icon": icon, "link": reverse(name)}
        for title, icon, name, may_see in VIEWS[group]
        if may_see(request)
    ]


def _pages() -> list[dict[str, Any]]:
    items = []
    for title, icon, address in PAGES:
        try:
            resolve(address)
        except Resolver404:
            continue
        items.append({"title": title, "icon": icon, "link": address})
    return items
