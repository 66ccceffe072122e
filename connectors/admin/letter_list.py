"""The list of a box: its filters are those of `connectors.replay`, in one form above the list."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from connectors.models import Message
from connectors.replay.chosen import Chosen, UnclearError
from connectors.replay.letters import Letters
from observability.display import Tone, badge

DEAD, REPLAYED = "dead", "replayed"
#: What the list shows, by the word in the address.
VIEWS: dict[str, tuple[str, dict[str, Any]]] = {
    DEAD: ("Dead letters", {"state": Message.State.DEAD}),
    REPLAYED: ("Replayed", {"replays__gt": 0}),
    "waiting": (
        "Waiting",
        {"state__in": [Message.State.RECEIVED, Message.State.CLAIMED, Message.State.RETRYING]},
    ),
    "applied": ("Applied", {"state": Message.State.APPLIED}),
    "superseded": ("Superseded", {"state": Message.State.SUPERSEDED}),
    "any": ("Everything", {}),
}
TONES: dict[str, Tone] = {
    Message.State.RECEIVED: Tone.BUSY,
    Message.State.CLAIMED: Tone.BUSY,
    Message.State.RETRYING: Tone.WARN,
    Message.State.APPLIED: Tone.GOOD,
    Message.State.SUPERSEDED: Tone.QUIET,
    Message.State.DEAD: Tone.BAD,
}
#: Names in the address that are ours; Django would look for columns of that name.
OWN = ("view", "code", "cause", "since", "until", "ids", "seen")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person asked to see. `unclear` says what could not be understood."""

    view: str
    chosen: Chosen
    unclear: str = ""

    @classmethod
    def read(cls, request: HttpRequest, letters: Letters) -> Shown:
        """From the address."""
        view = request.GET.get("view", DEAD)
        try:
            chosen, unclear = Chosen.read(request.GET, letters.places), ""
        except UnclearError as error:
            chosen, unclear = Chosen(), str(error)
        return cls(view if view in VIEWS else DEAD, chosen, unclear)

    def rows(self, letters: Letters, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Of the rows, those to show."""
        if self.unclear:
            return rows.none()
        return letters.chosen(self.chosen, rows.filter(**VIEWS[self.view][1]))

    def query(self, **other: str) -> str:
        """The address of the same, with other words; an empty one leaves its word out."""
        words = {"view": self.view, **self.chosen.words(), **other}
        if words["view"] == DEAD:
            words.pop("view")
        return "?" + urlencode({name: word for name, word in words.items() if word})


def became_of(chosen: Chosen) -> str:
    """The address of what became of a replay: errors and times are others by then."""
    left = replace(chosen, code="", cause="", since=None, until=None, seen=None)
    return Shown(REPLAYED, left).query()


def state_counts(rows: QuerySet[Any]) -> list[Any]:
    """How many are in each state, as badges. One statement."""
    counted = rows.order_by().values_list("state").annotate(count=Count("pk")).order_by("-count")
    return [badge(f"{count:,} {state}", TONES[state]) for state, count in counted]


def choices(letters: Letters, shown: Shown) -> list[dict[str, Any]]:
    """The form's selects: what dead letters have, and what is chosen now. One statement each."""
    dead = letters.rows().filter(state=Message.State.DEAD).order_by()
    selects = [*letters.places.items(), ("code", "error_code")]
    words = shown.chosen.words()
    return [
        {
            "name": name,
            "label": "error code" if name == "code" else name,
            "now": words.get(name, ""),
            "options": sorted(
                {*dead.values_list(lookup, flat=True).distinct()[:200], words.get(name, "")} - {""}
            ),
        }
        for name, lookup in selects
    ]


class LetterList(ChangeList):  # type: ignore[misc]
    """Django's list, narrowed by `Shown`."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Without our own names."""
        known = {*OWN, *self.model_admin.letters.places}
        left: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in left.items() if name not in known}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Narrowed, newest first."""
        letters = self.model_admin.letters
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return Shown.read(request, letters).rows(letters, rows)
