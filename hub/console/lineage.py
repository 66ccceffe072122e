"""What the lineage page of a record shows: every field with its value, its source and why it won.

The record's own fields come with the losing values and the raw payload; those of its parts (a
product's variants, a variant's prices) with their source, and a link to their own page. The
number of SQL statements does not depend on the number of fields, parts or revisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, Q, prefetch_related_objects
from django.urls import reverse
from django.utils.safestring import SafeString

from catalog import masking
from catalog.admin import changes_html, entity_link, entity_url, in_words
from catalog.entities import (
    Entity,
    LocalizedField,
    Reference,
    derived_fields,
    spelled,
    value_fields,
)
from catalog.explain import (
    Candidate,
    Explanation,
    FieldProvenance,
    explain_all,
    field_of,
    part_path,
    provenance_of,
)
from catalog.history import Revision, last_of, set_by, timeline
from catalog.matching.models import SameAs
from catalog.overrides import Override
from catalog.ownership import OwnershipRule
from catalog.payload import pretty
from connectors.models import Connection
from connectors.runtime.declare import Child, StreamSpec
from connectors.runtime.lineage import RawMember, declared_in, members_of, open_members
from hub.console.settling import override_url

PARTS = 25
REVISIONS = 50
DEPTH = 2
LIVE = "live_"
PAYLOAD_LINES = 24


@dataclass(frozen=True, slots=True)
class Said:
    """What one system says about the field, with the upstream members that feed it."""

    candidate: Candidate
    value: str
    verdict: str
    tone: str
    members: list[RawMember]


@dataclass(frozen=True, slots=True)
class Line:
    """One field. `said` and `payload` are there for the record's own fields alone."""

    field: str
    value: Any
    proof: FieldProvenance | None
    why: str = ""
    reason: str = ""
    said: tuple[Said, ...] = ()
    differing: int = 0
    payload: SafeString | None = None
    rule_address: str = ""
    since: Revision | None = None
    override: Override | None = None
    override_address: str = ""


@dataclass(slots=True)
class Block:
    """One row, its lines, the part of which it is one (`variants`), and its field for the owner."""

    row: Entity
    part: str
    path: str
    address: str
    depth: int
    owner: str
    title: str
    lines: list[Line] = field(default_factory=list)
    cut: bool = False

    @property
    def systems(self) -> list[str]:
        """Who supplies the values, for the folded line."""
        return sorted({line.proof.system for line in self.lines if line.proof})

    @property
    def stale(self) -> bool:
        """Whether any value is past its freshness objective."""
        return any(line.proof.stale for line in self.lines if line.proof)


@dataclass(frozen=True, slots=True)
class Change:
    """One revision with its cause."""

    revision: Revision
    changes: SafeString
    proof: FieldProvenance | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """The whole page."""

    lines: list[Line]
    parts: list[Block]
    history: list[Change]
    #: The revision before which older ones follow; None: there are none.
    older: int | None
    merged: list[SameAs]


def lineage(row: Entity, *, field: str = "", before: int | None = None) -> Lineage:
    """Collect it; of the history what touched a field, and what came before a revision.

    About a dozen statements.
    """
    prefetch(row)
    blocks = list(parts_of(row, DEPTH))
    revisions = timeline(row, REVISIONS + 1, field=field, before=before)
    older = revisions[REVISIONS - 1].pk if len(revisions) > REVISIONS else None
    revisions = revisions[:REVISIONS]
    proofs = _proofs(row, blocks, revisions)
    for number, block in enumerate(blocks):
        block.lines = [
            Line(name, shown_value(block.row, name), proofs.get(f"{number}:{name}"))
            for name in filled(block.row)
            if name != block.owner
        ]
    explained = explain_all(row)
    speakers = Speakers(explained)
    whole = not field and before is None and older is None
    since = last_of(revisions) if whole else set_by(row)
    return Lineage(
        lines=[
            line_of(row, told, proofs, speakers, since.get(field_of(told.field), since.get("")))
            for told in explained
        ]
        + [derived_line(row, column.name) for column in derived_fields(type(row))],
        parts=blocks,
        history=changes(revisions, proofs),
        older=older,
        merged=list(
            SameAs.objects.filter(
                Q(root=row.key) | Q(alias=row.key), entity=row.declaration.name, ended_at=None
            )
        )
        if row.declaration.matching
        else [],
    )


