"""The dry run of dead letters and their replay, as a page of a box's admin.

A replay is reached through its dry run alone: the page that shows what would happen has the
button that makes it happen, for exactly what was dead when the page was made.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin

from connectors.admin.asking import who
from connectors.admin.letter_list import Shown, became_of
from connectors.admin.rehearsal_page import rehearsal_page
from connectors.replay.chosen import Chosen, UnclearError
from connectors.replay.letters import Letters
from observability.clock import database_now


class Replaying(ModelAdmin):  # type: ignore[misc]
    """What a box's admin gains: an action, and the page behind it."""

    letters: ClassVar[Letters]
    actions = ("replay_selected",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Support reads; who may change messages may replay them."""
        options = self.opts
        return request.user.has_perm(f"{options.app_label}.change_{options.model_name}")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.replay_view)
        return [path("replay/", view, name=self._name("replay")), *super().get_urls()]

    def replay_view(self, request: HttpRequest) -> HttpResponse:
        """GET: the dry run. POST: the replay."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        try:
            chosen = Chosen.read(given, self.letters.places).needed()
            if request.method == "POST":
                return self._replay(request, chosen)
            chosen = chosen.as_seen(database_now())
            context = rehearsal_page(self.letters, chosen)
        except UnclearError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self._list())
        except OperationalError:
            messages.warning(
                request, "Workers hold these records at the moment. Nothing was changed; try again."
            )
            return HttpResponseRedirect(self._list())
        context |= {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Dry run",
            "may_replay": self.has_replay_permission(request),
            "back": f"{self._list()}?{Chosen.read(given, self.letters.places).query()}",
            "list_address": self._list(),
        }
        return TemplateResponse(request, "admin/connectors/letters/replay.html", context)

    @admin.action(description="Dry run of these, then replay", permissions=["view"])
    def replay_selected(
        self, request: HttpRequest, rows: QuerySet[Any]
    ) -> HttpResponseRedirect | None:
        """To the dry run of what is ticked, or of the whole filter."""
        shown = Shown.read(request, self.letters)
        chosen = shown.chosen
        if request.POST.get("select_across") != "1":
            chosen = Chosen(ids=tuple(rows.values_list("pk", flat=True)))
        return HttpResponseRedirect(f"{self._rehearsal()}?{chosen.query()}")

    def _replay(self, request: HttpRequest, chosen: Chosen) -> HttpResponse:
        if not self.has_replay_permission(request):
            raise PermissionDenied
        count = self.letters.replay(chosen, who(request))
        if count:
            letters = "1 dead letter is" if count == 1 else f"{count:,} dead letters are"
            messages.success(request, f"{letters} in the {self.letters.name} again.")
        else:
            messages.warning(request, "Nothing was replayed: none of these is dead any more.")
        return HttpResponseRedirect(self._list() + became_of(chosen))

    def _name(self, view: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{view}"

    def _list(self) -> str:
        return reverse(f"admin:{self._name('changelist')}")

    def _rehearsal(self) -> str:
        return reverse(f"admin:{self._name('replay')}")
