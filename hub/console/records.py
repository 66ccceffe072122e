"""The admin of every entity, with its lineage page in place of a form."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote as quoted

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import Resolver404, resolve, reverse

from catalog import masking
from catalog.admin import EntityAdmin
from catalog.entities import Entity, value_fields
from catalog.past import TooMuchError
from connectors.admin.asking import OneRow, may_ask, say_asked, who
from hub import past
from hub.console.erasures import ERASE
from hub.console.lineage import heading, lineage
from hub.console.resync import resync
from hub.console.seeing import may_settle
from hub.console.timetravel import then
from hub.problems import RequestError

AT_ONCE = 200


class RecordAdmin(OneRow, EntityAdmin):
    """List as the catalogue declares it; each row leads to where its values come from."""

    actions = ("resync_record", "erase_person")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            gone: HttpResponse = self._get_obj_does_not_exist_redirect(
                request, self.opts, object_id
            )
            return gone
        options = self.opts
        moment, wrong = moment_asked(request)
        field, before = request.GET.get("field", ""), request.GET.get("before", "")
        fields = [f.name for f in value_fields(type(row))]
        context = {
            **self.admin_site.each_context(request),
            "opts": options,
            "original": row,
            "title": heading(row) or row.key,
            "subtitle": row.key,
            "row": row,
            "now": row.asked_at,
            "declaration": row.declaration,
            "at": moment,
            "at_wrong": wrong,
            "field": field,
            "fields": fields,
            "may_ask": may_ask(request),
            "may_settle": may_settle(request),
            "may_withdraw": may_settle(request),
            "api_address": api_address(row),
            "list_address": reverse(f"admin:{options.app_label}_{options.model_name}_changelist"),
            **(extra_context or {}),
        }
        try:
            if moment is not None:
                shown_then = {**context, "then": then(row, moment)}
                return TemplateResponse(request, "console/then.html", shown_then)
        except TooMuchError as error:
            context["at_wrong"] = error.message
        shown = lineage(
            row,
            field=field if field in fields else "",
            before=int(before)
            if before.isascii() and before.isdigit() and len(before) < 19
            else None,
        )
        return TemplateResponse(request, "console/lineage.html", {**context, "lineage": shown})

    def has_erase_permission(self, request: HttpRequest) -> bool:
        """Of entities that have personal data alone."""
        return masking.has_personal(self.declared) and request.user.has_perm(ERASE)

    @admin.action(description="Erase this person…", permissions=["erase"])
    def erase_person(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """To the dry run of it."""
        chosen = list(rows.values_list("pk", flat=True)[:2])
        if len(chosen) != 1:
            messages.warning(request, "One person at a time.")
            return None
        return HttpResponseRedirect(
            reverse("erase", args=[self.declared.declaration.name, chosen[0]])
        )

    @admin.action(description="Resync these records", permissions=["ask"])
    def resync_record(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Fetch every source record that speaks about the rows again."""
        if rows.count() > AT_ONCE:
            messages.warning(
                request, f"At most {AT_ONCE} records at once; a full refresh reads all of a stream."
            )
            return
        runs = resync(rows, who(request))
        if runs:
            say_asked(request, runs)
        else:
            messages.warning(request, "No stream that is connected speaks about this record.")


def moment_asked(request: HttpRequest) -> tuple[datetime | None, str]:
    """The moment of `?at=`, if there is one, and what is wrong with it."""
    try:
        return past.moment_of(request.GET.get(past.PARAMETER) or None), ""
    except RequestError as error:
        return None, error.message


def api_address(row: Entity) -> str | None:
    """Where REST answers for the record, provenance included; None where it does not."""
    address = f"/api/v1/{row.declaration.plural}/{row.key}"
    try:
        resolve(address)
    except Resolver404:
        return None
    return f"{quoted(address)}?include=provenance"
