"""Actions that one person may not do alone when they reach far: counted, held, and run once approved.

`HELD` declares them: by page and action, what is counted and above which number a second person is
needed. Nothing in the actions themselves knows of it: a POST that is one of them is counted before
it is run (`held_back`); above its limit it is kept as a row (`hub.auth.approvals`) instead, and run
as its asker, with the asker's rights of that moment, when another person who may do the
same says yes. It is counted again then: what has grown by more than a tenth is asked for anew.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import resolve, reverse
from django.utils.html import format_html

from catalog import rule_changes
from catalog.admin.rules import CONFIRMED
from catalog.ownership import OwnershipRule
from catalog.rule_checks import RuleRefusedError
from catalog.sizes import entity_sizes, source_sizes
from connectors.inbox.letters import INBOX
from connectors.models import Connection, Stream, SyncRun
from connectors.outbox.letters import OUTBOX
from connectors.replay.boxes import BOXES
from connectors.replay.chosen import Chosen, UnclearError
from connectors.replay.letters import Letters
from connectors.secrets import seal, unseal
from hub.auth import audited
from hub.auth.approvals import Approval, decide, expire_due
from hub.console.steps import STEPS, NothingToDoError, letters_of
from observability import audit, context
from observability.incidents import Incident

#: What may have come to it between the question and the yes.
GROWTH = 1.1
#: Of what an action is about, so many are named.
NAMED = 5
#: What a request is marked with: that it was approved; the number of the row that it became.
APPROVED, WAITS = "headwater.approved", "headwater.waits"


#: Of a page: its name, and the action that is asked for there.
Place = tuple[str, str]
Count = Callable[[HttpRequest, Mapping[str, Any]], int]
About = Callable[[HttpRequest, Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Held:
    """An action that is counted. `count` gives how many of `unit` it reaches, 0 where it only asks.

    `permission`: who may do it, and so who may approve it.
    """

    title: str
    permission: str
    unit: str
    limit: int
    count: Count
    #: What it is about, for whoever decides; empty where the page that it was asked on says it.
    about: About = lambda _request, _kwargs: ""


def _ids(request: HttpRequest) -> list[str]:
    one = request.POST.get("one", "").partition(":")[2]
    return [one] if one else request.POST.getlist("_selected_action")


def _across(request: HttpRequest) -> bool:
    return request.POST.get("select_across") == "1" and not request.POST.get("one")


def _chosen(request: HttpRequest, rows: Any) -> Any:
    """Of a list's rows those that its action is asked for."""
    return rows if _across(request) else rows.filter(pk__in=_ids(request))


def _streams_held(request: HttpRequest) -> Any:
    runs = _chosen(request, SyncRun.objects.filter(state=SyncRun.State.HELD))
    return Stream.objects.filter(runs__in=runs).distinct()


def _records(streams: Any) -> int:
    sizes = source_sizes()
    places = streams.values_list("connection__slug", "slug")
    return sum(sizes[place].count for place in places if place in sizes)


def of_streams(request: HttpRequest, _kwargs: Mapping[str, Any]) -> int:
    """Source records of the streams that are chosen."""
    return _records(_chosen(request, Stream.objects.all()))


def streams(request: HttpRequest, _kwargs: Mapping[str, Any]) -> str:
    """Which."""
    rows = Stream.objects.select_related("connection").order_by("connection__slug", "slug")
    return _named(_chosen(request, rows))


def connections(request: HttpRequest, _kwargs: Mapping[str, Any]) -> str:
    """Which."""
    return _named(_chosen(request, Connection.objects.order_by("slug")))


def held_runs(request: HttpRequest, _kwargs: Mapping[str, Any]) -> str:
    """Of which streams."""
    return _named(_streams_held(request).select_related("connection"))


def place(_request: HttpRequest, kwargs: Mapping[str, Any]) -> str:
    """What an incident is about."""
    row = Incident.objects.filter(pk=kwargs["pk"]).first()
    return row.place if row is not None else ""


def ruled(request: HttpRequest, kwargs: Mapping[str, Any]) -> str:
    """Which field, of the form; of a rule that goes, the rule."""
    if entity := request.POST.get("entity"):
        return ".".join(filter(None, (entity, request.POST.get("field"))))
    rule = OwnershipRule.objects.filter(pk=kwargs.get("object_id", 0)).first()
    return str(rule) if rule is not None else ""


def person(_request: HttpRequest, kwargs: Mapping[str, Any]) -> str:
    """By key: it stays where it names a row, after the erasure too."""
    return f"{kwargs['entity']} {kwargs['key']}"


def _named(rows: Any) -> str:
    names = [str(row) for row in rows[: NAMED + 1]]
    return ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")


def of_connections(request: HttpRequest, _kwargs: Mapping[str, Any]) -> int:
    """Source records of all streams of the connections."""
    rows = _chosen(request, Connection.objects.all())
    return _records(Stream.objects.filter(connection__in=rows))


