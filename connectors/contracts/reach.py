"""From a member of an upstream record to the mappings that use it, by committed documents alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from connectors.contracts import store
from connectors.contracts.check import plain_types
from connectors.contracts.diff import REMOVED, Change
from connectors.contracts.names import attribute
from connectors.contracts.shape import Shape, SpecificationError, nearest, resolve
from connectors.contracts.uses import member, targets, uses
from connectors.models import Connection
from connectors.runtime.connector import Connector, installed
from connectors.runtime.declare import StreamSpec

ConnectorClass = type[Connector]
#: What is fed where the record as a whole is meant.
RECORD = "the record"


@dataclass(frozen=True, slots=True)
class Reached:
    """A member that a stream uses. `feeds` are entity fields (`price.amount`) or words for others.

    `demanded`: without the member a record breaks its contract and is held in quarantine, with all
    that it says. `whole`: every entity field that the stream's records feed.
    """

    connector: str
    stream: str
    member: str
    feeds: tuple[str, ...]
    demanded: bool
    whole: tuple[str, ...]


def renamed(text: str) -> list[Reached]:
    """What uses the member of `A.b=c`. Raises SpecificationError, with what is near.

    A is a stream (`prices`, or `sap/prices` where several have one), or a record type or collection
    as the vendor calls it; b a member of it, dotted for one inside others; c its new name.
    """
    before, equals, after = text.partition("=")
    owner, dot, path = before.strip().partition(".")
    if not (equals and dot and owner and path and after.strip()):
        raise SpecificationError(
            f"{text!r} is no renaming; write STREAM.member=new, as in prices.Material=Product"
        )
    return using(owner, path)


def using(owner: str, path: str) -> list[Reached]:
    """What uses a member of a stream, a record type or a collection. Raises SpecificationError.

    An empty path stands for a stream's records as a whole.
    """
    streams = list(_streams(owner))
    if streams:
        return _in_streams(streams, path)
    found: list[Reached] = []
    known, members = False, set[str]()
    for cls in installed().values():
        pulled = store.load(store.folder(cls) / "specification.json")
        for document in pulled.documents:
            shape = document.shapes.get(document.collections.get(owner, owner))
            if shape is None:
                continue
            known = known or _has(shape, path, pulled.shapes_for(document))
            members |= {field.name for field in shape.fields}
            found += _in_shape(cls, pulled, shape.name, path)
    if known:
        return list(dict.fromkeys(found))
    if members:
        raise _unknown(f"{owner} has no member {path!r}", path, members)
    raise _unknown(f"no stream, record type or collection is called {owner!r}", owner, _owners())


def of_change(cls: ConnectorClass, stream: str, change: Change) -> Reached:
    """A change that a comparison found in a stream's records."""
    spec = next(one for one in cls.streams if one.slug == stream)
    called = attribute(change.place.rpartition(".")[2])
    fitting = (
        path
        for path, feeds in targets(spec).items()
        if feeds == change.feeds and attribute(path.rpartition(".")[2]) == called
    )
    path = next(fitting, "")
    # What may be missing may still not be of another type.
    held = not path or change.what != REMOVED or demanded(spec, path)
    feeds = change.feeds or (RECORD,)
    return Reached(cls.slug, stream, path or change.place, feeds, held, fed(spec))


def fed(spec: StreamSpec) -> tuple[str, ...]:
    """All entity fields that the records of a stream feed."""
    return tuple(dict.fromkeys(use.target for use in uses(spec) if "." in use.target))


def mapped_by() -> dict[str, tuple[str, ...]]:
    """{entity field: the streams that feed it, as connector/stream}."""
    found: dict[str, list[str]] = {}
    for cls in installed().values():
        for spec in cls.streams:
            for target in fed(spec):
                found.setdefault(target, []).append(f"{cls.slug}/{spec.slug}")
    return {target: tuple(streams) for target, streams in found.items()}


