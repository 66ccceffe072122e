"""A record read in spite of its breaches: contracts and mappings that leave a value out.

A value that is left out must never become part of a key. So keys, versions and deletions are read
from a record in which it is `ABSENT`, which refuses every use: a record that cannot be named
without the value is quarantined, whatever the policy says.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BeforeValidator, Field, create_model

from connectors.runtime.declare import Child, Contract, FieldMap, StreamSpec, source

NEEDED = "a value that the policy leaves out is needed for the record's key, version or deletion"


class Absent:
    """What stands for a value that was left out: any use of it raises ValueError."""

    def _refuse(self, *_: Any) -> Any:
        raise ValueError(NEEDED)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ValueError(NEEDED)

    __str__ = __format__ = __bool__ = __eq__ = __lt__ = __gt__ = __le__ = __ge__ = _refuse
    __hash__ = __iter__ = __len__ = __int__ = __float__ = __getitem__ = __add__ = __sub__ = _refuse
    __contains__ = __truediv__ = __mul__ = _refuse


ABSENT = Absent()


@lru_cache(maxsize=256)
def lenient(contract: type[Contract], paths: frozenset[str], *, as_it_came: bool) -> type[Contract]:
    """The contract without a demand on some members: as they came, or absent."""
    inner: dict[str, set[str]] = {}
    for path in paths:
        first, _, rest = path.partition(".")
        inner.setdefault(first, set()).add(rest)
    changed: dict[str, Any] = {}
    for name, info in contract.model_fields.items():
        spelled = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        wanted = inner.get(spelled or name)
        if wanted is None:
            continue
        alias: dict[str, Any] = {} if not spelled else {"alias": spelled}
        if "" in wanted:
            gone = Annotated[Any, BeforeValidator(lambda _: ABSENT)]
            changed[name] = (
                (Any, Field(default=None, **alias)) if as_it_came
                else (gone, Field(default_factory=lambda: ABSENT, **alias))
            )  # fmt: skip
            continue
        nested = _with_contracts(
            info.annotation,
            lambda cls, w=frozenset(wanted): lenient(cls, w, as_it_came=as_it_came),  # type: ignore[misc]
        )
        for note in info.metadata:
            nested = Annotated[nested, note]
        if info.is_required():
            changed[name] = (nested, Field(**alias))
        else:
            changed[name] = (nested, Field(default_factory=info.get_default, **alias))
    return create_model(contract.__name__, __base__=contract, **changed)


def _with_contracts(annotation: Any, made: Callable[[type[Contract]], Any]) -> Any:
    """The annotation with each contract in it replaced."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Contract):
        return made(annotation)
    if origin is None:
        return annotation
    inner = tuple(_with_contracts(one, made) for one in arguments)
    if origin in (Union, types.UnionType):
        return Union[inner]  # noqa: UP007 (made of a tuple)
    return Annotated[inner] if origin is Annotated else origin[inner]


def without(spec: StreamSpec, paths: Collection[str]) -> StreamSpec:
    """The mapping without the fields that are read from some members."""
    return replace(
        spec,
        fields=_kept(spec.fields, "", paths),
        children=tuple(
            replace(
                child,
                fields=_kept(child.fields, f"{child.attribute}.", paths),
                parent_fields=_kept(child.parent_fields, "", paths),
            )
            for child in spec.children
        ),
    )


def left_out(spec: StreamSpec, paths: Collection[str]) -> Mapping[str, frozenset[str]]:
    """By slug of the stream and its children: the entity fields that `without` leaves out."""
    less = without(spec, paths)
    return {
        whole.slug: frozenset(_names(whole)) - _names(part)
        for whole, part in zip((spec, *spec.children), (less, *less.children), strict=True)
    }


def _names(part: Any) -> set[str]:
    return {*part.fields, *(part.parent_fields if isinstance(part, Child) else ())}


def _kept(fields: FieldMap, prefix: str, paths: Collection[str]) -> FieldMap:
    return {
        name: entry
        for name, entry in fields.items()
        if not any(_touch(prefix + used, path) for used in source(entry).paths for path in paths)
    }


def _touch(one: str, other: str) -> bool:
    """Whether one is the other, or lies in it."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")