def of_held_runs(request: HttpRequest, _kwargs: Mapping[str, Any]) -> int:
    """Source records of the streams whose deletions are confirmed: any of them may go."""
    return _records(_streams_held(request))


def of_letters(letters: Letters) -> Count:
    """Dead letters that the filter means."""

    def count(request: HttpRequest, _kwargs: Mapping[str, Any]) -> int:
        try:
            chosen = Chosen.read(request.POST, letters.places).needed()
        except UnclearError:
            return 0  # the view refuses it
        return letters.dead(chosen).count()

    return count


def of_step(_request: HttpRequest, kwargs: Mapping[str, Any]) -> int:
    """Source records of the stream that an incident is about."""
    row = Incident.objects.filter(pk=kwargs["pk"]).first()
    if row is None:
        return 0
    return _records(Stream.objects.filter(connection__slug=row.system, slug=row.stream))


def of_step_letters(_request: HttpRequest, kwargs: Mapping[str, Any]) -> int:
    """Dead letters that the step would put back."""
    row = Incident.objects.filter(pk=kwargs["pk"]).first()
    if row is None:
        return 0
    try:
        name, chosen = letters_of(row)
    except NothingToDoError:
        return 0  # the view says so
    return BOXES[name].dead(chosen).count()


def of_everything(_request: HttpRequest, _kwargs: Mapping[str, Any]) -> int:
    """All records that answers are kept of."""
    return sum(size.count for size in entity_sizes().values())


def of_rule(request: HttpRequest, kwargs: Mapping[str, Any]) -> int:
    """Records that would change or move, by the preview; of one that is too big, all there are."""
    from django.contrib import admin  # noqa: PLC0415 (its registry is filled by now)

    if CONFIRMED not in request.POST:
        return 0  # it is only shown
    page: Any = admin.site._registry[OwnershipRule]
    rule = page.get_object(request, kwargs["object_id"]) if "object_id" in kwargs else None
    form = page.get_form(request, rule, change=rule is not None)(request.POST, instance=rule)
    return _reached(form.save(commit=False)) if form.is_valid() else 0


def of_rule_removed(request: HttpRequest, kwargs: Mapping[str, Any]) -> int:
    """The same of a rule that goes."""
    rule = OwnershipRule.objects.filter(pk=kwargs["object_id"]).first()
    return _reached(rule, removed=True) if rule and "post" in request.POST else 0


def _reached(rule: OwnershipRule, *, removed: bool = False) -> int:
    try:
        seen = rule_changes.preview(rule, removed=removed)
    except RuleRefusedError:
        return 0
    return seen.changed + seen.moved if seen.counted else entity_sizes()[rule.entity].count


def always(_request: HttpRequest, _kwargs: Mapping[str, Any]) -> int:
    """Nobody does it alone."""
    return 1


RUNS, RULES = "connectors.add_syncrun", "catalog.change_ownershiprule"
STEP = "observability_incident_step"
RECORDS, LETTERS = "source records", "dead letters"


def _step(name: str, title: str, unit: str, limit: int, count: Count) -> dict[Place, Held]:
    """A step of a runbook: whoever may take it may approve it."""
    return {(STEP, name): Held(title, STEPS[name].permission, unit, limit, count, place)}


#: (page, action): what is counted. Limits are those of a company of some hundred thousand records;
#: HEADWATER_APPROVAL_ABOVE (in per cent) moves them all.
HELD: dict[Place, Held] = {
    ("connectors_stream_changelist", "full_refresh"): Held(
        "Full refresh", RUNS, RECORDS, 200_000, of_streams, streams
    ),
    ("connectors_stream_changelist", "remap"): Held(
        "Remap", RUNS, RECORDS, 200_000, of_streams, streams
    ),
    ("connectors_connection_changelist", "remap"): Held(
        "Remap of all streams", RUNS, RECORDS, 200_000, of_connections, connections
    ),
    ("connectors_syncrun_changelist", "confirm_deletions"): Held(
        "Confirm deletions", RUNS, RECORDS, 1_000, of_held_runs, held_runs
    ),
    ("connectors_inboxevent_replay", "connectors inboxevent replay"): Held(
        "Replay from the inbox", "connectors.change_inboxevent", LETTERS, 5_000, of_letters(INBOX)
    ),
    ("connectors_outboxcommand_replay", "connectors outboxcommand replay"): Held(
        "Replay from the outbox", "connectors.change_outboxcommand", LETTERS, 5_000,
        of_letters(OUTBOX),
    ),
    **_step("full_refresh", "Full refresh", RECORDS, 200_000, of_step),
    **_step("remap", "Remap", RECORDS, 200_000, of_step),
    **_step("replay", "Replay", LETTERS, 5_000, of_step_letters),
    **_step("purge", "Purge of all caches", "records", 200_000, of_everything),
    ("erase", "erase"): Held("Erasure", "catalog.erase_person", "person", 0, always, person),
    ("catalog_ownershiprule_add", "add"): Held("New rule", RULES, "records", 50_000, of_rule, ruled),
    ("catalog_ownershiprule_change", "change"): Held(
        "Change of a rule", RULES, "records", 50_000, of_rule, ruled
    ),
    ("catalog_ownershiprule_delete", "delete"): Held(
        "Removal of a rule", RULES, "records", 50_000, of_rule_removed, ruled
    ),
}  # fmt: skip


