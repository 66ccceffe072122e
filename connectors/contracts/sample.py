"""A payload that keeps to a shape, made from the shape alone: to show, and to prove contracts with."""

from __future__ import annotations

from typing import Any

from connectors.contracts.shape import Kind, Shape, SpecificationError, Type

#: By kind and spelling. Texts are cut to the type's length.
VALUES: dict[tuple[Kind, str], Any] = {
    (Kind.INTEGER, "text"): "7",
    (Kind.INTEGER, "unix"): 1767225600,
    (Kind.INTEGER, ""): 7,
    (Kind.NUMBER, "text"): "7.5",
    (Kind.NUMBER, ""): 7.5,
    (Kind.DECIMAL, ""): "7.50",
    (Kind.DECIMAL, "text"): "7.50",
    (Kind.BOOLEAN, ""): True,
    (Kind.BOOLEAN, "text"): "true",
    (Kind.MOMENT, ""): "2026-01-01T12:00:00Z",
    (Kind.MOMENT, "local"): "2026-01-01T12:00:00",
    (Kind.MOMENT, "odata2"): "/Date(1767225600000)/",
    (Kind.DAY, ""): "2026-01-01",
    (Kind.CLOCK, ""): "12:00:00",
    (Kind.CLOCK, "odata2"): "PT12H00M00S",
    (Kind.DURATION, ""): "PT1H",
    (Kind.UUID, ""): "123e4567-e89b-12d3-a456-426614174000",
    (Kind.BINARY, ""): "AA==",
    (Kind.ANY, ""): {"any": "thing"},
}
COMPOSED = (Kind.OBJECT, Kind.UNION, Kind.LIST, Kind.MAP)
#: Deeper than this no published record nests by necessity: it would contain itself.
DEEPEST = 40


def sample(shape: Shape, shapes: dict[str, Shape], depth: int = 0) -> Any:
    """A record with every member; inside it, those that must be there.

    Raises SpecificationError for a shape that cannot exist, as it requires itself.
    """
    if depth > DEEPEST:
        raise SpecificationError(f"type {shape.name!r} requires itself; no record can have it")
    if shape.root is not None:
        return _value(shape.root, shapes, depth)
    return {
        field.name: _value(field.type, shapes, depth)
        for field in shape.fields
        if depth == 0 or field.presence == "always"
    }


def _value(kind: Type, shapes: dict[str, Shape], depth: int) -> Any:
    if kind.nullable and depth > 0:
        return None
    if kind.choices:
        return kind.choices[0]
    if kind.kind is Kind.TEXT:
        return "text"[: kind.max_length]
    return _composed(kind, shapes, depth) if kind.kind in COMPOSED else VALUES[kind.kind, kind.wire]


def _composed(kind: Type, shapes: dict[str, Shape], depth: int) -> Any:
    if kind.kind is Kind.OBJECT:
        inner = shapes.get(kind.of)
        return {} if inner is None else sample(inner, shapes, depth + 1)
    if kind.kind is Kind.UNION:
        # A value before an object, so that types which refer to one another come to an end.
        options = sorted(kind.any_of, key=lambda one: bool(one.of))
        return _value(options[0], shapes, depth)
    items = [] if depth > 0 or kind.items is None else [_value(kind.items, shapes, depth + 1)]
    return items if kind.kind is Kind.LIST else {f"name {n}": item for n, item in enumerate(items)}