def changes(
    revisions: Iterable[Revision], proofs: Mapping[str, FieldProvenance] | None = None
) -> list[Change]:
    """Revisions in words, with what stands behind them."""
    known = proofs or {}
    return [Change(r, changes_html(r), known.get(f"revision:{r.pk}")) for r in revisions]


def shown_value(row: Entity, name: str) -> Any:
    """A value for the page: references lead on, localized texts keep all their locales."""
    field, _, locale = name.partition(".")
    declared: Any = row._meta.get_field(field)
    value = getattr(row, declared.attname)
    if locale:
        value = (value or {}).get(locale)
    value = masking.shown(row.declaration.name, field, value, row.key)
    if value is None or locale or value == masking.MASK:
        return value
    if isinstance(declared, Reference):
        to: Any = declared.related_model
        return entity_link(to.declaration.name, value)
    if isinstance(declared, LocalizedField):
        return dict(sorted(value.items(), key=lambda item: not item[0].startswith("en")))
    if isinstance(value, Decimal):
        return spelled(value, declared)
    if isinstance(value, list):  # entries of a derived column
        return "; ".join(" ".join(map(str, one.values())) for one in value)
    return in_words(value)


def heading(row: Entity) -> str:
    """The labels of a record; empty when it has none."""
    declared = row.declaration
    labels = [
        masking.shown(declared.name, name, getattr(row, name_of(row, name)), row.key)
        for name in declared.labels
    ]
    said = (
        spelled(one, row._meta.get_field(name)) if isinstance(one, Decimal) else in_words(one)  # type: ignore[arg-type]
        for name, one in zip(declared.labels, labels, strict=True)
        if one != masking.MASK
    )
    return " · ".join(filter(None, said))


def name_of(row: Entity, name: str) -> str:
    """The attribute that holds a field's own value: of a reference the key, not the row."""
    declared: Any = row._meta.get_field(name)
    return str(declared.attname)


class Speakers:
    """The declarations behind the source records of a page, looked up once."""

    def __init__(self, explained: list[Explanation]) -> None:
        systems = {said.system for told in explained for said in told.candidates}
        rows = Connection.objects.filter(slug__in=systems).values_list("slug", "connector")
        self._connectors = dict(rows)
        self._known: dict[tuple[str, str], StreamSpec | Child | None] = {}

    def members(self, entity: str, name: str, said: Candidate) -> list[RawMember]:
        """The members of the candidate's payload that feed the field."""
        place = (said.system, said.stream)
        if place not in self._known:
            connector = self._connectors.get(said.system, "")
            self._known[place] = declared_in(connector, said.stream, entity)
        declared = self._known[place]
        return [] if declared is None else members_of(declared, name, said.record.payload)

    def cover(self, entity: str, said: Candidate) -> masking.Cover | None:
        """What of the candidate's payload is covered for whoever looks."""
        connector = self._connectors.get(said.system, "")
        opened = open_members(connector, said.stream, entity)
        return masking.but_for(opened, entity, said.record.entity_key)


def line_of(
    row: Entity,
    told: Explanation,
    proofs: dict[str, FieldProvenance],
    speakers: Speakers,
    since: Revision | None,
) -> Line:
    said = tuple(_said(told, candidate, speakers) for candidate in told.candidates)
    winner = next((one for one in said if one.candidate.wins), None)
    return Line(
        field=told.field,
        value=shown_value(row, told.field),
        proof=proofs.get(f"own:{told.field}"),
        why=why(told),
        reason=told.rule.reason if told.rule else "",
        rule_address=rule_url(told.rule),
        since=since,
        said=said,
        differing=sum(one.candidate.differs for one in said),
        override=told.override,
        override_address=override_url(told.entity, told.key, told.field),
        payload=pretty(
            winner.candidate.record.payload,
            [m.path for m in winner.members],
            PAYLOAD_LINES,
            covered=speakers.cover(told.entity, winner.candidate),
        )
        if winner
        else None,
    )


