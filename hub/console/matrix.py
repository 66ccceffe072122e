"""The ownership matrix: for each entity and field who decides it, and who really supplies it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from catalog.entities import entities
from catalog.ownership import STEWARD, Others, OwnershipRule
from catalog.source import Source
from catalog.supplied import SAMPLE, Supplied, supplied
from catalog.survivorship import Case, Decided, survivorship
from observability.clock import database_now

#: What is said of others in one word.
OTHERS = {
    Others.REJECT: "rejected",
    Others.FALLBACK: "after silence",
    Others.NEWEST: "newest wins",
    Others.HOLD: "held",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One system and one field: its role under the rule, and what of the rows is its."""

    role: str
    tone: str
    supplies: int | None
    says: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One field, or one locale, market or channel of it that has a rule of its own."""

    label: str
    scope: str
    rule: OwnershipRule | None
    others: str
    cells: list[Cell]

    @property
    def address(self) -> str:
        """Where the rule is changed."""
        if self.rule is None:
            return ""
        return reverse("admin:catalog_ownershiprule_change", args=[self.rule.pk])


@dataclass(slots=True)
class Block:
    """One entity. `later`: rules that are not in force now."""

    name: str
    systems: list[str]
    rows: int
    lines: list[Line] = field(default_factory=list)
    later: list[OwnershipRule] = field(default_factory=list)


def page(request: HttpRequest) -> HttpResponse:
    """The page; whoever sees the rules sees it. Five statements."""
    if not request.user.has_perm("catalog.view_ownershiprule"):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Ownership matrix",
        "blocks": blocks(),
        "sample": SAMPLE,
        "may_add": request.user.has_perm("catalog.add_ownershiprule"),
    }
    return TemplateResponse(request, "console/matrix.html", context)


def blocks() -> list[Block]:
    """Every entity that a system speaks about."""
    rules, now = list(OwnershipRule.objects.all()), database_now()
    spoken: dict[str, list[str]] = {}
    for name, system in Source.objects.order_by("id").values_list("entity", "system"):
        if system not in spoken.setdefault(name, []):
            spoken[name].append(system)
    told = supplied([cls for name, cls in entities().items() if name in spoken])
    return [_block(name, found, rules, now, spoken[name]) for name, found in told.items()]


def _block(
    name: str, found: Supplied, rules: list[OwnershipRule], now: Any, systems: list[str]
) -> Block:
    block = Block(name, systems, found.rows)
    for decided in survivorship(name, rules, now).decided():
        cases = list(decided.cases)
        if not cases or cases[-1].scope:
            block.lines.append(_line(decided, None, found, systems))
        for case in reversed(cases):
            block.lines.append(_line(decided, case, found, systems))
    block.later = [rule for rule in rules if rule.entity == name and not rule.active(now)]
    return block


def _line(decided: Decided, case: Case | None, found: Supplied, systems: list[str]) -> Line:
    rule = case.rule if case else None
    scope = ", ".join(case.scope.values()) if case else ""
    others = OTHERS[Others(rule.others)] if rule else "first come"
    if rule is not None and rule.silent_after:
        others = f"after {rule.silent_after} s of silence"
    # Of the rows of one market or channel nothing is counted by itself.
    counted = None if scope else found
    return Line(
        label="" if scope else decided.label,
        scope=scope,
        rule=rule,
        others=others,
        cells=[_cell(decided, rule, system, counted) for system in systems],
    )


def _cell(
    decided: Decided, rule: OwnershipRule | None, system: str, found: Supplied | None
) -> Cell:
    role, tone = _role(rule, system)
    if found is None or not found.rows:
        return Cell(role, tone, None, None)
    supplies = found.supplies.get((decided.label, system))
    says = found.says.get((decided.field, system))
    return Cell(role, tone, _percent(supplies, found.rows), _percent(says, found.rows))


def _role(rule: OwnershipRule | None, system: str) -> tuple[str, str]:
    if system == STEWARD:
        return "by hand", "warn"
    if rule is None:
        return "open", "quiet"
    if system == rule.owner:
        return "owner", "good"
    if system in rule.fallbacks:
        place = rule.fallbacks.index(system) + 1
        return ("fallback" if len(rule.fallbacks) == 1 else f"fallback {place}"), "busy"
    return "", "quiet"


def _percent(count: int | None, rows: int) -> int | None:
    return None if count is None else max(1, round(100 * count / rows))
