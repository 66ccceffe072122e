"""Conflicts: what a system says of a field and the company does not believe.

A losing value is one that a live source record says of a live row, and that differs from the one
that survived: compared in the column's own type, and of a text in several locales only those that
are said. `DIFFERING` is the one definition of it; the merge keeps a row for each (`keeping`), and
explanations ask it (`losing`).

The rows are kept in the transaction of the merge, from all that is stored: whatever the order of
arrival, they end alike. An entity about which one source alone speaks has none and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from catalog.entities import Entity, LocalizedField, Reference, value_fields
from catalog.entities.derived import quoted
from catalog.known import known
from catalog.ownership import STEWARD, Others, OwnershipRule
from catalog.source import Source, SourceRecord
from catalog.surviving import json_object
from catalog.survivorship import Case

#: What decides each field of an entity: the rules by the rows for which they do.
Rules = Mapping[str, Sequence[Case]]

NO_REASON = "Say why: whoever meets the value asks."


class Conflict(models.Model):
    """One losing value that differs, from when the hub saw it to when it differed no more.

    `state` says who settled it: nobody yet (no rule decides, or the rule holds it for a person), a
    rule, or a person, by an override or by accepting what survived. An acceptance holds while both
    values stay the same.
    """

    class State(models.TextChoices):
        OPEN = "open"
        BY_RULE = "by_rule", "settled by rule"
        BY_HAND = "by_hand", "settled by hand"

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    key = models.TextField(db_collation="C")
    field = models.TextField()
    record = models.ForeignKey(
        SourceRecord, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    source = models.ForeignKey(
        Source, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    value = models.JSONField(help_text="What loses, as its record says it.")
    survivor = models.ForeignKey(
        SourceRecord, models.DO_NOTHING, null=True, db_constraint=False, db_index=False,
        related_name="+",
    )  # fmt: skip
    survivor_source = models.ForeignKey(
        Source, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    surviving = models.JSONField(null=True, help_text="What the row says; null: nothing.")
    rule_id = models.BigIntegerField(null=True, help_text="The rule that decided, if one did.")
    rule = models.TextField(help_text="The same in words, as it was then.")
    state = models.TextField(choices=State.choices)
    since = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now(), help_text="When a value last changed.")
    settled_by = models.TextField(default="", db_default="", help_text="Who accepted it.")
    settled_at = models.DateTimeField(null=True)
    settled_because = models.TextField(default="", db_default="")
    closed_at = models.DateTimeField(null=True, help_text="Since then it differs no more.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["key", "record", "field"],
                name="one_live_conflict",
                condition=Q(closed_at__isnull=True),
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["entity", "field", "state"],
                name="conflict_live",
                condition=Q(closed_at__isnull=True),
            ),
            models.Index(
                fields=["closed_at"],
                name="conflict_closed",
                condition=Q(closed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.key}: {self.field}"


# Whether a value that is said differs from what the column (of alias e) has. What the column's type
# cannot hold differs from everything, and must not fail the merge of a field it may not decide.
DIFFERING = """
    JOIN {table} e ON e.key = t.key AND e.deleted_at IS NULL
    JOIN catalog_sourcerecord r ON r.entity_key = t.key AND r.source_id IN ({sources})
        AND r.deleted_at IS NULL
    CROSS JOIN LATERAL jsonb_to_record(r.fields) AS x ({said})
    -- Fenced off, so that records which agree end here; a list of VALUES costs five times as much.
    CROSS JOIN LATERAL (SELECT {fields} AS differing OFFSET 0) d
    CROSS JOIN LATERAL jsonb_each(d.differing) AS v (field, found)
    WHERE d.differing <> '{{}}'"""

KEEPING = """
WITH losing AS MATERIALIZED (
    SELECT e.key, r.id AS record_id, r.source_id, v.field, r.fields -> v.field AS value,
           v.found -> 0 AS surviving, (v.found ->> 1)::bigint AS rule_id,
           (e.provenance ->> v.field)::bigint AS survivor_id
    FROM (SELECT key FROM touched WHERE entity = '{name}') t {differing}
), judged AS MATERIALIZED (
    SELECT l.*, w.source_id AS survivor_source_id, d.rule,
           CASE WHEN w.source_id = ANY ('{{{stewards}}}') THEN 'by_hand' ELSE d.state END AS state
    FROM losing l LEFT JOIN catalog_sourcerecord w ON w.id = l.survivor_id
    JOIN (VALUES {deciding}) AS d (rule_id, rule, state) ON d.rule_id IS NOT DISTINCT FROM l.rule_id
), met AS MATERIALIZED (
    SELECT j.*, k.id, k.id IS NOT NULL AND (k.state = j.state OR k.settled_at IS NOT NULL)
           AND ROW(k.value, k.surviving, k.survivor_id, k.rule_id, k.rule)
               IS NOT DISTINCT FROM ROW(j.value, j.surviving, j.survivor_id, j.rule_id, j.rule)
           AS unchanged
    FROM judged j LEFT JOIN LATERAL (
        SELECT * FROM catalog_conflict k
        WHERE k.key = j.key AND k.record_id = j.record_id AND k.field = j.field
          AND k.closed_at IS NULL OFFSET 0) k ON true
), new AS (
    -- nobody else can have made one of these: their keys are locked
    INSERT INTO catalog_conflict
        (entity, key, field, record_id, source_id, value, survivor_id, survivor_source_id,
         surviving, rule_id, rule, state, since, changed_at)
    SELECT '{name}', key, field, record_id, source_id, value, survivor_id, survivor_source_id,
           surviving, rule_id, rule, state, now(), now()
    FROM met WHERE id IS NULL ORDER BY key, record_id, field
), kept AS (
    UPDATE catalog_conflict c SET
        value = n.value, surviving = n.surviving,
        survivor_id = n.survivor_id, survivor_source_id = n.survivor_source_id,
        rule_id = n.rule_id, rule = n.rule,
        changed_at = CASE WHEN {same} THEN c.changed_at ELSE now() END,
        state = CASE WHEN c.settled_at IS NOT NULL AND {same} THEN c.state ELSE n.state END,
        settled_by = CASE WHEN {same} THEN c.settled_by ELSE '' END,
        settled_at = CASE WHEN {same} THEN c.settled_at END,
        settled_because = CASE WHEN {same} THEN c.settled_because ELSE '' END
    FROM met n WHERE NOT n.unchanged AND c.id = n.id
), ended AS MATERIALIZED (
    SELECT c.id, c.key, c.field
    FROM (SELECT key FROM touched WHERE entity = '{name}') t
    -- Fenced off, and without the entity, so that each key is looked up: one may have very many.
    CROSS JOIN LATERAL (
        SELECT * FROM catalog_conflict k WHERE k.key = t.key AND k.closed_at IS NULL OFFSET 0) c
    WHERE c.entity = '{name}' AND c.id NOT IN (SELECT id FROM met WHERE id IS NOT NULL)
)
UPDATE catalog_conflict c SET closed_at = now(),
    -- what a person chose is settled by hand, also where the loser is the one that was chosen
    state = CASE WHEN EXISTS (
        SELECT FROM {table} e JOIN catalog_sourcerecord w
            ON w.id = (e.provenance ->> n.field)::bigint AND w.source_id = ANY ('{{{stewards}}}')
        WHERE e.key = n.key) THEN 'by_hand' ELSE c.state END
