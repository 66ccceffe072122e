"""One field's story as a page of its own, with a text for a ticket and a link to share.

`/admin/explain/variant/P-1-01/gtin/` tells of now, `?at=` of a moment. Whoever is not logged in is
asked to, and comes back here; whoever is and may not see the entity is told so, and what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import strip_tags
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin import entity_url, in_words
from catalog.entities import Entity, derived_fields, entities, value_fields
from catalog.explain import FieldProvenance, explain, field_of, provenance_of
from catalog.history import Revision, set_by, timeline
from catalog.past import Standing, TooMuchError
from catalog.payload import pretty
from connectors.models import InboxEvent
from connectors.runtime.lineage import speaker
from hub import past, tracing
from hub.console.lineage import PAYLOAD_LINES, Line, Speakers, derived_line, line_of
from hub.console.lineage import changes as changes_of
from hub.console.timetravel import Then, Was, then
from hub.problems import NotFoundError, RequestError
from observability.display import duration

CHANGES = 25


@dataclass(frozen=True, slots=True)
class Received:
    """What the event brought that set a value, as it was received."""

    event: InboxEvent
    payload: SafeString


def page(request: HttpRequest, entity: str, key: str, field: str) -> HttpResponse:
    """The page. Raises PermissionDenied, which is answered by a page that says what it takes."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    cls = entities().get(entity)
    if cls is None:
        raise Http404(f"there is no entity {entity}")
    must_see(request, cls)
    row = cls._default_manager.filter(pk=key).annotate(asked_at=Now()).first()
    if row is None:
        raise Http404(f"the hub has never heard of {entity} {key}")
    if field_of(field) not in {f.name for f in (*value_fields(cls), *derived_fields(cls))}:
        return _of_part(row, field, request)
    return TemplateResponse(request, "console/explained.html", _context(request, row, field))


def must_see(request: HttpRequest, cls: type[Entity]) -> None:
    """Raises PermissionDenied that names what the person lacks."""
    options = cls._meta
    if not admin.site.has_permission(request):
        raise PermissionDenied(f"{request.user.get_username()} may not use the admin")
    if not request.user.has_perm(f"{options.app_label}.view_{options.model_name}"):
        raise PermissionDenied(
            f"{request.user.get_username()} may not see {options.verbose_name_plural}:"
            f" that takes the permission {options.app_label}.view_{options.model_name}"
        )


def _of_part(row: Entity, path: str, request: HttpRequest) -> HttpResponse:
    """A path as provenance writes it, `prices.DE-EUR-2026-01-01.amount`, leads to the part's page."""
    try:
        part, field = tracing.part_at(row, path)
    except NotFoundError as error:
        raise Http404(error.message) from error
    if part is row:
        raise Http404(f"{row.declaration.name} has no field {path}")
    where = reverse("explain-page", args=[part.declaration.name, part.key, field])
    query = request.META.get("QUERY_STRING", "")
    return HttpResponseRedirect(f"{where}?{query}" if query else where)


def _context(request: HttpRequest, row: Entity, field: str) -> dict[str, Any]:
    name, now = row.declaration.name, row.asked_at  # type: ignore[attr-defined]
    wrong = ""
    try:
        moment = past.moment_of(request.GET.get(past.PARAMETER) or None)
    except RequestError as error:
        moment, wrong = None, error.message
    hidden = masking.is_personal(name, field) and not masking.sees()
    then_, was, line = None, None, None
    try:
        then_ = None if moment is None else then(row, moment, parts=False)
    except TooMuchError as error:
        moment, wrong = None, error.message
    if then_ is not None:
        was = next((one for one in then_.lines if one.field == field_of(field)), None)
        since = was.since if was else None
    else:
        given = set_by(row)
        since = given.get(field_of(field), given.get(""))
        line = _line(row, field, since, now)
    story = _at_moment(then_, was) if then_ is not None else _today(line, now)
    link = request.build_absolute_uri()
    text = [f"{name} {row.key}, {field}", *story]
    if hidden:
        text = [
            f"{name} {row.key}, {field}: {masking.MASK}",
            "It is personal data, which you may not see.",
        ]
    changes = timeline(row, CHANGES, field=field_of(field))
    return {
        **admin.site.each_context(request),
        "title": f"{name} {row.key}: {field}",
        "row": row,
        "declaration": row.declaration,
        "field": field,
        "now": now,
        "at": moment,
        "at_wrong": wrong,
        "address": entity_url(name, row.key),
        "hidden": hidden,
        "line": line,
        "was": was,
        "then": then_,
        "since": since,
        "received": None if hidden else _received(request, row, field, since),
        "changes": [] if hidden else changes_of(map(_narrowed(field_of(field)), changes)),
        "ticket": "\n".join([*text, link]),
    }


