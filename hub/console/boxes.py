"""What lies in inbox and outbox: given up, or waiting; of all boxes in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Case, Count, F, TextField, Value, When
from django.http import HttpRequest
from django.urls import reverse

from connectors.models import Message
from connectors.replay.boxes import BOXES

DEAD = Message.State.DEAD
#: As `connectors.models.messages.due_index` has them: by the index, however many were applied.
WAITING = (Message.State.RECEIVED, Message.State.RETRYING)


@dataclass(frozen=True, slots=True)
class Box:
    """How many messages of one place are dead, or wait."""

    name: str
    places: Mapping[str, str]
    dead: bool
    count: int
    address: str

    @property
    def system(self) -> str:
        """Whom it is about: a connection, or a subscriber."""
        return self.places.get("connection") or self.places.get("subscriber", "")


def boxes(request: HttpRequest) -> list[Box]:
    """Of the boxes that the person may see, by place; the fullest first."""
    names = sorted({name for letters in BOXES.values() for name in letters.places})
    parts: list[Any] = []
    listed: dict[str, str] = {}
    for letters in BOXES.values():
        options = letters.model._meta
        label = f"{options.app_label}_{options.model_name}"
        if not request.user.has_perm(f"{options.app_label}.view_{options.model_name}"):
            continue
        listed[letters.name] = reverse(f"admin:{label}_changelist")
        places = {f"at_{name}": _place(letters.places.get(name)) for name in names}
        rows = letters.rows().order_by()
        said = rows.annotate(box=Value(letters.name, TextField()), dead=_is_dead(), **places)
        counted = said.values_list("box", "dead", *places).annotate(count=Count("pk"))
        # each by an index of its own
        parts += [counted.filter(state=DEAD), counted.filter(state__in=WAITING)]
    if not parts:
        return []
    found = parts[0].union(*parts[1:], all=True).order_by("-count")
    return [
        Box(box, dict(zip(names, at, strict=True)), dead, count, listed[box])
        for box, dead, *at, count in found
    ]


def _place(lookup: str | None) -> Any:
    empty = Value("", TextField())
    if lookup is None:
        return empty
    return Case(When(**{f"{lookup}__isnull": True}, then=empty), default=F(lookup),
                output_field=TextField())  # fmt: skip


def _is_dead() -> Any:
    return Case(When(state=DEAD, then=Value(value=True)), default=Value(value=False),
                output_field=BooleanField())  # fmt: skip
