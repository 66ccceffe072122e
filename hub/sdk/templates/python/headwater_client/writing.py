"""What a write comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Written(Generic[M]):
    """A write that the hub has.

    `result` is None while it is not done: then `Headwater.command(reference=written.command)` says
    what becomes of it. `replayed`: the hub had this very request before, and did nothing twice.
    """

    command: str
    result: M | None
    replayed: bool