def _in_streams(streams: list[tuple[ConnectorClass, StreamSpec]], path: str) -> list[Reached]:
    """Uses in all streams of a name. Raises SpecificationError where none has the member."""
    found: list[Reached] = []
    unknown: list[SpecificationError] = []
    for cls, spec in streams:
        try:
            found += _in_stream(cls, spec, path)
        except SpecificationError as error:
            unknown.append(error)
    if len(unknown) == len(streams):
        raise unknown[0]
    return found


def _streams(owner: str) -> Iterator[tuple[ConnectorClass, StreamSpec]]:
    """Streams by `connection/stream`, `connector/stream` or slug alone."""
    system, slash, slug = owner.rpartition("/")
    if slash:
        row = Connection.objects.filter(slug=system).first()
        system = row.connector if row else system
    for cls in installed().values():
        for spec in cls.streams:
            if spec.slug == slug and system in ("", cls.slug):
                yield cls, spec


def _in_stream(cls: ConnectorClass, spec: StreamSpec, path: str) -> Iterator[Reached]:
    if not path:
        yield Reached(cls.slug, spec.slug, "", (RECORD,), True, fed(spec))  # noqa: FBT003 (a row)
        return
    used = {tuple(map(attribute, p.split("."))): p for p in targets(spec)}
    found = used.get(tuple(map(attribute, path.split("."))))
    if found is not None:
        yield Reached(
            cls.slug, spec.slug, found, targets(spec)[found], demanded(spec, found), fed(spec)
        )
        return
    pulled = store.load(store.folder(cls) / "specification.json")
    shape = pulled.shape_of(cls, spec)
    names = {*targets(spec)}
    if shape is not None:
        if _has(shape, path, pulled.shapes_for(pulled.document_of(cls, spec))):
            return
        names |= {field.name for field in shape.fields}
    raise _unknown(f"{cls.slug}/{spec.slug} has no member {path!r}", path, names)


def _in_shape(cls: ConnectorClass, pulled: store.Pulled, name: str, path: str) -> Iterator[Reached]:
    """Uses of a member of a record type, wherever in the streams' records the type stands."""
    wanted = [attribute(step) for step in path.split(".")]
    for spec in cls.streams:
        if cls.published(spec) is None:
            continue
        top, fed_by = pulled.shape_of(cls, spec), targets(spec)
        shapes = pulled.shapes_for(pulled.document_of(cls, spec))
        for use in uses(spec):
            at, steps = top, use.path.split(".")
            for place, step in enumerate(steps):
                if at is None:
                    break
                here = steps[place : place + len(wanted)]
                if at.name == name and [attribute(one) for one in here] == wanted:
                    found = ".".join(steps[: place + len(wanted)])
                    yield Reached(
                        cls.slug, spec.slug, found, fed_by[found], demanded(spec, found), fed(spec)
                    )
                field = member(at, step)
                at = resolve(field.type, shapes) if field else None


def demanded(spec: StreamSpec, path: str) -> bool:
    """Whether the stream's contract breaks where the member is missing."""
    model: Any = spec.contract
    steps = path.split(".")
    for place, step in enumerate(steps):
        declared = model.model_fields.get(attribute(step))
        if declared is None:
            return False
        if place == len(steps) - 1:
            return bool(declared.is_required())
        kinds = set(plain_types(declared.annotation))
        model = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if model is None:
            return False
    return False


def _has(shape: Shape, path: str, shapes: dict[str, Shape]) -> bool:
    at: Shape | None = shape
    for step in path.split("."):
        field = member(at, step) if at is not None else None
        if field is None:
            return False
        at = resolve(field.type, shapes)
    return True


def _owners() -> set[str]:
    found: set[str] = set()
    for cls in installed().values():
        found |= {spec.slug for spec in cls.streams}
        for document in store.load(store.folder(cls) / "specification.json").documents:
            found |= {*document.shapes, *document.collections}
    return found


def _unknown(what: str, wish: str, known: set[str]) -> SpecificationError:
    near = nearest(wish, sorted(known))
    hint = f"; near it are {', '.join(near)}" if near else f"; there are {', '.join(sorted(known))}"
    return SpecificationError(what + hint)
