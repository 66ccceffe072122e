"""What was pulled, as it is committed beside the connector: `specification.json`.

One member of a shape a line, in the document's order, so that git shows what a vendor changed. Of
each document the shapes are kept that streams read, whole; a contract is limited to what is used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from connectors.contracts.shape import (
    Shape,
    Specification,
    SpecificationError,
    Type,
    nearest,
    resolve,
)
from connectors.contracts.uses import Missing, uses, walk
from connectors.runtime.connector import Connector
from connectors.runtime.declare import StreamSpec


class Document(msgspec.Struct, frozen=True):
    """One document as it was pulled. `source` is its path below the connection, or a file's name."""

    source: str
    sha256: str
    format: str
    version: str
    collections: dict[str, str]
    shapes: dict[str, Shape]

    def specification(self) -> Specification:
        """The document as its reader gave it, limited to the shapes that were kept."""
        return Specification(self.format, self.version, self.shapes, self.collections)


class Pulled(msgspec.Struct, frozen=True):
    """All documents of a connector."""

    documents: tuple[Document, ...] = ()

    def shape_of(self, connector: type[Connector], spec: StreamSpec) -> Shape | None:
        """The shape of a stream's records; None where the connector says that none is published.

        Raises SpecificationError where it is published and was not pulled.
        """
        where = connector.published(spec)
        if where is None:
            return None
        return self.document_of(connector, spec).specification().shape(where.shape)

    def document_of(self, connector: type[Connector], spec: StreamSpec) -> Document:
        """The document that describes a stream's records. Raises SpecificationError."""
        where = connector.published(spec)
        name = where.shape if where else ""
        path = where.path if where else ""
        able = [d for d in self.documents if name in d.shapes or name in d.collections]
        for document in sorted(able, key=lambda d: d.source != path):
            return document
        near = nearest(name, [n for d in self.documents for n in (*d.collections, *d.shapes)])
        hint = f"; near it are {', '.join(near)}" if near else ""
        remedy = f"`manage.py contract pull {connector.slug}" + ("" if path else " --from FILE")
        raise SpecificationError(
            f"{connector.slug}/{spec.slug} reads {name!r}, and no document that was pulled has it"
            f"{hint}. Run {remedy}`, with the document that has it",
            connection=connector.slug,
            stream=spec.slug,
        )

    def shapes_for(self, document: Document) -> dict[str, Shape]:
        """All shapes by name, the document's own before those of others."""
        others = {name: shape for d in self.documents for name, shape in d.shapes.items()}
        return {**others, **document.shapes}


def folder(connector: type[Connector]) -> Path:
    """The folder of a connector's code."""
    return Path(sys.modules[connector.__module__].__file__ or "").resolve().parent


def load(path: Path) -> Pulled:
    """What was committed; nothing where there is no file. Raises SpecificationError."""
    if not path.exists():
        return Pulled()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Pulled)
    except msgspec.DecodeError as error:
        raise SpecificationError(
            f"{path}: {error}. Was it edited or merged by hand? Pull it again"
        ) from error


def dump(pulled: Pulled) -> str:
    """The file's text."""
    return '{"documents": [\n' + ",\n".join(_document(d) for d in pulled.documents) + "\n]}\n"


def _document(one: Document) -> str:
    head = {
        "source": one.source, "sha256": one.sha256, "format": one.format,
        "version": one.version, "collections": one.collections,
    }  # fmt: skip
    shapes = ",\n".join(f"    {_json(n)}: {_shape(shape)}" for n, shape in one.shapes.items())
    start = ",\n".join(f"  {_json(name)}: {_json(value)}" for name, value in head.items())
    return f'{{\n{start},\n  "shapes": {{\n{shapes}\n  }}\n}}'


def _shape(shape: Shape) -> str:
    start = f'{{"name": {_json(shape.name)}, "keys": {_json(shape.keys)}'
    if shape.root is not None:
        return f'{start}, "root": {_json(shape.root)}}}'
    fields = ",\n".join(f"      {_json(field)}" for field in shape.fields)
    return f'{start}, "fields": [\n{fields}\n    ]}}'


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def beside(new: Pulled, old: Pulled) -> Pulled:
    """The new documents, and of the old ones what the new do not have."""
    known = {name for d in new.documents for name in (*d.shapes, *d.collections)}
    rest = [
        msgspec.structs.replace(
            d,
            shapes={n: s for n, s in d.shapes.items() if n not in known},
            collections={c: n for c, n in d.collections.items() if c not in known},
        )
        for d in old.documents
    ]
    return Pulled((*new.documents, *(d for d in rest if d.shapes)))


def limited(pulled: Pulled, connector: type[Connector]) -> Pulled:
    """Without the shapes that no stream reads."""
    kept: dict[str, set[str]] = {d.source: set() for d in pulled.documents}
    for spec in connector.streams:
        if connector.published(spec) is None:
            continue
        document = pulled.document_of(connector, spec)
        shape = pulled.shape_of(connector, spec)
        shapes = pulled.shapes_for(document)
        for name in _reached(spec, shape, shapes) if shape else ():
            owners = (document, *pulled.documents)
            owner = next((one for one in owners if name in one.shapes), document)
            kept[owner.source].add(name)
    return Pulled(
        tuple(
            msgspec.structs.replace(
                d,
                shapes={n: s for n, s in d.shapes.items() if n in kept[d.source]},
                collections={c: n for c, n in d.collections.items() if n in kept[d.source]},
            )
            for d in pulled.documents
            if kept[d.source]
        )
    )


def _reached(spec: StreamSpec, shape: Shape, shapes: dict[str, Shape]) -> Iterable[str]:
    """The shapes on the way to what a stream uses."""
    yield shape.name
    for use in uses(spec):
        found = walk(shape, use.path, shapes)
        if not isinstance(found, Missing):
            yield from _inside([field.type for field in found], shapes)


def _inside(kinds: list[Type], shapes: dict[str, Shape]) -> Iterable[str]:
    for kind in kinds:
        inner = resolve(kind, shapes)
        if inner is not None:
            yield inner.name
