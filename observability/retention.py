"""How long what is kept: one declared line for each kind of data, by its class.

Every floor declares its own (`declare`, in AppConfig.ready). What has a `prune` is let go of here, a piece
at a time, by the supervisor; other lines say what their own modules do. `HEADWATER_RETENTION`
(`personal_history=180`) changes how long the first sort is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from observability.errors import ConfigurationError

#: Rows that go at once: a piece is a transaction.
PIECE = 5000


@dataclass(frozen=True, slots=True)
class Kept:
    """One line. `prune(days)` lets go of at most `PIECE` rows and says how many; None: see `how`."""

    slug: str
    what: str
    data_class: str
    usual_days: int
    how: str
    prune: Callable[[int], int] | None = None

    @property
    def days(self) -> int:
        """How long, as it is set."""
        return int(settings.HEADWATER_RETENTION.get(self.slug, self.usual_days))


_declared: dict[str, Kept] = {}


def declare(*lines: Kept) -> None:
    """Add lines; one that is there already is replaced."""
    _declared.update({line.slug: line for line in lines})


def declared() -> list[Kept]:
    """All lines, by class and name."""
    return sorted(_declared.values(), key=lambda line: (line.data_class, line.slug))


def check() -> None:
    """Raises ConfigurationError where a setting names no line that can be set, or no sensible time."""
    can = {line.slug for line in declared() if line.prune is not None}
    for slug, days in settings.HEADWATER_RETENTION.items():
        if slug not in can:
            raise ConfigurationError(
                f"HEADWATER_RETENTION names {slug!r}; what can be set is {', '.join(sorted(can))}"
            )
        if days < 1:
            raise ConfigurationError(f"HEADWATER_RETENTION: {slug} is kept for 1 day at least")


def prune() -> int:
    """Let a piece of each line go; how many rows."""
    return sum(line.prune(line.days) for line in declared() if line.prune is not None)
