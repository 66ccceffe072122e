"""Data classes: what the class that a field declares (`catalog.entities`) means for caches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from observability.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class DataClass:
    """How long a value may be kept, in seconds; caches in front of us count anew from there.

    `seconds`: fresh. `refreshing`: served on while it is asked for again. `failing`: served on while
    we cannot be asked. `storable`: whether anybody at all may keep it; `public`: whether caches may
    that serve many (see `hub.cache.http`).
    """

    seconds: int
    refreshing: int = 0
    failing: int = 0
    storable: bool = True
    public: bool = False


#: What moves with time by itself, without a change: the age of a value, and whether it is stale.
#: A value's age may also grow younger with no change of the value, so no notice would tell.
MOVING = "moving"

CLASSES: dict[str, DataClass] = {
    "text": DataClass(seconds=300, refreshing=60, failing=86_400, public=True),
    "price": DataClass(seconds=5, refreshing=5, failing=60, public=True),
    "stock": DataClass(seconds=3, refreshing=3, failing=60, public=True),
    # About people: in PostgreSQL alone, where an erasure finds it. A guarded field is of its class
    # wherever it is shown; where it is not, the answer is what everybody sees.
    "personal": DataClass(seconds=0, storable=False),
    "internal": DataClass(seconds=0, storable=False),
    "order": DataClass(seconds=0, storable=False),
    MOVING: DataClass(seconds=0),
}


def strictest(names: Iterable[str]) -> DataClass:
    """The class of an answer that reads these. Raises ConfigurationError."""
    read = [(name, _known(name)) for name in names]
    return DataClass(
        seconds=min((c.seconds for _, c in read), default=0),
        refreshing=min((c.refreshing for _, c in read), default=0),
        failing=min((c.failing for _, c in read), default=0),
        storable=all(c.storable for _, c in read),
        public=bool(read)
        and all(c.public and name in settings.HEADWATER_PUBLIC_CLASSES for name, c in read),
    )


def _known(name: str) -> DataClass:
    if name not in CLASSES:
        raise ConfigurationError(
            f"data_class {name!r} of an entity's declaration is unknown; "
            f"declare one of {', '.join(sorted(CLASSES))}"
        )
    return CLASSES[name]
