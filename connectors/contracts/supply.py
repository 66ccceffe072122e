"""Which entity fields nobody fills any more: every mapping to them reads what is not published.

A stream without a published shape (hand-written contracts) is taken to hold what it maps. What
carries the record as a whole, its key, its version and what is kept, takes all the fields of its
stream with it: without it the stream cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from connectors.contracts import generate, store
from connectors.contracts.uses import Missing, uses, walk
from connectors.runtime.connector import Connector, installed
from connectors.runtime.declare import StreamSpec

#: Entity and field.
Filled = tuple[str, str]


def lost(connectors: Iterable[type[Connector]] | None = None) -> Mapping[Filled, tuple[str, ...]]:
    """{(entity, field): why each of its mappings is broken}, in order of name.

    Raises SpecificationError where a stream's whole record type is not among what was pulled.
    """
    held: set[Filled] = set()
    broken: dict[Filled, dict[str, None]] = {}
    for connector in installed().values() if connectors is None else connectors:
        pulled = store.load(store.folder(connector) / "specification.json")
        for spec in connector.streams:
            for target, whys in _targets(connector, spec, pulled):
                if whys:
                    broken.setdefault(target, {}).update(dict.fromkeys(whys))
                else:
                    held.add(target)
    return {target: tuple(broken[target]) for target in sorted(broken) if target not in held}


def _targets(
    connector: type[Connector], spec: StreamSpec, pulled: store.Pulled
) -> Iterator[tuple[Filled, list[str]]]:
    """Every field that a stream fills, with what its mapping reads and is not published."""
    whys: dict[Filled, list[str]] = {}
    whole: list[str] = []
    shape = pulled.shape_of(connector, spec) if pulled.documents else None
    shapes = pulled.shapes_for(pulled.document_of(connector, spec)) if shape else {}
    for use in uses(spec):
        entity, dot, field = use.target.partition(".")
        at = whys.setdefault((entity, field), []) if dot else whole
        found = walk(shape, use.path, shapes) if shape else ()
        if isinstance(found, Missing):
            at.append(generate.lack(connector.slug, spec.slug, found, use.target))
    for target, own in whys.items():
        yield target, own + whole
