"""Overrides: what a person decided about a field, above every rule.

An override is one more thing that a source says. All that is in force about a record is one source
record of the system `steward`, which goes through `catalog.stage` as any other: so provenance,
history, notices and remaps know it, and the systems' own values stay beside it as conflicts. It is
withdrawn by hand, or ends at its expiry (`expire_due`, by the supervisor; by the database's clock).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from catalog.conflicts import NO_REASON, Conflict
from catalog.entities import LocalizedField, entity
from catalog.merge import Cause
from catalog.ownership import STEWARD
from catalog.source import SourceRecord, source_id
from catalog.stage import Contribution, apply_contributions, payload_hash, withdraw
from catalog.stated import stated
from observability.context import ensure_id
from observability.freshness import advance

STREAM = "overrides"
EXPIRED_AT_ONCE = 500


class Override(models.Model):
    """One value that a person put in the place of what the rules choose; one in force a field."""

    id = models.BigAutoField(primary_key=True)
    entity = models.TextField()
    key = models.TextField(db_collation="C")
    field = models.TextField()
    value = models.JSONField(help_text="As source records spell it.")
    made_by = models.TextField()
    reason = models.TextField()
    made_at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True, help_text="It ends then by itself; empty: never.")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.TextField(default="", db_default="")
    ended_because = models.TextField(default="", db_default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["key", "entity", "field"],
                name="one_override_in_force",
                condition=Q(ended_at__isnull=True),
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["until"],
                name="override_until",
                condition=Q(ended_at__isnull=True, until__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.key}: {self.field}"


@dataclass(frozen=True, slots=True)
class Decision:
    """That a person wants `value` (JSON types, or text as a form has it) in a field of a record."""

    entity: str
    key: str
    field: str
    value: Any


def live(name: str, key: str) -> dict[str, Override]:
    """The overrides of a row that are in force, by field."""
    rows = Override.objects.filter(entity=name, key=key, ended_at=None)
    return {row.field: row for row in rows}


def override(
    decisions: Sequence[Decision], *, by: str, reason: str, until: datetime | None = None
) -> list[Override]:
    """Put these values above the rules, all or none; those that they replace end.

    Raises ValidationError, by parameter (value, reason, until), for what cannot be.
    """
    reason = reason.strip()
    wanted, wrong = {}, _wrong(reason, until)
    for one in decisions:
        try:
            value = stated(entity(one.entity), one.field, one.value)
        except ValidationError as error:
            wrong |= error.message_dict
        else:
            wanted[one.entity, one.key, one.field] = value
    if wrong:
        raise ValidationError(wrong)
    with transaction.atomic():
        _lock({(name, key) for name, key, _ in wanted})
        _must_live({(name, key) for name, key, _ in wanted})
        former = Q(pk__in=[])
        for name, key, field in wanted:
            former |= Q(entity=name, key=key, field=field)
        Override.objects.filter(former, ended_at=None).update(
            ended_at=Now(), ended_by=by, ended_because="replaced by another"
        )
        made = Override.objects.bulk_create(
            Override(entity=name, key=key, field=field, value=value, made_by=by, reason=reason,
                     until=until)
            for (name, key, field), value in wanted.items()
        )  # fmt: skip
        _tell({(name, key) for name, key, _ in wanted})
    return made


def taking(conflict: Conflict) -> Decision:
    """That the losing value of a conflict is right; of a text in the locales that it has."""
    value, field = conflict.value, entity(conflict.entity)._meta.get_field(conflict.field)
    if isinstance(field, LocalizedField) and isinstance(conflict.surviving, dict):
        value = {**conflict.surviving, **value}
    return Decision(conflict.entity, conflict.key, conflict.field, value)


def withdraw_overrides(rows: Iterable[Override], *, by: str, because: str = "withdrawn") -> int:
    """End these; the rules decide again. How many were in force."""
    chosen = list(rows)
    places = {(row.entity, row.key) for row in chosen}
    with transaction.atomic():
        _lock(places)
        ended = Override.objects.filter(pk__in=[row.pk for row in chosen], ended_at=None).update(
            ended_at=Now(), ended_by=by, ended_because=because
        )
        if ended:
            _tell(places)
    return ended


def expire_due(limit: int = EXPIRED_AT_ONCE) -> int:
    """End those whose time is up, some at once; how many. Those that stay are known to be in force."""
    with transaction.atomic():
        due = Override.objects.filter(ended_at=None, until__lte=Now()).order_by("until", "id")
        rows = list(due[:limit])
        if rows:
            withdraw_overrides(rows, by="", because="its time was up")
        if len(rows) < limit and Override.objects.filter(ended_at=None).exists():
            advance(STEWARD, STREAM, _now())
    return len(rows)


def _wrong(reason: str, until: datetime | None) -> dict[str, list[str]]:
    wrong = {}
    if not reason:
        wrong["reason"] = [NO_REASON]
    if until is not None and until <= _now():
        wrong["until"] = ["The expiry has to lie ahead; leave it empty for none."]
    return wrong


def _must_live(places: Iterable[tuple[str, str]]) -> None:
    wanted: dict[str, set[str]] = defaultdict(set)
    for name, key in places:
        wanted[name].add(key)
    for name, keys in wanted.items():
        rows = entity(name)._default_manager.filter(pk__in=keys, deleted_at=None)
        if missing := keys - set(rows.values_list("pk", flat=True)):
            raise ValidationError(
                {"value": f"There is no live {name} {', '.join(sorted(missing))} to override."}
            )


def _lock(places: Iterable[tuple[str, str]]) -> None:
    """Two people may decide about one record at once: its overrides are one source record."""
    with connection.cursor() as cursor:
        for name, key in sorted(places):
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtext('overrides of ' || %s), hashtext(%s))",
                [name, key],
            )


def _tell(places: Iterable[tuple[str, str]]) -> None:
    """Say what is in force now about these records, as the source that it is."""
    by_entity: dict[str, list[str]] = defaultdict(list)
    for name, key in sorted(places):
        by_entity[name].append(key)
    cause = Cause(correlation_id=ensure_id())
    for name, keys in by_entity.items():
        source = source_id(STEWARD, STREAM, name)
        in_force: dict[str, list[Override]] = defaultdict(list)
        for row in Override.objects.filter(entity=name, key__in=keys, ended_at=None).order_by("id"):
            in_force[row.key].append(row)
        versions = _next_versions(source, keys)
        apply_contributions(
            [_said(source, key, rows, versions[key]) for key, rows in in_force.items()],
            cause,
            entities=[name],
        )
        silent = [key for key in keys if key not in in_force]
        if silent:
            withdraw(source, silent, cause, entity=name)
    advance(STEWARD, STREAM, _now())


def _said(source: int, key: str, rows: Sequence[Override], version: int) -> Contribution:
    payload = msgspec.json.encode(
        {
            "record": key,
            "overrides": {
                row.field: {
                    "value": row.value, "by": row.made_by, "reason": row.reason,
                    "made_at": row.made_at, "until": row.until,
                }
                for row in rows
            },
        }
    )  # fmt: skip
    fields = {row.field: row.value for row in rows}
    return Contribution(source, key, key, payload, payload_hash(payload), fields, version)


def _next_versions(source: int, keys: Sequence[str]) -> Mapping[str, int]:
    """The overrides of a record are versioned by counting: their lock puts them in order."""
    stored = SourceRecord.objects.filter(source_id=source, record_key__in=keys)
    known = dict(stored.values_list("record_key", "version"))
    return {key: known.get(key, 0) + 1 for key in keys}


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    return moment