def _said(told: Explanation, candidate: Candidate, speakers: Speakers) -> Said:
    if candidate.wins:
        verdict, tone = "wins", "good"
    elif candidate.held:
        verdict, tone = "held for a person", "warn"
    elif not candidate.allowed:
        verdict, tone = "may not decide", "warn" if candidate.differs else "quiet"
    elif candidate.differs:
        verdict, tone = "loses", "warn"
    else:
        verdict, tone = "agrees", "quiet"
    field = field_of(told.field)
    members = [
        RawMember(one.path, masking.shown(told.entity, field, one.value, told.key))
        for one in speakers.members(told.entity, field, candidate)
    ]
    value = masking.shown(told.entity, field, candidate.value, told.key)
    return Said(candidate, in_words(value), verdict, tone, members)


def derived_line(row: Entity, name: str) -> Line:
    """A value of the hub's own."""
    why = "The hub derives it from the record's parts; no system says it."
    return Line(name, shown_value(row, name), None, why=why)


def rule_url(rule: OwnershipRule | None) -> str:
    """The page of the rule that decided; empty where none did."""
    return "" if rule is None else reverse("admin:catalog_ownershiprule_change", args=[rule.pk])


def why(told: Explanation) -> str:
    """One sentence: which rule decided, and how."""
    rule, winner = told.rule, told.winner
    if told.override is not None:
        return f"{told.override.made_by} decided: {told.override.reason}"
    if rule is None:
        return "No rule: the first connected system that has a value" if winner else "No rule"
    owner = f"{rule.owner} owns {told.entity}{'.' if rule.field else ''}{rule.field}"
    if winner is None:
        return f"{owner}, and says nothing"
    if winner.system == rule.owner:
        return owner
    return f"{owner}, and is silent; {winner.system} is asked next"


def prefetch(row: Entity) -> None:
    """The live parts, at most `PARTS` of each kind for each owner; one statement a kind."""
    lookups = []
    for part in row.declaration.parts:
        model = _part_model(type(row), part)
        lookups.append(_limited("", part, model))
        lookups += [
            _limited(f"{LIVE}{part}__", inner, _part_model(model, inner))
            for inner in model.declaration.parts
        ]
    prefetch_related_objects([row], *lookups)


def _limited(owner: str, part: str, model: type[Entity]) -> Prefetch[str]:
    live = model._default_manager.filter(deleted_at__isnull=True).order_by("key")
    # A queryset with a limit can only be prefetched into an attribute of its own.
    return Prefetch(f"{owner}{part}", queryset=live[:PARTS], to_attr=f"{LIVE}{part}")


def _part_model(owner: type[Entity], part: str) -> type[Entity]:
    model: type[Entity] = owner._meta.get_field(part).related_model  # type: ignore[assignment]
    return model


def parts_of(row: Entity, depth: int, above: str = "") -> Iterator[Block]:
    for part in row.declaration.parts if depth else ():
        children: list[Entity] = getattr(row, f"{LIVE}{part}")
        relation: Any = type(row)._meta.get_field(part)
        owner = relation.field.name
        for child in children:
            path = f"{above}{part}.{part_path(child)}"
            address = entity_url(child.declaration.name, child.key)
            block = Block(child, part, path, address, DEPTH - depth, owner, heading(child))
            block.cut = len(children) == PARTS and child is children[-1]
            yield block
            yield from parts_of(child, depth - 1, f"{path}.")


def filled(row: Entity) -> list[str]:
    return [f.name for f in value_fields(type(row)) if getattr(row, f.attname) is not None]


def _proofs(
    row: Entity, blocks: list[Block], revisions: list[Revision]
) -> dict[str, FieldProvenance]:
    """The provenance of everything on the page, in one look at the source records."""
    pairs = [(f"own:{name}", record) for name, record in row.provenance.items()]
    for number, block in enumerate(blocks):
        pairs += [(f"{number}:{name}", record) for name, record in block.row.provenance.items()]
    pairs += [
        (f"revision:{revision.pk}", revision.source_record_id)
        for revision in revisions
        if revision.source_record_id
    ]
    return {proof.field: proof for proof in provenance_of(pairs, getattr(row, "asked_at", None))}
