"""Settling by hand: the page that asks why, for one conflict or for many."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from catalog.conflicts import Conflict, accept
from catalog.overrides import override, taking
from connectors.admin.asking import who
from connectors.runtime import wake
from hub.console.seeing import may_settle, said, seen_entities
from observability.clock import database_now

SETTLE_VIEW = "catalog_conflict_settle"
AT_ONCE = 200
SHOWN = 20
HOW = {
    "take": "Take what loses, as an override",
    "keep": "Keep what survived, and say that it is right",
}


class ReasonForm(forms.Form):
    """Why, and (of an override) until when."""

    reason = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Shown to whoever asks why the value is what it is.",
    )
    until = forms.DateTimeField(
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text="UTC. It ends then by itself; empty: when somebody withdraws it.",
    )

    def take(self, error: ValidationError) -> None:
        """Show what was refused beside the field that it is about."""
        for name, texts in error.message_dict.items():
            place = name if name in self.fields else None
            for text in texts:
                self.add_error(place, text)


def override_url(entity: str, key: str, field: str) -> str:
    """The page on which a value is entered above the rules."""
    words = urlencode({"entity": entity, "key": key, "field": field})
    return f"{reverse('admin:catalog_override_add')}?{words}"


def settle_view(request: HttpRequest) -> HttpResponse:
    """GET: what would be settled, and the question why. POST: it is."""
    if not may_settle(request):
        raise PermissionDenied
    given = request.POST if request.method == "POST" else request.GET
    how = given.get("how", "")
    ids = [int(word) for word in given.get("ids", "").split(",") if word.isdigit()][:AT_ONCE]
    back = reverse("admin:catalog_conflict_changelist")
    chosen = Conflict.objects.filter(
        pk__in=ids, closed_at=None, entity__in=seen_entities(request)
    ).order_by("id")
    rows = list(chosen.select_related("source", "survivor_source"))
    if how not in HOW or not rows:
        messages.warning(request, "These differ no more: there is nothing to settle.")
        return HttpResponseRedirect(back)
    if len(rows) == 1:
        back = reverse("admin:catalog_conflict_change", args=[rows[0].pk])
    seen = forms.DateTimeField(required=False).to_python(given.get("seen")) or database_now()
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if how == "keep":
        del form.fields["until"]
    if request.method == "POST" and form.is_valid():
        try:
            settled = _settle(how, rows, form.cleaned_data, seen, who(request))
        except ValidationError as error:
            form.take(error)
        else:
            wake.notify(wake.OUTBOX)
            _say(request, settled, len(rows))
            return HttpResponseRedirect(back)
    context = {
        **admin.site.each_context(request),
        "opts": Conflict._meta,
        "title": HOW[how],
        "how": how,
        "ids": ",".join(str(row.pk) for row in rows),
        "seen": seen.isoformat(),
        "rows": [
            (
                row,
                *(said(one, row.entity, row.field, row.key) for one in (row.value, row.surviving)),
            )
            for row in rows[:SHOWN]
        ],
        "count": len(rows),
        "more": max(0, len(rows) - SHOWN),
        "form": form,
        "back": back,
    }
    return TemplateResponse(request, "console/settle.html", context)


def _settle(how: str, rows: list[Conflict], given: dict[str, Any], seen: Any, by: str) -> int:
    """How many were settled: what has changed since it was shown is not."""
    if how == "keep":
        chosen = Conflict.objects.filter(pk__in=[row.pk for row in rows])
        return accept(chosen, by=by, reason=given["reason"], seen=seen)
    same = [row for row in rows if row.changed_at <= seen]
    if same:
        override([taking(row) for row in same], by=by, reason=given["reason"], until=given["until"])
    return len(same)


def _say(request: HttpRequest, settled: int, count: int) -> None:
    if settled:
        messages.success(request, f"{settled} settled by hand.")
    if settled < count:
        messages.warning(
            request, f"{count - settled} changed since they were shown. Look at them again."
        )