def limit_of(held: Held) -> int:
    """The number above which a second person is needed."""
    return held.limit * settings.HEADWATER_APPROVAL_ABOVE // 100


def _held(request: HttpRequest) -> tuple[str, Held] | None:
    match = request.resolver_match
    if match is None or request.method != "POST":
        return None
    place = (match.url_name or "", audited.act(request).action)
    found = HELD.get(place)
    return (" ".join(place), found) if found else None


def held_back(request: HttpRequest, kwargs: Mapping[str, Any]) -> HttpResponse | None:
    """The answer to an action that reaches too far for one person; None: let it run."""
    found = _held(request)
    if found is None or getattr(request, APPROVED, False):
        return None
    name, held = found
    if not request.user.has_perm(held.permission):
        return None  # the view refuses it
    radius, limit = held.count(request, kwargs), limit_of(held)
    if radius <= limit:
        return None
    about, unit = held.about(request, kwargs), held.unit
    unit = unit.removesuffix("s") if radius == 1 else unit
    says = f"{held.title}{f' of {about}' if about else ''}: reaches {radius:,} {unit}"
    row = Approval.objects.create(
        action=name, says=says, radius=radius, limit=limit, unit=held.unit, path=request.path,
        query=request.META.get("QUERY_STRING", ""), form=seal({"form": request.POST.urlencode()}),
        asked_by_id=int(request.user.pk or 0), reason=request.POST.get("reason", ""),
        correlation_id=context.current_id() or "",
    )  # fmt: skip
    setattr(request, WAITS, row.pk)
    address = reverse("admin:hub_approval_change", args=[row.pk])
    messages.warning(
        request,
        format_html(
            '{}. {}nother person has to approve it; nothing was done yet: '
            '<a href="{}">it waits</a>.', says, f"Above {limit:,} a" if limit else "A", address,
        ),
    )  # fmt: skip
    return HttpResponseRedirect(address)


def may_decide(request: HttpRequest, row: Approval) -> bool:
    """Whether the person may approve or decline it: not one's own, and only what one may do."""
    held = _declared(row)
    waits = row.state == Approval.State.WAITING
    return (
        waits and held is not None and row.asked_by_id != request.user.pk
        and request.user.has_perm(held.permission)
    )  # fmt: skip


def _declared(row: Approval) -> Held | None:
    page, _, action = row.action.partition(" ")
    return HELD.get((page, action))


def approve(request: HttpRequest, row: Approval, because: str) -> str:
    """Run it, as its asker; what came of it in words. The caller has looked at `may_decide`."""
    expire_due()
    held, inner = _declared(row), _as_asked(request, row)
    if held is None or not inner.user.is_active or not inner.user.has_perm(held.permission):
        return "Its asker may not do it any more: nothing was done."
    match = resolve(row.path)
    inner.resolver_match = match
    radius = held.count(inner, match.kwargs)
    if radius > row.radius * GROWTH:
        return f"It would reach {radius:,} {row.unit} by now: it has to be asked for anew."
    if not decide(row.pk, Approval.State.APPROVED, request.user, because):  # type: ignore[arg-type]
        return "It waits no more, or is your own."
    return _run(request, row, inner, match)


def _run(request: HttpRequest, row: Approval, inner: Any, match: Any) -> str:
    approver = request.user.get_username()
    doing = audited.act(inner)
    entry = audited.entry(
        inner, doing.action, subject=doing.subject, objects=doing.objects,
        details={**audited.details(inner), "approval": row.pk, "approved_by": approver},
        reason=row.reason,
    )  # fmt: skip
    outcome: str = audit.Outcome.FAILED
    try:
        answer = match.func(inner, *match.args, **match.kwargs)
        done = answer.status_code in (200, 302)
        outcome = audit.Outcome.DONE if done else audit.Outcome.REFUSED
    finally:
        audit.ended(entry, inner.user.get_username(), doing.action, outcome)
        Approval.objects.filter(pk=row.pk).update(outcome=outcome, form="")
    return f"Approved; it was run as {inner.user.get_username()}: {outcome}."


def _as_asked(request: HttpRequest, row: Approval) -> Any:
    inner: Any = copy.copy(request)
    inner.method, inner.path, inner.path_info = "POST", row.path, row.path
    inner.META = {**request.META, "QUERY_STRING": row.query}
    inner.POST = QueryDict(unseal(row.form).get("form", ""))
    inner.GET = QueryDict(row.query)
    inner.user = row.asked_by
    # The token was looked at when it was asked for, and that of the approver just now.
    inner._dont_enforce_csrf_checks = True
    setattr(inner, APPROVED, request.user.get_username())
    return inner
