"""Every page of the console, found by walking its addresses.

A page that takes no more than the id of a row is covered by itself. One that has to be asked for
something else says so in `ASKED`; the walk refuses to leave it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from catalog.conflicts import Conflict
from catalog.entities import Customer
from hub.auth.approvals import Approval
from observability.incidents import find
from tests.console_demo import CORRELATION

ROOT = "admin/"
#: What answers below the root and is not a page that somebody opens.
NOT_PAGES = {
    "admin:autocomplete": "names for a field of a form",
    "admin:hub_erasure_certificate": "a file, once there is one",
    "admin:jsi18n": "a script",
    "admin:login": "leads on whoever is logged in",
    "admin:logout": "is posted",
    "admin:view_on_site": "leads to a page of the site; the console names none",
}
#: Pages that do what they are asked about, look at what came of it, and take it back.
REHEARSED = {"erase", "admin:catalog_ownershiprule_delete"}
#: The audit log is written in a transaction, in a test as a part of the test's own.
CONTROL = ("SAVEPOINT", "RELEASE SAVEPOINT", "BEGIN", "COMMIT", "ROLLBACK", "SET LOCAL")
#: A page that somebody may not open by its address: nothing to add, to change or to delete there.
REFUSED = (403, 405)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the name of its address, and where it is."""

    name: str
    address: str


def _conflicts() -> str:
    row = Conflict.objects.filter(closed_at=None, entity="variant").earliest("pk")
    return urlencode({"how": "take", "ids": row.pk})


def _paused() -> int:
    """An incident of a stream that there is."""
    return find("lag", "erp", "erp.prices is older than promised", stream="prices")


#: What these have to be asked for: the words after the question mark.
ASKED: dict[str, Callable[[], str]] = {
    "admin:search": lambda: "s=price",
    "find": lambda: "q=T-1-0",
    "admin:catalog_conflict_settle": _conflicts,
    "admin:catalog_override_add": lambda: "entity=variant&key=T-1-01&field=gtin",
    "admin:connectors_inboxevent_replay": lambda: "connection=erp",
    "admin:connectors_outboxcommand_replay": lambda: "code=upstream.retryable",
}
#: What stands in an address itself, of those that take more than the id of a row.
TAKEN: dict[str, Callable[[], tuple[object, ...]]] = {
    "admin:hub_approval_decide": lambda: (Approval.objects.earliest("pk").pk, "refuse"),
    "admin:observability_auditentry_export": lambda: ("csv",),
    "admin:observability_incident_step": lambda: (_paused(), "resync"),
    "erase": lambda: ("customer", Customer.objects.earliest("pk").pk),
    "correlation": lambda: (CORRELATION,),
    "map-file": lambda: ("svg",),
    "explain-page": lambda: ("variant", "T-1-01", "gtin"),
}


def person() -> User:
    """Who may see every page, by a role: that takes statements which a superuser's page spares."""
    role, _ = Group.objects.get_or_create(name="everything")
    role.permissions.set(Permission.objects.all())
    user, _ = User.objects.get_or_create(username="ola", is_staff=True)
    user.groups.set([role])
    return user


def pages() -> list[Page]:
    """All of them, of the rows that there are: of each model the first and the last."""
    return [
        Page(name, f"{address}?{ASKED[name]()}" if name in ASKED else address)
        for name, parameters in sorted(set(_names(get_resolver().url_patterns)))
        for address in _addresses(name, parameters)
    ]


def opened(client: Client, page: Page) -> Any | None:
    """The answer; None where the console offers no such page, or a file to download."""
    answer = client.get(page.address)
    if answer.status_code in REFUSED or answer.streaming:
        return None
    assert answer.status_code == 200, (
        f"{page.name} answers {answer.status_code} at {page.address}: say in tests/console_pages.py"
        " what it is asked for"
    )
    return answer


def asked(seen: CaptureQueriesContext) -> list[str]:
    """The statements of a page, without those that begin, bound and end a transaction."""
    return [q["sql"] for q in seen.captured_queries if not q["sql"].startswith(CONTROL)]


def _names(
    patterns: Sequence[URLPattern | URLResolver], above: str = "", names: str = ""
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name, parameters) of every address below the root that has a name."""
    for pattern in patterns:
        route = above + str(pattern.pattern)
        if not (route.startswith(ROOT) or ROOT.startswith(route)):
            continue
        if isinstance(pattern, URLResolver):
            space = f"{names}{pattern.namespace}:" if pattern.namespace else names
            yield from _names(pattern.url_patterns, route, space)
        elif route.startswith(ROOT) and pattern.name and f"{names}{pattern.name}" not in NOT_PAGES:
            parameters = (*pattern.pattern.converters, *pattern.pattern.regex.groupindex)
            yield f"{names}{pattern.name}", tuple(dict.fromkeys(parameters))


def _addresses(name: str, parameters: tuple[str, ...]) -> Iterator[str]:
    if not parameters:
        yield reverse(name)
    elif name in TAKEN:
        yield reverse(name, args=TAKEN[name]())
    elif parameters == ("app_label",):
        apps = {model._meta.app_label for model in admin.site._registry}
        yield from (reverse(name, args=[app]) for app in sorted(apps))
    elif parameters in (("object_id",), ("id",), ("pk",)):
        rows = _model(name)._default_manager.order_by("pk")
        ends = dict.fromkeys((rows.first(), rows.last()))  # of one row, one
        yield from (reverse(name, args=[quote(row.pk)]) for row in ends if row is not None)
    else:
        raise AssertionError(
            f"{name} takes {', '.join(parameters)}: say in tests/console_pages.py with what"
        )


def _model(name: str) -> type[Model]:
    """Whose admin an address belongs to."""
    label = name.removeprefix("admin:")
    of_admin = {f"{m._meta.app_label}_{m._meta.model_name}": m for m in admin.site._registry}
    fits = [prefix for prefix in of_admin if label.startswith(f"{prefix}_")]
    assert fits, f"{name} belongs to no model: say in tests/console_pages.py with what it is asked"
    return of_admin[max(fits, key=len)]
