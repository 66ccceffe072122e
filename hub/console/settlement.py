"""The page of payment reconciliation: what does not add up, with both sides' lineage, and as CSV."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from catalog import settlement
from catalog.admin import entity_url
from catalog.entities import Payment, spelled
from catalog.settlement import Difference
from catalog.source import SourceRecord
from observability.clock import database_now
from observability.display import duration

PAGE = 50
NEEDED = ("catalog.view_payment", "catalog.view_order", "catalog.view_payout")
RAW = "catalog.view_sourcerecord"
#: Each kind as people read it.
TITLES = {
    "order_without_payment": "Order without payment",
    "payment_without_order": "Payment without order",
    "currency_differs": "Currency differs",
    "amount_differs": "Amount differs",
    "captured_less_than_ordered": "Captured less than ordered",
    "captured_more_than_ordered": "Captured more than ordered",
    "refunded_more_than_captured": "Refunded more than captured",
    "refund_without_payment": "Refund without payment",
    "payout_does_not_add_up": "Payout does not add up",
    "payout_line_differs": "Payout line differs",
    "payment_not_paid_out": "Payment not paid out",
}
COLUMNS = (
    "kind", "entity", "key", "other_entity", "other_key", "expected", "found", "currency",
    "changed_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """One record of a difference: its lineage page, and what each system said about it, raw."""

    name: str
    key: str
    lineage: str
    records: Sequence[tuple[str, str]]  # (system and stream, address)


@dataclass(frozen=True, slots=True)
class Row:
    """A difference as the page shows it."""

    title: str
    told: Difference
    sides: Sequence[Side]
    missing: str | None  # a key that nobody knows, in place of the other side
    expected: str
    found: str


def page(request: HttpRequest) -> HttpResponseBase:
    """GET `?kind=…&page=…`, or `&format=csv` for all of them."""
    if not request.user.has_perms(NEEDED):
        raise PermissionDenied
    kind = request.GET.get("kind", "")
    try:
        settlement.known(kind)
        number = max(1, int(request.GET.get("page") or 1))
    except (LookupError, ValueError) as error:
        raise Http404(str(error)) from error
    if request.GET.get("format") == "csv":
        return _download(kind)
    found = settlement.differences(kind, limit=PAGE + 1, offset=(number - 1) * PAGE)
    counts = settlement.counts()
    context = {
        **admin.site.each_context(request),
        "title": "Payment reconciliation",
        "kind": kind,
        "kinds": [
            (count, TITLES[count.kind], duration(settlement.WINDOWS[count.kind].total_seconds()))
            for count in counts
        ],
        "open": sum(count.open for count in counts),
        "now": database_now(),
        "waiting": sum(count.waiting for count in counts),
        "rows": rows(found[:PAGE], raw=request.user.has_perm(RAW)),
        "number": number,
        "more": len(found) > PAGE,
        "csv_address": f"?{urlencode({'kind': kind, 'format': 'csv'})}",
    }
    return TemplateResponse(request, "console/settlement.html", context)


def rows(found: Sequence[Difference], *, raw: bool = True) -> list[Row]:
    """The differences with the records of both sides; two statements, however many there are."""
    named = {(d.entity, d.key) for d in found} | {(d.other_entity, d.other_key) for d in found}
    records = _records(named) if raw else {}

    def sides(told: Difference) -> Iterator[Side]:
        for name, key in ((told.entity, told.key), (told.other_entity, told.other_key)):
            if name:
                yield Side(
                    name.replace("_", " "), key, entity_url(name, key), records.get((name, key), ())
                )

    return [
        Row(
            TITLES[told.kind],
            told,
            list(sides(told)),
            None if told.other_entity else told.other_key,
            amount(told.expected),
            amount(told.found),
        )
        for told in found
    ]


def _records(named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """The source records that speak about each (entity, key)."""
    wanted = [(name, key) for name, key in named if name]
    spoken = SourceRecord.objects.filter(
        source__entity__in={name for name, _ in wanted},
        entity_key__in={key for _, key in wanted},
    )
    found: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    values = spoken.values_list(
        "pk", "source__entity", "source__system", "source__stream", "entity_key"
    )
    for pk, name, system, stream, key in values.order_by("source__system", "pk"):
        address = reverse("admin:catalog_sourcerecord_change", args=[pk])
        found[name, key].append((f"{system} {stream}", address))
    return found


def amount(value: Decimal | None) -> str:
    return "" if value is None else spelled(value, Payment._meta.get_field("amount"))


def cells(told: Difference) -> list[str]:
    """One line of the CSV, in the order of `COLUMNS`."""
    texts = (told.kind, told.entity, told.key, told.other_entity, told.other_key)
    amounts = (amount(told.expected), amount(told.found))
    return [*map(plain, texts), *amounts, plain(told.currency), told.changed_at.isoformat()]


def plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


class Line:
    """What `csv.writer` writes to: it gives each line back."""

    def write(self, text: str) -> str:
        return text


def _download(kind: str) -> StreamingHttpResponse:
    table = csv.writer(Line())

    def lines() -> Iterator[str]:
        yield table.writerow(COLUMNS)
        yield from (table.writerow(cells(told)) for told in settlement.every(kind))

    name = f"payments-{kind or 'all'}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)
