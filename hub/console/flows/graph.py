"""The parts of the map. Ages in seconds; `tone` says how a thing is, `state` says it in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from catalog.ownership import OwnershipRule
from catalog.sizes import Size
from connectors.models import Connection, Stream
from connectors.runtime.declare import StreamSpec
from observability.display import Tone

#: So many days of reads and so many of the latest commands are what was observed.
DAYS, COMMANDS = 30, 10_000
#: Of consumers the busiest are drawn, and of systems the first: more are no picture any more.
MOST = 60


@dataclass(frozen=True, slots=True)
class Inflow:
    """A stream and the entities that it feeds. `spec` is None where its connector is gone."""

    stream: Stream
    spec: StreamSpec | None
    entities: tuple[str, ...]
    how: str
    lag: float | None
    size: Size | None
    tone: Tone
    state: str

    @property
    def name(self) -> str:
        """`products`."""
        return self.stream.slug


@dataclass(frozen=True, slots=True)
class Outflow:
    """What can be written to a system: the capability, the entity, and what is done by it.

    `times`: commands that used it, of the latest `COMMANDS`.
    """

    capability: str
    entity: str
    operations: tuple[str, ...]
    times: int


@dataclass(slots=True)
class System:
    """A connection, what comes from it and what goes to it."""

    connection: Connection
    label: str
    tone: Tone
    state: str
    inflows: list[Inflow] = field(default_factory=list)
    outflows: list[Outflow] = field(default_factory=list)

    @property
    def slug(self) -> str:
        """As everything else names it."""
        return self.connection.slug


@dataclass(frozen=True, slots=True)
class Node:
    """An entity: who decides it, and how many records there are."""

    name: str
    title: str
    size: Size
    owners: tuple[str, ...]
    rules: tuple[OwnershipRule, ...]
    data_class: str


@dataclass(frozen=True, slots=True)
class Reads:
    """What a consumer reads of an entity: requests of `DAYS`, and whether it was allowed to."""

    requests: int
    fields: int
    declared: bool


@dataclass(slots=True)
class Consumer:
    """An API key, the client of a token, or a subscriber. `reads` by entity; `told`: of what."""

    name: str
    kind: str
    address: str
    tone: Tone
    state: str
    everything: bool = False
    reads: dict[str, Reads] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    writes: dict[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """At least so many, of `DAYS`: of its most read entity."""
        return max((read.requests for read in self.reads.values()), default=0)


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A flow that was seen and that nothing configured explains."""

    what: str
    why: str
    address: str = ""


@dataclass(slots=True)
class Map:
    """The whole of it."""

    systems: list[System]
    entities: list[Node]
    consumers: list[Consumer]
    undeclared: list[Undeclared]
    #: How many keys and subscribers there are beside those that are shown.
    left_out: int = 0
