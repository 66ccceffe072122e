"""Fetches what vendors publish, through the connection's session or from files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from connectors.contracts import formats
from connectors.contracts.shape import SpecificationError
from connectors.contracts.store import Document, Pulled, beside, limited
from connectors.runtime.connector import Connector
from observability.errors import UpstreamError

#: The body at a path below the connection's address. Raises UpstreamError.
Fetch = Callable[[str], bytes]


def pull(
    connector: type[Connector],
    fetch: Fetch | None = None,
    files: Iterable[Path] = (),
    committed: Pulled | None = None,
) -> Pulled:
    """The documents of a connector's streams, limited to what streams read.

    From the files where some are given (and for streams that they say nothing of, as committed),
    else from the connection. Raises SpecificationError that
    names the document, the place and the remedy; UpstreamError where the vendor does not answer.
    """
    given = list(files)
    if given:
        found = [document(path.name, _body(path)) for path in given]
        return limited(beside(Pulled(tuple(found)), committed or Pulled()), connector)
    if fetch is None:
        raise SpecificationError(
            f"{connector.slug}: neither a connection to ask nor a file (--from) was given",
            connection=connector.slug,
        )
    found = [document(path, _fetched(fetch, path)) for path in paths(connector)]
    return limited(Pulled(tuple(found)), connector)


def paths(connector: type[Connector]) -> list[str]:
    """Where the connector's streams are described, each path once."""
    wheres = [connector.published(spec) for spec in connector.streams]
    found = list(dict.fromkeys(where.path for where in wheres if where is not None))
    if "" in found or not found:
        raise SpecificationError(
            f"{connector.label} does not publish through its API what its records look like."
            f" Give the document: `manage.py contract pull {connector.slug} --from FILE`",
            connection=connector.slug,
        )
    return found


def document(source: str, text: bytes) -> Document:
    """One document, read. Raises SpecificationError that names it."""
    said = formats.read(text, source)
    digest = hashlib.sha256(text).hexdigest()
    return Document(source, digest, said.format, said.version, said.collections, said.shapes)


def _body(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecificationError(
            f"{path}: {error.strerror}; give a file that can be read"
        ) from error


def _fetched(fetch: Fetch, path: str) -> bytes:
    try:
        return fetch(path)
    except UpstreamError as error:
        error.add_note(f"while pulling the specification at {path}")
        raise
