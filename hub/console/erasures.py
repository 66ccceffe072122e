"""Erasing a person in the admin: the dry run, the request for a second person's yes, the certificate."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.admin import ReadOnlyAdmin, entity_url
from catalog.admin.row_page import RowPage
from connectors.admin.asking import who
from hub.console.approvals import APPROVED
from hub.erasure.find import Subject, find
from hub.erasure.models import Erasure
from hub.erasure.run import begin, go_on, rehearse
from observability.display import Tone, ago, badge, exact
from observability.errors import ConflictError

ERASE = "catalog.erase_person"


def page(request: HttpRequest, entity: str, key: str) -> HttpResponse:
    """GET: what would be erased. POST with `reason`: it is, once another person has said yes."""
    if not request.user.has_perm(ERASE):
        raise PermissionDenied
    try:
        subject = find(entity, key)
    except LookupError as error:
        raise Http404(str(error)) from error
    if request.method == "POST":
        return _erase(request, subject)
    counts, trouble = {}, ""
    try:
        counts = rehearse(subject)
    except ConflictError as error:
        trouble = error.message
    context = {
        **admin.site.each_context(request),
        "title": f"Erase {entity} {key}",
        "subject": subject,
        "counts": lines(counts),
        "trouble": trouble,
        "systems": sorted({(one.system, one.stream) for one in subject.records}),
        "back": entity_url(entity, key),
    }
    return TemplateResponse(request, "console/erase.html", context)


def _erase(request: HttpRequest, subject: Subject) -> HttpResponse:
    reason = request.POST.get("reason", "").strip()
    if not reason:
        messages.error(request, "Say why, for example by whose request: it stays with the erasure.")
        return HttpResponseRedirect(request.path)
    erasure = begin(
        subject.entity, subject.key, asked_by=who(request),
        approved_by=str(getattr(request, APPROVED, "")), reason=reason,
    )  # fmt: skip
    return continued(request, erasure)


def continued(request: HttpRequest, erasure: Erasure) -> HttpResponse:
    """Run what is left of it, and show it."""
    try:
        go_on(erasure)
    except ConflictError as error:
        messages.error(request, f"{error.message}.")
    else:
        messages.success(
            request, "Erased. The certificate says what, and which systems still hold it."
        )
    return HttpResponseRedirect(reverse("admin:hub_erasure_change", args=[erasure.pk]))


#: What the steps of an erasure are about, in the order in which they are told.
STEPS = {
    "source_records": "what systems said",
    "entity_rows": "the record itself",
    "history": "former values",
    "conflicts": "conflicts and possible matches",
    "overrides": "overrides",
    "commands": "what was asked to be written",
    "referring": "orders and the like",
    "boxes": "what was received and sent",
    "evidence": "quarantine and drift",
    "texts": "the same text elsewhere",
    "suppress": "refused from now on",
}
#: What is counted: (one, several).
COUNTED = {
    "source_records": ("source record emptied", "source records emptied"),
    "tombstoned": ("tombstone", "tombstones"),
    "rows": ("row emptied", "rows emptied"),
    "labels": ("name to find it by", "names to find it by"),
    "revisions": ("revision emptied", "revisions emptied"),
    "conflicts": ("conflict", "conflicts"),
    "held_values": ("held value", "held values"),
    "match_candidates": ("possible match", "possible matches"),
    "overrides": ("override", "overrides"),
    "commands": ("command", "commands"),
    "steps": ("step of a command", "steps of commands"),
    "inbox": ("event", "events"),
    "outbox": ("message", "messages"),
    "inbox_referring": ("event that refers to it", "events that refer to it"),
    "outbox_referring": ("message that refers to it", "messages that refer to it"),
    "inbox_by_text": ("event, by its text", "events, by their text"),
    "outbox_by_text": ("message, by its text", "messages, by their text"),
    "quarantine": ("quarantined record", "quarantined records"),
    "member_changes": ("sample of drift", "samples of drift"),
    "incidents": ("incident", "incidents"),
    "keys": ("natural key", "natural keys"),
    "records": ("upstream record", "upstream records"),
}


def lines(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str]]:
    """(what, how much of it) for a table; of what is not there, that it is not."""
    order = list(STEPS)
    told = sorted(counts.items(), key=lambda step: order.index(step[0]))
    return [(STEPS[name], ", ".join(_counted(step)) or "nothing") for name, step in told]


def _counted(step: Mapping[str, int]) -> Iterator[str]:
    for what, number in step.items():
        if number:
            one, several = COUNTED.get(what) or (column(what),) * 2
            yield f"{number:,} {one if number == 1 else several}"


def column(place: str) -> str:
    """`catalog_customer.email` as people say it: email of customers."""
    table, _, name = place.partition(".")
    known = {model._meta.db_table: model._meta.verbose_name_plural for model in apps.get_models()}
    return f"{name.replace('_', ' ')} of {known.get(table, table)}"


@admin.register(Erasure)
class ErasureAdmin(RowPage, ReadOnlyAdmin):
    """Whoever may erase sees what was erased, and so does the auditor; never who it was."""

    list_display = ("number", "state_now", "asked", "begun", "ended")
    list_filter = ("state", "entity")
    change_form_template = "console/erasure.html"
    nothing = "Nobody was erased. It begins on the page of a customer, or with their list's action."
    ordering = ("-id",)
    sortable_by = ()
    fields = ()

    def get_urls(self) -> list[URLPattern]:
        wrapped = self.admin_site.admin_view
        return [
            path("<int:pk>/certificate.json", wrapped(self.certificate),
                 name="hub_erasure_certificate"),
            path("<int:pk>/go-on/", wrapped(self.go_on_view), name="hub_erasure_go_on"),
            *super().get_urls(),
        ]  # fmt: skip

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(ERASE) or bool(super().has_view_permission(request, obj))

    def certificate(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The certificate and its signature, to be kept elsewhere."""
        row = Erasure.objects.filter(pk=pk, certificate__isnull=False).first()
        if not self.has_view_permission(request):
            raise PermissionDenied
        if row is None:
            raise Http404(f"There is no certificate of erasure #{pk}.")
        told = {"certificate": row.certificate, "signature": row.signature}
        name = f"erasure-{pk}.json"
        return HttpResponse(
            json.dumps(told, indent=2),
            content_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def go_on_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST: go on with one that was broken off; it was approved when it began."""
        row = Erasure.objects.filter(pk=pk).first()
        if request.method != "POST" or not request.user.has_perm(ERASE):
            raise PermissionDenied
        if row is None:
            raise Http404(f"There is no erasure #{pk}.")
        return continued(request, row)

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """See `RowPage`."""
        told = row.certificate or {}
        return {
            "title": f"Erasure of a {row.entity}",
            "subtitle": f"#{row.pk}",
            "row": row,
            "state": self.state_now(row),
            "counts": lines(row.done),
            "systems": told.get("systems_that_may_still_hold_it", ()),
            "elsewhere": [
                (column(place), count)
                for place, count in sorted(told.get("same_text_elsewhere", {}).items())
            ],
            "correlation": self.correlation(row),
            "kept": told.get("kept", ()),
            "begun": exact(row.begun_at),
            "ended": exact(row.finished_at) if row.finished_at else "–",
            "may_go_on": row.state == Erasure.State.RUNNING and request.user.has_perm(ERASE),
        }

    @admin.display(description="erasure")
    def number(self, row: Erasure) -> SafeString:
        return format_html(
            '#{} of a {}<div class="hw-mono hw-dim">{}</div>', row.pk, row.entity, row.digest[:16]
        )

    @admin.display(description="state")
    def state_now(self, row: Erasure) -> SafeString:
        done = row.state == Erasure.State.DONE
        return badge(row.state, Tone.GOOD if done else Tone.BUSY)

    @admin.display(description="asked by")
    def asked(self, row: Erasure) -> str:
        return f"{row.asked_by}, approved by {row.approved_by}" if row.approved_by else row.asked_by

    @admin.display(description="begun")
    def begun(self, row: Any) -> SafeString:
        return ago(row.begun_at, row.asked_at)

    @admin.display(description="done")
    def ended(self, row: Any) -> SafeString:
        return ago(row.finished_at, row.asked_at)
