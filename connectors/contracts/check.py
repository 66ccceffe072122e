"""Whether what is committed still agrees: with the mappings, the contracts and what is published."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from connectors.contracts import generate
from connectors.contracts.diff import Change, Reading, Severity
from connectors.contracts.names import attribute
from connectors.contracts.shape import Kind, Shape, SpecificationError, Type
from connectors.contracts.store import Pulled
from connectors.contracts.uses import Missing, targets, uses, walk
from connectors.runtime.connector import Connector
from connectors.runtime.declare import StreamSpec

#: What a contract may make of a value; a text is always taken, as it came.
READ_AS: dict[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str, Decimal, datetime, date, time, UUID),
    Kind.INTEGER: (int, float, Decimal),
    Kind.NUMBER: (float, Decimal),
    Kind.DECIMAL: (Decimal, str),
    Kind.BOOLEAN: (bool,),
    Kind.MOMENT: (datetime, str),
    Kind.DAY: (date, datetime, str),
    Kind.CLOCK: (time, str),
    Kind.DURATION: (timedelta, str),
    Kind.UUID: (UUID, str),
    Kind.BINARY: (str, bytes),
    Kind.OBJECT: (BaseModel, dict),
    Kind.MAP: (BaseModel, dict),
    Kind.LIST: (list, tuple),
}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Something that has to be mended before records are read. The message says what and how."""

    stream: str
    message: str


def offline(connector: type[Connector], pulled: Pulled, module: Path) -> list[Disagreement]:
    """What disagrees among the committed: the mappings, the contracts, the generated module."""
    found: list[Disagreement] = []
    for spec in connector.streams:
        try:
            shape = pulled.shape_of(connector, spec)
        except SpecificationError as error:
            found.append(Disagreement(spec.slug, error.message))
            continue
        if shape is not None:
            shapes = pulled.shapes_for(pulled.document_of(connector, spec))
            told = contract_disagreements(connector.slug, spec, shape, shapes)
            found += [Disagreement(spec.slug, message) for message in told]
    if not found and pulled.documents:
        written = module.read_text() if module.exists() else ""
        if written != generate.module(connector, pulled):
            remedy = f"run `manage.py contract generate {connector.slug}`"
            found.append(
                Disagreement("*", f"{module.name} is not what the specification makes: {remedy}")
            )
    return found


def contract_disagreements(
    connector: str, spec: StreamSpec, shape: Shape, shapes: dict[str, Shape]
) -> Iterator[str]:
    """Where a stream's mapping or its contract does not fit the shape."""
    for use in uses(spec):
        found = walk(shape, use.path, shapes)
        if isinstance(found, Missing):
            yield generate.lack(connector, spec.slug, found, use.target)
            continue
        model: Any = spec.contract
        for field in found:
            if not (isinstance(model, type) and issubclass(model, BaseModel)):
                break
            declared = model.model_fields.get(attribute(field.name))
            place = f"{spec.contract.__name__}: {use.path}"
            if declared is None:
                yield (
                    f"{place} is used for {use.target} and the contract lacks {field.name!r};"
                    " add it, or take the generated class as the contract"
                )
                break
            kinds = set(plain_types(declared.annotation))
            if not _fits(kinds, field.type):
                names = ", ".join(sorted(k.__name__ for k in kinds))
                yield (
                    f"{place}: the contract reads {field.name!r} as {names}, published is"
                    f" {field.type.kind}; correct the contract in connectors/{connector}/contracts.py"
                )
                break
            model = next((k for k in kinds if issubclass(k, BaseModel)), None)


def _fits(kinds: set[type], published: Type) -> bool:
    if not kinds or published.kind is Kind.ANY:
        return True
    if published.kind is Kind.UNION:
        return any(_fits(kinds, one) for one in published.any_of)
    read_as = READ_AS[published.kind]
    return any(issubclass(kind, read_as) for kind in kinds)


def plain_types(annotation: Any) -> Iterator[type]:
    """The plain types in an annotation: of `list[Item] | None`, list and Item; of Any, none."""
    origin = get_origin(annotation)
    if annotation is AwareDatetime:
        yield datetime
    elif origin is Annotated:
        yield from plain_types(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from plain_types(one)
    elif origin is Literal:
        yield from {type(one) for one in get_args(annotation)}
    elif isinstance(origin, type):
        yield origin
        for one in get_args(annotation) if issubclass(origin, list) else ():
            yield from plain_types(one)
    elif isinstance(annotation, type) and annotation is not type(None) and annotation is not object:
        yield annotation


def published(
    connector: type[Connector], committed: Pulled, now: Pulled
) -> dict[str, list[Change]]:
    """By stream: what changed since the commit, the worst first. Raises SpecificationError."""
    found: dict[str, list[Change]] = {}
    for spec in connector.streams:
        old = committed.shape_of(connector, spec)
        new = now.shape_of(connector, spec)
        if old is None or new is None:
            continue
        olds = committed.shapes_for(committed.document_of(connector, spec))
        news = now.shapes_for(now.document_of(connector, spec))
        found[spec.slug] = Reading(olds, news, targets(spec)).changes(old, new)
    return found


def disagreements(changes: dict[str, list[Change]]) -> list[Disagreement]:
    """The changes that a build must not pass: of used members, all but the safe ones."""
    return [
        Disagreement(
            slug,
            f"{change.place} {change.what} ({change.severity}: {change.reason})."
            f" It feeds {', '.join(change.feeds) or 'every record'}."
            " Adapt the mapping, then `contract pull` and `contract generate`",
        )
        for slug, some in changes.items()
        for change in some
        if change.severity is not Severity.SAFE
    ]
