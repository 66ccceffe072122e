"""What is written into the audit log about people's requests, and what of them is left out.

Texts that a form was sent are not told, but for the names below: a secret, or somebody's address,
might stand in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.urls import Resolver404, resolve

from hub.auth.permissions import role_names
from observability import audit
from observability.audit import Outcome

#: Choices and numbers, of which no form makes anything else.
TOLD = frozenset(
    {
        "action", "how", "kind", "index", "select_across", "code", "cause", "since", "until",
        "connection", "subscriber", "stream", "breach", "member", "path", "entity", "field", "owner",
        "others", "fallbacks", "locale", "market", "channel", "valid_from", "valid_to", "scopes",
        "requests_per_minute", "expires_at_0", "expires_at_1", "enabled", "is_active", "is_staff",
        "is_superuser", "groups", "user_permissions", "step", "_confirmed", "_expected",
    }
)  # fmt: skip
OBJECTS = ("_selected_action", "ids", "object_id", "key")
UNTOLD = frozenset({"csrfmiddlewaretoken", "next", "reason", *OBJECTS})
FORMS = ("add", "change", "delete", "changelist", "history")


@dataclass(frozen=True, slots=True)
class Act:
    """What a request is about to do."""

    action: str
    subject: str
    objects: tuple[str, ...]


def act(request: HttpRequest) -> Act:
    """From the address and the choices of the form."""
    try:
        match = resolve(request.path_info)
    except Resolver404:
        return Act(request.method or "", "", ())
    name, kwargs = match.url_name or "", match.kwargs
    subject, what = name, name.rpartition("_")[2]
    model = name.removesuffix(f"_{what}")
    if what in FORMS and "_" in model:
        subject = model.replace("_", ".", 1)
    one, _, key = request.POST.get("one", "").partition(":")
    # A button with an address of its own: `step/<name>`, `decide/<decision>`.
    named = kwargs.get("name") or kwargs.get("decision")
    chosen = one or str(named or "") or request.POST.get("action", "")
    if not chosen:
        chosen = what if what in FORMS else name.replace("_", " ").replace("-", " ")
    objects = [key] if key else []
    objects += [str(value) for value in kwargs.values()]
    for field in OBJECTS:
        objects += [part for one in request.POST.getlist(field) for part in one.split(",") if part]
    return Act(chosen[:100], subject, tuple(objects))


def details(request: HttpRequest) -> dict[str, Any]:
    """The names of what was sent, and the values that may be told."""
    names = sorted(set(request.POST) - UNTOLD)
    told = {name: request.POST.getlist(name) for name in names if name in TOLD}
    said: dict[str, Any] = {
        name: values[0] if len(values) == 1 else values for name, values in told.items()
    }
    if others := [name for name in names if name not in told and name != "one"]:
        said["sent"] = others[:100]
    return said


def roles(user: Any) -> str:
    """The groups of a person, as they are now."""
    if not user.pk:
        return ""
    if user.is_superuser:
        return "superuser"
    return ", ".join(role_names(user))


def entry(request: HttpRequest, action: str, **more: Any) -> int:
    """Write an entry about a person's request. Raises NotWrittenError."""
    user: Any = more.pop("user", None) or request.user
    return audit.record(
        user.get_username() or "nobody",
        action,
        more.pop("subject", ""),
        more.pop("details", None),
        more.pop("reason", ""),
        roles=roles(user),
        page=request.path,
        address=str(request.META.get("REMOTE_ADDR", "")),
        **more,
    )


def begun(request: HttpRequest) -> int:
    """Before anything is done. Raises NotWrittenError."""
    doing = act(request)
    return entry(
        request,
        doing.action,
        subject=doing.subject,
        objects=doing.objects,
        details=details(request),
        reason=request.POST.get("reason", ""),
    )


def _logged_in(request: HttpRequest, user: User, **_signal: Any) -> None:
    entry(request, "log in", user=user, outcome=Outcome.DONE)


def _logged_out(request: HttpRequest, user: User | None, **_signal: Any) -> None:
    if user is not None:
        entry(request, "log out", user=user, outcome=Outcome.DONE)


def _login_failed(
    credentials: dict[str, Any], request: HttpRequest | None = None, **_signal: Any
) -> None:
    # What is no user's name may be a password that was typed into the wrong box.
    name = str(credentials.get("username", ""))
    known = User.objects.filter(username=name).exists()
    audit.record(
        name if known else "nobody",
        "log in",
        details={"known": known},
        page=request.path if request else "",
        address=str(request.META.get("REMOTE_ADDR", "")) if request else "",
        outcome=Outcome.REFUSED,
    )


def listen() -> None:
    """Hear of log-ins and log-outs."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit")
    user_logged_out.connect(_logged_out, dispatch_uid="audit")
    user_login_failed.connect(_login_failed, dispatch_uid="audit")