def _line(row: Entity, field: str, since: Revision | None, now: datetime) -> Line:
    if field_of(field) in {f.name for f in derived_fields(type(row))}:
        return derived_line(row, field)
    told = explain(row, field)
    behind = row.provenance.get(told.field)
    pairs = [(f"own:{told.field}", behind)] if behind else []
    proofs = {p.field: p for p in provenance_of(pairs, now)}
    return line_of(row, told, proofs, Speakers([told]), since)


def _today(line: Line | None, now: datetime) -> Iterator[str]:
    """The story of now in plain lines."""
    if line is None:
        return
    yield f"Value: {plain(line.value)}, as of {_time(now)}"
    if line.proof is not None:
        yield _said_by(line.proof)
    yield f"Why: {line.why}" + (f" ({line.reason})" if line.reason else "")
    if line.since is not None:
        yield f"Since: {_cause(line.since)}"
    for said in line.said:
        if not said.candidate.wins:
            yield f"{said.candidate.system} {said.candidate.stream} says {said.value}: {said.verdict}"


def _said_by(proof: FieldProvenance) -> str:
    fresh = "past its freshness objective" if proof.stale else "fresh"
    told = f"From: {proof.system} {proof.stream}, record {proof.record}"
    told += f", known to be so {duration(proof.age_seconds)} ago ({fresh})"
    return told + (f"; {proof.reason}" if proof.reason else "")


def _at_moment(found: Then, was: Was | None) -> Iterator[str]:
    """The story of an earlier moment in plain lines."""
    moment = _time(found.moment)
    if was is None:
        said = {
            Standing.NOT_YET: "the hub did not know the record yet",
            Standing.DELETED: "the record was deleted",
        }.get(found.known.standing, "nobody knows: history does not reach back so far")
        yield f"At {moment} {said}" + (f" ({_time(found.known.at)})" if found.known.at else "")
        return
    yield f"Value at {moment}: {plain(was.then)}"
    yield "Value now: the same" if not was.differs else f"Value now: {plain(was.now)}"
    if was.since is not None:
        yield f"Set: {_cause(was.since)}"
    yield "What other systems said then is not kept."


def _cause(revision: Revision) -> str:
    told = f"{_time(revision.at)}, when the record was {revision.kind}"
    if revision.run_id:
        told += f" in run {revision.run_id}"
    if revision.event_id:
        told += f" by event {revision.event_id}"
    return told + (f", correlation id {revision.correlation_id}" if revision.correlation_id else "")


def _received(
    request: HttpRequest, row: Entity, field: str, since: Revision | None
) -> Received | None:
    """The event that set the value, if it is kept and the person may see it."""
    if (
        since is None
        or since.event_id is None
        or not request.user.has_perm("connectors.view_inboxevent")
    ):
        return None
    event = InboxEvent.objects.filter(pk=since.event_id).select_related("connection").first()
    if event is None:
        return None
    name, system = row.declaration.name, event.connection.slug
    body = event.record if event.record is not None else event.body
    declared = speaker(system, event.stream, name)
    marked = declared.upstream_paths(field_of(field)) if declared else ()
    text = bytes(body).decode("utf-8", "replace")
    covered = masking.cover(system, event.stream, name, row.key)
    return Received(event, pretty(text, marked, PAYLOAD_LINES, covered=covered))


def _narrowed(field: str) -> Callable[[Revision], Revision]:
    """Of a revision, what it did to one field."""

    def narrow(revision: Revision) -> Revision:
        revision.changes = {n: c for n, c in revision.changes.items() if n == field}
        return revision

    return narrow


def plain(value: Any) -> str:
    """A value in a line of text: every locale of a text."""
    if value is None:
        return "no value"
    if isinstance(value, dict):
        return "; ".join(f"{locale}: {text}" for locale, text in value.items())
    # a reference is shown as a link
    return unescape(strip_tags(value)) if isinstance(value, SafeString) else in_words(value)


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
