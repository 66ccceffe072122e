"""How ownership rules change: seen first, then applied to the records that are there, with history.

A change is one row. It says who changed what, and is the remap that follows from it: which records
have been merged under the new rules (`cursor`), how many were looked at and how many changed. A
page is one transaction that locks the row, so that whoever dies leaves a page undone and no more,
and anybody may go on. A window that opens or closes is a change too, made by the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import OperationalError, connection, models, transaction
from django.db.models.functions import Now

from catalog.entities import Entity, entities
from catalog.entities.derived import quoted
from catalog.held import HeldValue
from catalog.merge import Cause, compile_preview
from catalog.ownership import IN_FORCE, OwnershipRule
from catalog.rule_checks import check, check_all
from catalog.source import Source
from catalog.stage import merge_again
from catalog.surviving import literal
from catalog.survivorship import survivorship
from observability.clock import database_now
from observability.context import current_id, new_id

#: Records in one transaction, which holds up merges of the same ones.
PAGE = 1000
SAMPLE = 20
PREVIEW_SECONDS = 60
THE_CLOCK = "the clock"
QUERY_CANCELED = "57014"  # PostgreSQL, Appendix A


class RuleChange(models.Model):
    """One change of one rule, and the remap that applies it. `before`, `after`: None where none was."""

    class Kind(models.TextChoices):
        CREATED = "created", "created"
        CHANGED = "changed", "changed"
        DELETED = "deleted", "deleted"
        OPENED = "opened", "window opened"
        CLOSED = "closed", "window closed"

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField(choices=Kind.choices)
    entity = models.TextField()
    rule_id = models.BigIntegerField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    by = models.TextField(help_text="Who changed it; the clock where a window opened or closed.")
    at = models.DateTimeField(db_default=Now())
    state = models.TextField(choices=State.choices, default=State.QUEUED)
    cursor = models.TextField(default="", db_collation="C", help_text="The last key merged.")
    expected = models.BigIntegerField(null=True, help_text="Records it was said to change.")
    total = models.BigIntegerField(null=True, help_text="Records it may concern.")
    seen = models.BigIntegerField(default=0)
    changed = models.BigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    correlation_id = models.TextField(default="")

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["id"], name="rule_change_open", condition=~models.Q(state="done")),
            models.Index(fields=["correlation_id"], name="rule_change_correlation"),
        ]
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"rule {self.rule_id} {self.kind}"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do to the records there are, at the moment from which it is in force.

    `changed` have another value, `moved` the same value from another system; `sample` is of the
    first: [(key, {field: [old, new]})]. `counted` is False where there were too many to look at.
    """

    seen: int = 0
    changed: int = 0
    moved: int = 0
    sample: tuple[tuple[str, dict[str, list[Any]]], ...] = ()
    counted: bool = True


def preview(rule: OwnershipRule, *, removed: bool = False) -> Preview:
    """What saving or removing the rule would change; nothing is written. Raises RuleRefusedError."""
    others = _others(rule)
    rules = others if removed else [*others, rule]
    check_all(others) if removed else check(rule, others)
    now = database_now()
    at = now if removed or rule.valid_from is None else max(now, rule.valid_from)
    speaking = list(Source.objects.filter(entity=rule.entity).order_by("id"))
    statement = compile_preview(speaking, survivorship(rule.entity, rules, at), SAMPLE)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {PREVIEW_SECONDS * 1000}")
            cursor.execute(statement, {"at": now})
            seen, changed, moved, sample = cursor.fetchone()
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
            raise
        return Preview(counted=False)
    listed = tuple((row["key"], row["changes"]) for row in sample or ())
    return Preview(seen, changed, moved, listed)


@transaction.atomic
def save(rule: OwnershipRule, by: str, expected: int | None = None) -> RuleChange:
    """Write a rule, new or changed; what follows is done page by page. Raises RuleRefusedError."""
    before = _as_stored(rule)
    # Whoever writes a rule waits for the others: two that contradict each other cannot both pass.
    _alone()
    check(rule, _others(rule))
    rule.in_force = rule.active(database_now()) if _has_window(rule) else None
    rule.save()
    kind = RuleChange.Kind.CHANGED if before else RuleChange.Kind.CREATED
    return _recorded(kind, rule, before=before, after=rule.as_json(), by=by, expected=expected)


@transaction.atomic
def remove(rule: OwnershipRule, by: str, expected: int | None = None) -> RuleChange:
    """Delete a rule. Raises RuleRefusedError where others contradict each other without it."""
    before = _as_stored(rule)
    _alone()
    check_all(_others(rule))
    number = rule.pk
    rule.delete()
    rule.pk = number
    return _recorded(RuleChange.Kind.DELETED, rule, before=before, by=by, expected=expected)