FROM ended n WHERE c.id = n.id"""

SAME = (
    "c.value = n.value AND c.surviving = n.surviving"
    " AND c.survivor_source_id IS NOT DISTINCT FROM n.survivor_source_id"
)


def keeping(cls: type[Entity], sources: Sequence[Source], rules: Rules) -> str:
    """The statement that keeps the conflicts of the touched rows of an entity; empty: it has none.

    `sources` are those that speak about the entity, `rules` what decides each field, the narrower
    ones first.
    """
    if len(sources) < 2:
        return ""
    return KEEPING.format(
        name=cls.declaration.name,
        table=quoted(cls._meta.db_table),
        differing=_differing(cls, _listed(s.pk for s in sources), rules),
        deciding=", ".join(map(_deciding, _all_of(rules))),
        stewards=_listed(s.pk for s in sources if s.system == STEWARD),
        same=SAME,
    )


def losing(cls: type[Entity], key: str) -> set[tuple[int, str]]:
    """(source record id, field) of each value that loses now about a row."""
    with connection.cursor() as cursor:
        cursor.execute(_asking(cls), [key])
        return set(cursor.fetchall())


def live(entity: str, key: str) -> dict[tuple[int, str], Conflict]:
    """The conflicts of a row that are not over, by (source record id, field)."""
    rows = Conflict.objects.filter(key=key, entity=entity, closed_at=None)
    return {(row.record_id, row.field): row for row in rows}


def accept(chosen: QuerySet[Conflict], *, by: str, reason: str, seen: datetime) -> int:
    """Settle these by hand as they are: what survived is right. How many were settled.

    Only those whose values did not change since `seen`, the database time at which they were shown.
    Raises ValidationError (parameter: reason).
    """
    if not reason.strip():
        raise ValidationError({"reason": NO_REASON})
    return chosen.filter(closed_at=None, changed_at__lte=seen).update(
        state=Conflict.State.BY_HAND,
        settled_by=by,
        settled_at=Now(),
        settled_because=reason.strip(),
    )


@lru_cache(maxsize=64)
def _asking(cls: type[Entity]) -> str:
    sources = f"SELECT id FROM catalog_source WHERE entity = '{cls.declaration.name}'"
    return f"SELECT r.id, v.field FROM (SELECT %s AS key) t {_differing(cls, sources, {})}"


def _differing(cls: type[Entity], sources: str, rules: Rules) -> str:
    fields = value_fields(cls)
    return DIFFERING.format(
        table=quoted(cls._meta.db_table),
        sources=sources,
        said=", ".join(f"{quoted(f.name)} {_said_as(f)}" for f in fields),
        fields=json_object((f.name, _compared(f, _id(cls, rules.get(f.name, ())))) for f in fields),
    )


def _compared(field: models.Field[Any, Any], rule: str) -> str:
    """SQL of [what survived, id of the rule] where it differs from what is said, else NULL."""
    said, column, kind = f"x.{quoted(field.name)}", f"e.{quoted(str(field.column))}", _type(field)
    target = field.related_model if isinstance(field, Reference) else None
    if isinstance(target, type) and issubclass(target, Entity):
        differs = f"{known(target, said)} IS DISTINCT FROM {column}"
    elif isinstance(field, LocalizedField):
        differs = f"({column} @> {said}) IS NOT TRUE"
    elif kind in ("text", "jsonb"):
        differs = f"{said} IS DISTINCT FROM {column}"
    else:
        differs = (
            f"CASE WHEN pg_input_is_valid({said}, '{kind}') THEN {said}::{kind}"
            f" IS DISTINCT FROM {column} ELSE true END"
        )
    noted = f"{column}::text" if kind.startswith("numeric") else column
    return (
        f"CASE WHEN {said} IS NOT NULL AND {differs}"
        f" AND (e.provenance ->> '{field.name}')::bigint IS DISTINCT FROM r.id"
        f" THEN jsonb_build_array({noted}, {rule}) END"
    )


def _all_of(rules: Rules) -> list[OwnershipRule | None]:
    """Each rule once, and that there is none."""
    found = {case.rule.pk: case.rule for cases in rules.values() for case in cases}
    return [*found.values(), None]


def _deciding(rule: OwnershipRule | None) -> str:
    """SQL (id of a rule, the rule in words, the state of what loses under it)."""
    if rule is None:
        words = "no rule: the first connected system that has a value"
        return f"(NULL::bigint, '{words}', '{Conflict.State.OPEN}')"
    words = f"{rule.owner} owns {rule.scope}".replace("'", "''")
    held = rule.others == Others.HOLD
    state = Conflict.State.OPEN if held else Conflict.State.BY_RULE
    return f"({rule.pk}, '{words}', '{state}')"


def _id(cls: type[Entity], cases: Sequence[Case]) -> str:
    """SQL of the id of the rule that decides about the row of alias e."""
    scopes = cls.declaration.scopes
    narrowed = " ".join(
        f"WHEN {' AND '.join(_is_for(cls, scopes[name], value) for name, value in case.scope.items())}"
        f" THEN {case.rule.pk}"
        for case in cases
        if case.scope
    )
    last = f"{cases[-1].rule.pk}::bigint" if cases and not cases[-1].scope else "NULL::bigint"
    return f"CASE {narrowed} ELSE {last} END" if narrowed else last


def _is_for(cls: type[Entity], field: str, value: str) -> str:
    text = value.replace("'", "''")
    column = next(f.column for f in value_fields(cls) if f.name == field)
    return f"e.{quoted(str(column))} = '{text}'"


def _said_as(field: models.Field[Any, Any]) -> str:
    return "jsonb" if _type(field) == "jsonb" else "text"


def _type(field: models.Field[Any, Any]) -> str:
    kind = field.db_type(connection) or "text"
    return "text" if kind.startswith("varchar") else kind


def _listed(ids: Iterable[int]) -> str:
    return ",".join(map(str, ids))
