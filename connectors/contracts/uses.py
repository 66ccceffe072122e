"""What a stream uses of the record type that it reads, and where in a shape that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.contracts.names import attribute
from connectors.contracts.shape import Field, Shape, nearest, resolve
from connectors.runtime.declare import FieldMap, StreamSpec, source

#: The members that are used, each with those inside it: {"to_Item": {"results": {"Material": {}}}}
Tree = Mapping[str, "Tree"]


@dataclass(frozen=True, slots=True)
class Use:
    """A dotted path into the record, and what becomes of the value there."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A path that the shape lacks: the first step that is not there, and what looks like it."""

    path: str
    step: str
    shape: str
    near: tuple[str, ...]


def uses(spec: StreamSpec) -> tuple[Use, ...]:
    """Every use, the mapped fields first, in the order of the declaration."""
    found = [*_mapped(spec.fields, spec.entity)]
    for child in spec.children:
        found += _mapped(child.fields, child.entity, f"{child.attribute}.")
        found += _mapped(child.parent_fields, child.entity)
    found += [Use(path, "the record's key") for path in spec.record_key]
    if spec.version:
        found += [Use(path, "the record's version") for path in spec.version.paths]
    found += [Use(path, "kept") for path in spec.keeps]
    return tuple(found)


def _mapped(fields: FieldMap, entity: str, prefix: str = "") -> Iterable[Use]:
    for name, entry in fields.items():
        for path in source(entry).paths:
            yield Use(prefix + path, f"{entity}.{name}")


def targets(spec: StreamSpec) -> dict[str, tuple[str, ...]]:
    """What each path feeds; for a path and for every step on the way to it."""
    found: dict[str, dict[str, None]] = {}
    for use in uses(spec):
        steps = use.path.split(".")
        for length in range(1, len(steps) + 1):
            found.setdefault(".".join(steps[:length]), {})[use.target] = None
    return {path: tuple(fed) for path, fed in found.items()}


def walk(shape: Shape, path: str, shapes: dict[str, Shape]) -> tuple[Field, ...] | Missing:
    """The members along a path. It ends early where the document does not describe what is inside."""
    found: list[Field] = []
    at: Shape | None = shape
    for step in path.split("."):
        if at is None or at.root is not None:
            break
        field = member(at, step)
        if field is None:
            near = tuple(nearest(step, [f.name for f in at.fields]))
            return Missing(path, step, at.name, near)
        found.append(field)
        at = resolve(field.type, shapes)
    return tuple(found)


def member(shape: Shape, step: str) -> Field | None:
    """A member by the vendor's name, or by the attribute that it has in a contract."""
    return shape.field(step) or next((f for f in shape.fields if attribute(f.name) == step), None)


def tree(paths: Iterable[str]) -> Tree:
    """The paths as a tree."""
    root: dict[str, dict[str, object]] = {}
    for path in paths:
        at = root
        for step in path.split("."):
            at = at.setdefault(step, {})  # type: ignore[assignment]
    return root  # type: ignore[return-value]