WINDOWS = f"""
SELECT r.id FROM catalog_ownershiprule r, (SELECT clock_timestamp() AS at) c
WHERE (r.valid_from IS NOT NULL OR r.valid_to IS NOT NULL)
  AND r.in_force IS DISTINCT FROM ({IN_FORCE})"""

WAITING = f"""
SELECT EXISTS ({WINDOWS}) OR EXISTS (SELECT FROM catalog_rulechange WHERE state <> 'done')
    OR EXISTS (SELECT FROM catalog_mergedue WHERE at <= clock_timestamp())"""


def waiting() -> bool:
    """Whether a window has opened or closed, a change is not applied, or a record is due."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return bool(cursor.fetchone()[0])


@transaction.atomic
def plan_windows() -> int:
    """Record the windows that have opened or closed since somebody looked; how many."""
    with connection.cursor() as cursor:
        cursor.execute(WINDOWS)
        due = [pk for (pk,) in cursor.fetchall()]
    if not due:
        return 0
    # Merges that are under way do not know the new time; they end before a page is looked at.
    _alone()
    now, planned = database_now(), 0
    for rule in OwnershipRule.objects.filter(pk__in=due):
        active = rule.active(now)
        # A rule that nobody has looked at, and that is not in force, has changed nothing.
        if rule.in_force is not active and (rule.in_force is not None or active):
            kind = RuleChange.Kind.OPENED if active else RuleChange.Kind.CLOSED
            _recorded(kind, rule, before=rule.as_json(), after=rule.as_json(), by=THE_CLOCK)
            planned += 1
        OwnershipRule.objects.filter(pk=rule.pk).update(in_force=active)
    return planned


@transaction.atomic
def work() -> bool:
    """Merge one page of the oldest change that nobody is at; whether there was one."""
    change = (
        RuleChange.objects.select_for_update(skip_locked=True)
        .exclude(state=RuleChange.State.DONE)
        .order_by("id")
        .first()
    )
    if change is None:
        return False
    cls = entities().get(change.entity)
    rows = _rows(cls, change) if cls else ""
    with connection.cursor() as cursor:
        if change.total is None:
            cursor.execute(f"SELECT count(*) {rows}" if rows else "SELECT 0", [])
            change.total = cursor.fetchone()[0]
        keys: list[str] = []
        if rows:
            cursor.execute(
                f"SELECT key {rows} AND key > %s ORDER BY key LIMIT %s", [change.cursor, PAGE]
            )
            keys = [key for (key,) in cursor.fetchall()]
        if keys:
            cause = Cause(correlation_id=change.correlation_id)
            change.changed += merge_again({change.entity: keys}, cause).total
            change.seen += len(keys)
            change.cursor = keys[-1]
    change.state = RuleChange.State.RUNNING
    if len(keys) < PAGE:
        change.state, change.finished_at = RuleChange.State.DONE, database_now()
    change.save()
    return True


def _rows(cls: type[Entity], change: RuleChange) -> str:
    """SQL: the rows for which the rule was or is."""
    living = f"FROM {quoted(cls._meta.db_table)} WHERE deleted_at IS NULL"
    scopes = cls.declaration.scopes
    sides = [
        " AND ".join(
            f"{quoted(field)} = {literal(side[dimension])}"
            for dimension, field in scopes.items()
            if side.get(dimension)
        )
        for side in (change.before, change.after)
        if side is not None
    ]
    return f"{living} AND (({') OR ('.join(sides)}))" if all(sides) else living


def _recorded(kind: str, rule: OwnershipRule, **said: Any) -> RuleChange:
    # What the rule held is held again by the pages that come, where it is still to be.
    HeldValue.objects.filter(rule_id=rule.pk).delete()
    return RuleChange.objects.create(
        kind=kind,
        entity=rule.entity,
        rule_id=rule.pk,
        correlation_id=current_id() or new_id(),
        **said,
    )


def _as_stored(rule: OwnershipRule) -> dict[str, Any] | None:
    stored = OwnershipRule.objects.filter(pk=rule.pk).first() if rule.pk else None
    return stored.as_json() if stored else None


def _others(rule: OwnershipRule) -> Sequence[OwnershipRule]:
    return list(OwnershipRule.objects.filter(entity=rule.entity).exclude(pk=rule.pk))


def _has_window(rule: OwnershipRule) -> bool:
    return rule.valid_from is not None or rule.valid_to is not None


def _alone() -> None:
    """As the trigger on the rules does, but before they are read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('catalog.ownershiprule'))")
