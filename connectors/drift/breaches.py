"""How a record departs from its contract, in terms that policies and incidents are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import ValidationError

from connectors.models import DriftPolicy

MISSING, WRONG_TYPE = DriftPolicy.Breach.MISSING, DriftPolicy.Breach.WRONG_TYPE
UNKNOWN = DriftPolicy.Breach.UNKNOWN
#: A value that the mapping cannot carry; which member it stands in is not known.
UNMAPPABLE = "unmappable"


@dataclass(frozen=True, slots=True)
class Breach:
    """One departure. `path` is the member's, without the places in lists."""

    path: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that departs: where it breaks its contract first, how, and all its breaches.

    `path` names places in lists too (`to_Item.results.0.Material`). `action` is the policy's:
    what is neither quarantined nor stops the stream was applied.
    """

    record_key: str
    payload: bytes
    path: str
    reason: str
    breaches: tuple[Breach, ...] = ()
    action: str = DriftPolicy.Action.QUARANTINE

    @property
    def departures(self) -> tuple[Breach, ...]:
        """Its breaches; of one that no member is to blame for, itself."""
        return self.breaches or (Breach(member(self.path), UNMAPPABLE, self.reason),)


def breaches_of(error: ValidationError) -> tuple[Breach, ...]:
    """Each member once, in the order in which they were found."""
    found: dict[tuple[str, str], Breach] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        kind = MISSING if one["type"] == "missing" else WRONG_TYPE
        path = ".".join(step for step in one["loc"] if isinstance(step, str))
        found.setdefault((path, kind), Breach(path, kind, one["msg"]))
    return tuple(found.values())


def member(path: str) -> str:
    """A place in a record as the member that it is of: without the places in lists."""
    return ".".join(step for step in path.split(".") if not step.isdigit())


def value_at(document: Any, path: str) -> Any:
    """What stands at a member; of several in lists, the list of all. None where there is nothing."""
    steps = path.split(".")
    for place, step in enumerate(steps):
        if isinstance(document, list):
            rest = ".".join(steps[place:])
            return [value_at(one, rest) for one in document]
        if not isinstance(document, dict):
            return None
        document = document.get(step)
    return document


def document_of(payload: bytes | str) -> Any:
    """A payload as Python values; None for what is not JSON."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def first_breach(error: ValidationError) -> tuple[str, str]:
    """(path, reason) for a person: the first breach, and how many more there are."""
    details = error.errors(include_url=False, include_context=False, include_input=True)
    first = details[0]
    path = ".".join(str(step) for step in first["loc"])
    reason = first["msg"]
    if first["type"] != "missing" and isinstance(first.get("input"), (str, int, float, bool)):
        reason += f" (came: {str(first['input'])[:80]!r})"
    if len(details) > 1:
        reason += f"; and {len(details) - 1} more: " + ", ".join(
            ".".join(str(step) for step in d["loc"]) for d in details[1:6]
        )
    return path, reason
