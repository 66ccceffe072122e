"""Groups dead letters by cause: the error without what differs from letter to letter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Func, Max, Min, QuerySet, TextField, Value, Window
from django.db.models.functions import RowNumber

LONGEST = 300
#: What differs (PostgreSQL's regular expressions), and what stands for it.
VARYING = (
    # What is quoted; the apostrophe in "doesn't" opens no quotation.
    (r"""(?<!\w)'[^']*'|"[^"]*\"""", "…"),
    # UUIDs, digests and correlation ids.
    (r"\m[0-9a-f]{8}[0-9a-f-]*\M", "#"),
    (r"\d+([.,:]\d+)*", "#"),
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead letters that died of the same. `key` names the cause in an address."""

    key: str
    code: str
    error: str
    #: Where it happened, in the order of `Letters.places`.
    places: tuple[str, ...]
    count: int
    first: datetime
    last: datetime
    sample: int


def with_cause(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The rows with `plain_error` and `cause` beside them."""
    plain: Any = F("error")
    for pattern, stand_in in VARYING:
        plain = _text("regexp_replace", plain, Value(pattern), Value(stand_in), Value("gi"))
    plain = _text("left", plain, Value(LONGEST))
    named: QuerySet[Any] = rows.annotate(plain_error=plain).annotate(
        cause=_text(
            "left",
            _text("md5", _text("concat", F("error_code"), Value("\n"), F("plain_error"))),
            Value(12),
        )
    )
    return named


def in_turn(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The rows so that the first of them hold some of every cause, the oldest of each first."""
    nth = Window(RowNumber(), partition_by=[F("cause")], order_by="pk")
    turns: QuerySet[Any] = with_cause(rows).annotate(nth=nth).order_by("nth", "pk")
    return turns


def _text(function: str, *arguments: Any) -> Func:
    return Func(*arguments, function=function, output_field=TextField())


def causes(dead: QuerySet[Any], places: tuple[str, ...], limit: int = 50) -> list[Cause]:
    """The causes behind dead letters, the most frequent first. One statement."""
    grouped = (
        with_cause(dead)
        .order_by()
        .values_list("cause", "error_code", "plain_error", *places)
        .annotate(
            count=Count("pk"), first=Min("finished_at"), last=Max("finished_at"), sample=Max("pk")
        )
        .order_by("-count", "-last")[:limit]
    )
    return [
        Cause(key, code, error, tuple(rest[: len(places)]), *rest[len(places) :])
        for key, code, error, *rest in grouped
    ]
