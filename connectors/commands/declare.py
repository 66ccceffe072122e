"""What an operation is: the declaration of its steps, and the registry that finds them by folder.

A module under `connectors/commands/operations/` lists them in `OPERATIONS`; nothing else is edited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from pydantic import BaseModel

from connectors.commands import operations as families
from observability.errors import HubError

#: An upstream's field for our key may be short: SAP's `PurchaseOrderByCustomer` holds 35 characters,
#: of which a command's reference takes 20 and the dot one.
STEP_NAME = re.compile(r"[a-z][a-z_]{0,13}")
SLUG = re.compile(r"[a-z]+\.[a-z_]+")


class Refused(HubError):  # noqa: N818 (what a step says, and a verdict rather than a failure)
    """A definite no: nothing is done, and what was done before it is taken back.

    `problem` is the stable code that callers go by ("price_changed"), `detail` is for a person,
    `members` are further members of the problem document, `status` is that of HTTP.
    """

    code: ClassVar[str] = "command.refused"

    def __init__(self, problem: str, detail: str, *, status: int = 422, **members: Any) -> None:
        super().__init__(detail)
        self.problem, self.detail, self.members = problem, detail, members
        self.status: int = status


class Work(Protocol):
    """What a step can see of the command it belongs to."""

    @property
    def params(self) -> Any:
        """An instance of the operation's `params` model."""

    @property
    def results(self) -> Mapping[str, Any]:
        """What the steps before came to, by name, as JSON says it.

        Of a Check or a Decide: what its `run` returned. Of a Write: `{"key": record key,
        "system": slug of the connection}`. Of one that was skipped: None.
        """

    @property
    def reference(self) -> str:
        """The command's public id, `cmd_…`."""

    @property
    def caller(self) -> str:
        """Who asked, as given to `accept`."""

    @property
    def correlation_id(self) -> str:
        """Of the request that asked."""

    def ask(self, question: str, **values: Any) -> dict[str, Any]:
        """A question to the upstream whose connector answers it. Never inside a transaction.

        Raises UpstreamError; RefusedByUpstreamError, which a Check may turn into its own `Refused`.
        """


def as_asked(work: Work) -> dict[str, Any]:
    """What was asked, without what was left out: the values of a Write that needs no more."""
    found: dict[str, Any] = work.params.model_dump(exclude_none=True)
    return found


@dataclass(frozen=True, slots=True)
class Check:
    """Reads: SQL, or questions to upstreams; or what comes to the same however often it is done.

    Run again on a resume until something was sent. One that is `local` asks no upstream: nobody need
    wait for it in a thread of its own.
    """

    name: str
    run: Callable[[Work], Any]
    after: tuple[str, ...] = ()
    local: bool = False


@dataclass(frozen=True, slots=True)
class Undo:
    """What takes a Write back: another write, done exactly once as well.

    It goes to the same connection where that can do it.
    """

    capability: str
    values: Callable[[Work], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Write:
    """One upstream write, exactly once. `values` are neutral; `when` False: it is skipped."""

    name: str
    capability: str
    values: Callable[[Work], Mapping[str, Any]]
    after: tuple[str, ...] = ()
    undo: Undo | None = None
    when: Callable[[Work], bool] | None = None


@dataclass(frozen=True, slots=True)
class Decide:
    """One transaction of ours, done at most once: the step's row is committed with it.

    `run` is repeated where PostgreSQL ends it for another's sake (deadlock, serialisation). Neither
    it nor `undo` may ask an upstream. What `stays` is no harm where the rest is taken back: a verdict,
    say, by which a command is refused. `verdict` raises Refused where what was decided is a no: it is
    kept all the same, and the command is refused in the same transaction.
    """

    name: str
    run: Callable[[Work], Any]
    after: tuple[str, ...] = ()
    undo: Callable[[Work], None] | None = None
    stays: bool = False
    verdict: Callable[[Work], None] | None = None


Step: TypeAlias = Check | Write | Decide


@dataclass(frozen=True, slots=True)
class Operation:
    """A write that callers can ask for."""

    slug: str
    title: str
    description: str
    method: str
    #: Below the API's root; `{members}` of it become params. Empty: only the hub itself asks for it.
    path: str
    scope: str
    #: Its config must forbid extra members.
    params: type[BaseModel]
    steps: tuple[Step, ...]
    #: What the caller is given, once all steps are done; JSON-able, and of the shape `result_model`.
    result: Callable[[Work], dict[str, Any]]
    result_model: type[BaseModel]
    #: So long the caller waits; then 202, and the drain goes on.
    deadline_seconds: float = 10.0
    #: While a breaker is open that a step needs: 202 and done later, or 503 and nothing begun.
    while_open: Literal["buffer", "refuse"] = "buffer"
    status: int = 201
    by_name: Mapping[str, Step] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a declaration that nobody could carry out."""
        object.__setattr__(self, "by_name", {step.name: step for step in self.steps})
        wrong = [step.name for step in self.steps if not STEP_NAME.fullmatch(step.name)]
        unknown = {name for step in self.steps for name in step.after} - self.by_name.keys()
        if not SLUG.fullmatch(self.slug) or wrong or unknown:
            raise ValueError(
                f"operation {self.slug!r}: names are lower-case, of a step 14 characters at most"
                f" ({wrong}), and `after` names its steps ({sorted(unknown)})"
            )
        if len(self.by_name) != len(self.steps):
            raise ValueError(f"operation {self.slug!r}: two steps have one name")
        try:
            TopologicalSorter({step.name: step.after for step in self.steps}).prepare()
        except CycleError as error:
            raise ValueError(
                f"operation {self.slug!r}: steps wait for each other: {error}"
            ) from error


_extra: dict[str, Operation] = {}


def register(operation: Operation) -> Operation:
    """Make an operation known that lives outside `operations/` (a test's, a customer's)."""
    _extra[operation.slug] = operation
    return operation


@cache
def _discovered() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for module in iter_modules(families.__path__):
        listed: Iterable[Operation] = import_module(f"{families.__name__}.{module.name}").OPERATIONS
        for operation in listed:
            if operation.slug in found:
                raise ValueError(f"two operations are called {operation.slug!r}")
            found[operation.slug] = operation
    return found


def offered() -> list[Operation]:
    """Those that callers can ask for. One without an address is the hub's own (`following`)."""
    return [operation for operation in operations().values() if operation.path]


def operations() -> dict[str, Operation]:
    """Every operation by slug."""
    return {**_discovered(), **_extra}
