"""Buttons that ask for a sync run: on one row of a list, or on the row's own page.

Every button is a POST to the list of its model, with `one=<action>:<key>`; `next` brings the
person back to the page of the row. So one set of actions, with one permission check, serves the
list's tick boxes, its row buttons and the pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from connectors.models import Stream, SyncRun
from connectors.runtime import queue

ASK = "connectors.add_syncrun"


def may_ask(request: HttpRequest) -> bool:
    """Whether the person may ask for runs: support reads, operators ask."""
    return request.user.has_perm(ASK)


def who(request: HttpRequest) -> str:
    """The person, as a run remembers it."""
    return request.user.get_username()


def run_url(run_id: int) -> str:
    """The page of a sync run."""
    return reverse("admin:connectors_syncrun_change", args=[run_id])


def run_link(run_id: int) -> SafeString:
    """`run #12`, as a link."""
    return format_html('<a class="hw-link" href="{}">run #{}</a>', run_url(run_id), run_id)


def say_asked(request: HttpRequest, runs: Iterable[SyncRun]) -> None:
    """Tell the person which runs wait now."""
    links = format_html_join(", ", "{}", ((run_link(run.pk),) for run in runs))
    messages.success(request, format_html("Asked for {}.", links))


def ask_all(request: HttpRequest, streams: Iterable[Stream], kind: str) -> None:
    """Ask for a run of each stream, and say so."""
    say_asked(request, [queue.ask(stream, kind, asked_by=who(request)) for stream in streams])


def button(action: str, key: Any, label: str, title: str = "") -> SafeString:
    """A button inside a list's own form."""
    return format_html(
        '<button type="submit" class="hw-button" name="one" value="{}:{}" title="{}">{}</button>',
        action,
        key,
        title,
        label,
    )


class OneRow:
    """Mixed into a ModelAdmin: runs one of its actions on one row."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; or, for a button, its action."""
        if request.method == "POST" and (asked := request.POST.get("one")):
            return self._one(request, asked)
        shown: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        return shown

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Without the column of buttons for those who may press none."""
        columns = list(super().get_list_display(request))  # type: ignore[misc]
        allowed = self.get_actions(request)  # type: ignore[attr-defined]
        return [name for name in columns if name != "what_to_do" or allowed]

    def has_ask_permission(self, request: HttpRequest) -> bool:
        """For actions declared with `permissions=["ask"]`."""
        return may_ask(request)

    def _one(self: Any, request: HttpRequest, asked: str) -> HttpResponse:
        name, _, key = asked.partition(":")
        # Only what the person may do is among the actions.
        action = self.get_actions(request).get(name)
        if action is None:
            raise PermissionDenied
        action[0](self, request, self.get_queryset(request).filter(pk=key))
        back = request.POST.get("next", "")
        if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
            back = request.get_full_path()
        return HttpResponseRedirect(back)
