"""Every request to the admin: who looks, whether they may see personal data, and what they do.

A POST is written into the audit log before it is run; if that cannot be, the answer is 503 and
nothing has been done. Of what only shows something, exports, refusals and views of personal data are
written before the page is given away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse

from catalog import masking
from hub.auth import audited
from hub.console import approvals
from observability import audit
from observability.audit import Outcome
from observability.errors import NotWrittenError

PATH = "/admin/"
#: They are told of by Django's signals, with the person's name.
SIGNALLED = ("admin:login", "admin:logout")
READS = frozenset({"GET", "HEAD", "OPTIONS"})

Answer = Callable[[HttpRequest], HttpResponse]


class Watch:
    """Behind Django's authentication, and around the view and the rendering of its template."""

    def __init__(self, get_response: Answer) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer, or 503 where it could not be written down."""
        if not request.path.startswith(PATH):
            return self._get_response(request)
        try:
            with masking.looking(sees=request.user.has_perm(masking.SEE)) as viewer:
                return self._watched(request, viewer)
        except NotWrittenError as error:
            return _unavailable(error)

    def process_view(
        self, request: HttpRequest, _view: Any, _args: Any, kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """An action that reaches too far for one person waits for another; the token is good by now."""
        if request.method != "POST" or not request.path.startswith(PATH):
            return None
        return approvals.held_back(request, kwargs)

    def process_exception(self, _request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """What a view or a signal could not write down, it has not done."""
        return _unavailable(exception) if isinstance(exception, NotWrittenError) else None

    def _watched(self, request: HttpRequest, viewer: masking.Viewer) -> HttpResponse:
        acts = request.method not in READS and request.user.is_authenticated
        if acts and request.path in {reverse(name) for name in SIGNALLED}:
            acts = False
        begun = audited.begun(request) if acts else None
        response = self._get_response(request)
        seen = {what: sorted(fields) for what, fields in sorted(viewer.seen.items())}
        exports = "attachment" in response.headers.get("Content-Disposition", "")
        doing = audited.act(request)
        if begun is not None:
            waits = getattr(request, approvals.WAITS, None)
            said = {
                "approval": waits,
                "status": response.status_code,
                "personal": seen,
                "export": exports,
            }
            told = {name: value for name, value in said.items() if value}
            actor = request.user.get_username()
            became = audit.Outcome.HELD if waits else outcome(response)
            audit.ended(begun, actor, doing.action, became, **told)
            return response
        if response.status_code == 403:
            audited.entry(request, "see a page", subject=doing.subject, outcome=Outcome.REFUSED)
        if exports:
            audited.entry(request, "export", subject=doing.subject, outcome=Outcome.DONE)
        if seen:
            audited.entry(
                request,
                "view personal data",
                subject=doing.subject,
                objects=sorted(viewer.keys),
                details=seen,
                outcome=Outcome.DONE,
            )
        return response


def outcome(response: HttpResponse) -> str:
    """What an answer says of an action: a page in answer to a form has changed nothing, mostly."""
    if response.status_code >= 500:
        return Outcome.FAILED
    if response.status_code >= 400:
        return Outcome.REFUSED
    return Outcome.DONE if response.status_code >= 300 else Outcome.SHOWN


def _unavailable(error: Exception) -> HttpResponse:
    context = {"message": str(error), "site": settings.UNFOLD["SITE_TITLE"]}
    page = render_to_string("console/not_audited.html", context)
    return HttpResponse(
        page, status=503, headers={"Retry-After": "30", "Cache-Control": "no-store"}
    )
