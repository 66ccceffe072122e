"""From what was pulled to a connector's module of contracts, `published.py`."""

from __future__ import annotations

from connectors.contracts.shape import SpecificationError
from connectors.contracts.source import Wanted, Writer
from connectors.contracts.store import Pulled
from connectors.contracts.uses import Missing, tree, uses, walk
from connectors.runtime.connector import Connector


def module(connector: type[Connector], pulled: Pulled) -> str:
    """The module's text: a contract for each stream whose records are published.

    Raises SpecificationError that lists every mapped member that is not published, each with the
    stream, what it feeds and what it may be called now.
    """
    wanted: list[Wanted] = []
    lacking: list[str] = []
    shapes = {n: s for d in reversed(pulled.documents) for n, s in d.shapes.items()}
    for spec in connector.streams:
        shape = pulled.shape_of(connector, spec)
        if shape is None:
            continue
        used = uses(spec)
        for use in used:
            found = walk(shape, use.path, shapes)
            if isinstance(found, Missing):
                lacking.append(lack(connector.slug, spec.slug, found, use.target))
        wanted.append(Wanted(shape, tree(use.path for use in used)))
    if lacking:
        raise SpecificationError("\n".join(dict.fromkeys(lacking)), connection=connector.slug)
    if not wanted:
        raise SpecificationError(
            f"{connector.slug}: no stream says where its records are published."
            " Give the connector a `published` method",
            connection=connector.slug,
        )
    versions = ", ".join(dict.fromkeys(f"{d.format} {d.version}".strip() for d in pulled.documents))
    return Writer(shapes, wanted).module(f"What {connector.label} publishes ({versions}).")


def lack(connector: str, stream: str, missing: Missing, target: str) -> str:
    """A sentence about a used member that is not published."""
    hint = f" It may be called {' or '.join(missing.near)} now." if missing.near else ""
    return (
        f"{connector}/{stream}: {missing.shape} publishes no {missing.step!r} ({missing.path},"
        f" which feeds {target}).{hint} Change the mapping in connectors/{connector}"
    )
