"""Candidates: pairs of records that agree by the declared rules of their entity, found in sets.

What changed since the last round is compared with everything; the first round compares all. A
value that many records share (a switchboard's number, `info@`) says nothing about any two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import structlog
from django.db import connection, models, transaction

from catalog import notices
from catalog.entities import Entity, entities
from catalog.entities.matching import Matching, MatchRule
from catalog.matching.merging import merge, speakers, survivor
from catalog.matching.models import MatchCandidate, MatchPosition
from observability.errors import ConflictError

log = structlog.get_logger(__name__)

#: More records with one value, and it is no evidence.
MOST_SHARING = 20
#: More changed records than this, and all are compared.
MOST_NOTICES = 1000
MERGED_AT_ONCE = 100
BY_SCORE = "matching"


def look() -> int:
    """Compare what changed since the last look; how many records were merged by their score."""
    merged = 0
    for name, cls in entities().items():
        if cls.declaration.matching is not None:
            with transaction.atomic():
                _compare(name, cls)
            merged += _merge_certain(name, cls.declaration.matching)
    return merged


def _compare(name: str, cls: type[Entity]) -> None:
    row, new = MatchPosition.objects.select_for_update().get_or_create(
        entity=name, defaults={"seen": notices.position()}
    )
    keys: list[str] | None = None
    if not new:
        now, changes = notices.since(row.seen, MOST_NOTICES)
        if not any(change.entity == name for change in changes) and len(changes) < MOST_NOTICES:
            MatchPosition.objects.filter(pk=name).update(seen=now)
            return
        if len(changes) < MOST_NOTICES:
            keys = sorted({k for change in changes if change.entity == name for k in change.keys})
        MatchPosition.objects.filter(pk=name).update(seen=now)
    with connection.cursor() as cursor:
        cursor.execute(statement(cls), {"keys": keys})


def _merge_certain(name: str, matching: Matching) -> int:
    certain = MatchCandidate.objects.filter(
        entity=name, state=MatchCandidate.State.OPEN, score__gte=matching.merge_from
    )
    merged = 0
    for pair in certain[:MERGED_AT_ONCE]:
        spoken = speakers(name, pair.first, pair.second)
        if spoken[pair.first].sources & spoken[pair.second].sources:
            continue  # one system has both, and may mean it
        key, alias = survivor(name, pair.first, pair.second)
        try:
            merge(name, alias, key, by=BY_SCORE, reason=_because(pair), score=pair.score)
        except ConflictError as error:
            log.info("a pair was not merged", pair=str(pair), because=error.message)
            continue
        merged += 1
    return merged


def _because(pair: MatchCandidate) -> str:
    return ", ".join(pair.reasons)


@lru_cache(maxsize=16)
def statement(cls: type[Entity]) -> str:
    """The SQL that finds, judges and writes down an entity's pairs. Parameter keys: None for all."""
    matching, table = cls.declaration.matching, cls._meta.db_table
    assert matching is not None  # noqa: S101 (narrows)
    pairs = "\n    UNION\n".join(_pairs(cls, rule) for rule in matching.rules if rule.find)
    score = " + ".join(
        [f"CASE WHEN {_agree(cls, r)} THEN {r.weight} ELSE 0 END" for r in matching.rules]
        + [f"CASE WHEN {_differ(cls, r)} THEN -{r.weight} ELSE 0 END" for r in matching.against]
    )
    reasons = ", ".join(
        [f"CASE WHEN {_agree(cls, r)} THEN '{r.name}' END" for r in matching.rules]
        + [f"CASE WHEN {_differ(cls, r)} THEN '{r.name}' END" for r in matching.against]
    )
    name, every = cls.declaration.name, "%(keys)s::text[] IS NULL"
    return f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM {table} WHERE deleted_at IS NULL AND ({every} OR key = ANY(%(keys)s))
), pair AS (
{pairs}
), judged AS MATERIALIZED (
    SELECT a.key AS first, b.key AS second, round(({score})::numeric, 2)::float8 AS score,
           to_jsonb(array_remove(ARRAY[{reasons}], NULL)) AS reasons
    FROM pair p JOIN {table} a ON a.key = p.first JOIN {table} b ON b.key = p.second
), found AS (
    INSERT INTO catalog_matchcandidate AS c (entity, first, second, score, reasons, found_at)
    SELECT '{name}', first, second, score, reasons, now() FROM judged
    WHERE score >= {matching.propose_from} ORDER BY first, second
    ON CONFLICT (entity, first, second) DO UPDATE SET score = excluded.score,
        reasons = excluded.reasons, state = 'open'
    WHERE c.state IN ('open', 'withdrawn')
      AND (c.state, c.score, c.reasons) IS DISTINCT FROM ('open', excluded.score, excluded.reasons)
)
UPDATE catalog_matchcandidate c SET state = 'withdrawn', decided_at = now()
WHERE c.entity = '{name}' AND c.state = 'open'
  AND ({every} OR c.first = ANY(%(keys)s) OR c.second = ANY(%(keys)s))
  AND NOT EXISTS (SELECT 1 FROM judged j WHERE j.first = c.first AND j.second = c.second
                  AND j.score >= {matching.propose_from})"""  # noqa: S608 (declared names)


def _pairs(cls: type[Entity], rule: MatchRule) -> str:
    value = _spelled(cls, rule, "e")
    return f"""
    SELECT one.key AS first, other.key AS second FROM (
        SELECT array_agg(e.key) AS keys FROM {cls._meta.db_table} e
        WHERE e.deleted_at IS NULL AND {value} IN (
            SELECT {_spelled(cls, rule, "asked")} FROM asked)
        GROUP BY {value} HAVING count(*) BETWEEN 2 AND {MOST_SHARING}) AS sharing,
        unnest(sharing.keys) AS one (key), unnest(sharing.keys) AS other (key)
    WHERE one.key < other.key"""  # noqa: S608 (declared names)


def _agree(cls: type[Entity], rule: MatchRule) -> str:
    return f"{_spelled(cls, rule, 'a')} = {_spelled(cls, rule, 'b')}"


def _differ(cls: type[Entity], rule: MatchRule) -> str:
    return f"{_spelled(cls, rule, 'a')} <> {_spelled(cls, rule, 'b')}"


def _spelled(cls: type[Entity], rule: MatchRule, alias: str) -> str:
    """SQL of a rule's fields in its spelling; NULL where one is missing."""
    columns: Sequence[models.Field[Any, Any]] = [
        f for name in rule.fields for f in cls._meta.concrete_fields if f.name == name
    ]
    parts = [
        rule.spelling.replace("{}", f"{alias}.{connection.ops.quote_name(str(f.column))}")
        for f in columns
    ]
    return "(" + " || chr(31) || ".join(f"({part})" for part in parts) + ")"
