"""`manage.py contract pull|generate|diff|check|drift`: contracts from what vendors publish.

pull      fetch the specifications of a connector and commit them as `specification.json`
generate  write `published.py` from it, limited to what the streams use; or any document whole
diff      what changed since: against the connection, a file, or between two files
check     exit 1 where mappings, contracts and what is published disagree about a used member
drift     what the records of the last week departed in, additive drift included

Floors above add actions of their own (`connectors.contracts.actions`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.contracts import actions, check, diff, generate, store
from connectors.contracts.pull import Fetch, document, pull
from connectors.contracts.shape import SpecificationError
from connectors.contracts.source import Wanted, Writer
from connectors.drift import weekly
from connectors.models import Connection
from connectors.runtime.connector import Connector, connector_class, installed
from observability.errors import HubError


class Command(BaseCommand):
    help = "Contracts from what vendors publish: pull, generate, diff, check, drift."

    def add_arguments(self, parser: CommandParser) -> None:
        chosen = parser.add_subparsers(dest="action", required=True)
        added = actions.added()
        for name, doc in (
            ("pull", "fetch and commit the specification"),
            ("generate", "write the contracts"),
            ("diff", "list what changed since the commit"),
            ("check", "exit 1 on a disagreement"),
            *((name, action.help) for name, action in added.items()),
        ):
            one = chosen.add_parser(name, help=doc)
            one.add_argument("connector", nargs="*", help="folders of connectors; none: all")
            one.add_argument("--from", dest="files", nargs="+", type=Path, default=[],
                             help="documents, in place of asking the connection")  # fmt: skip
            one.add_argument("--connection", help="the connection to ask; else its only one")
            one.add_argument("--to", type=Path, help="folder to write to, not the connector's")
            if name in added:
                added[name].add_arguments(one)
            if name == "diff":
                one.add_argument("--json", action="store_true", help="for machines")
                one.add_argument("--between", nargs=2, type=Path, metavar=("OLD", "NEW"))
            if name == "check":
                one.add_argument(
                    "--offline", action="store_true", help="compare what is committed alone"
                )
        one = chosen.add_parser("drift", help="list what records departed in")
        one.add_argument("connection", nargs="*", help="slugs of connections; none: all")
        one.add_argument("--days", type=int, default=7, help="how far back; 7 without it")

    def handle(self, *, action: str, **options: Any) -> None:
        added = actions.added().get(action)
        try:
            if added is None:
                getattr(self, f"_{action}")(**options)
            elif code := added.run(options, partial(_all_changes, **options), self.stdout.write):
                sys.exit(code)
        except HubError as error:
            notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
            said = f"{error.message}{notes}"
            raise CommandError(said, returncode=2 if added else 1) from error

    # --- the five --------------------------------------------------------------------------------

    def _pull(self, connector: list[str], to: Path | None, **asked: Any) -> None:
        for cls in _chosen(connector):
            path = (to or store.folder(cls)) / "specification.json"
            pulled = _now(cls, store.load(path), asked)
            path.write_text(store.dump(pulled))
            shapes = sum(len(d.shapes) for d in pulled.documents)
            self.stdout.write(f"{cls.slug}: {len(pulled.documents)} documents, {shapes} types kept")

    def _generate(self, connector: list[str], to: Path | None, files: list[Path], **_: Any) -> None:
        if files and not connector:
            self._whole(files, to or Path())
            return
        for cls in _chosen(connector):
            pulled = pull(cls, None, files) if files else _committed(cls, to)
            path = (to or store.folder(cls)) / "published.py"
            path.write_text(generate.module(cls, pulled))
            self.stdout.write(f"{cls.slug}: {path.name} written")

    def _whole(self, files: list[Path], to: Path) -> None:
        """Every type of a document, for a connector that is yet to be written."""
        for file in files:
            said = document(file.name, file.read_bytes())
            writer = Writer(said.shapes, [Wanted(shape) for shape in said.shapes.values()])
            path = to / f"{file.name.split('.')[0].lower().replace('-', '_')}.py"
            path.write_text(writer.module(f"Every type of {file.name} ({said.format})."))
            self.stdout.write(f"{path.name}: {len(said.shapes)} types")

    def _diff(self, connector: list[str], to: Path | None, **asked: Any) -> None:
        if asked["between"]:
            old, new = (document(path.name, path.read_bytes()) for path in asked["between"])
            changes = {"": diff.documents(old.shapes, new.shapes)}
        else:
            found = _all_changes(connector, to, **asked)
            changes = {"/".join(stream): some for stream, some in found.items()}
        if asked["json"]:
            rows = [{"stream": s, **asdict(c)} for s, some in changes.items() for c in some]
            self.stdout.write(msgspec.json.encode(rows).decode())
            return
        for line in _told(changes):
            self.stdout.write(line)

    def _check(self, connector: list[str], to: Path | None, **asked: Any) -> None:
        wrong: list[str] = []
        for cls in _chosen(connector):
            committed = store.load((to or store.folder(cls)) / "specification.json")
            if not committed.documents and not connector:
                self.stdout.write(f"{cls.slug}: no specification is committed; not checked")
                continue
            module = (to or store.folder(cls)) / "published.py"
            found = check.offline(cls, committed, module)
            if not found and not asked["offline"]:
                found = check.disagreements(_changes(cls, to, asked))
            wrong += [f"{cls.slug}/{one.stream}: {one.message}" for one in found]
            if not found:
                self.stdout.write(f"{cls.slug}: agrees")
        if wrong:
            self.stderr.write("\n".join(wrong))
            sys.exit(1)

    def _drift(self, connection: list[str], days: int, **_: Any) -> None:
        lines = list(weekly.lines(connection, days))
        for line in lines or [f"no drift in {days} days"]:
            self.stdout.write(line)


def _chosen(slugs: list[str]) -> list[type[Connector]]:
    """The connectors named; without a name, those with a stream that is published by the API."""
    if slugs:
        return [connector_class(slug) for slug in slugs]
    return [
        cls for cls in installed().values()
        if any((where := cls.published(spec)) and where.path for spec in cls.streams)
    ]  # fmt: skip


def _committed(cls: type[Connector], to: Path | None) -> store.Pulled:
    found = store.load((to or store.folder(cls)) / "specification.json")
    if not found.documents:
        raise SpecificationError(
            f"{cls.slug}: nothing was pulled yet; run `manage.py contract pull {cls.slug}`"
        )
    return found


def _all_changes(connector: list[str], to: Path | None, **asked: Any) -> actions.Changes:
    return {
        (cls.slug, stream): some
        for cls in _chosen(connector)
        for stream, some in _changes(cls, to, asked).items()
    }


def _changes(
    cls: type[Connector], to: Path | None, asked: dict[str, Any]
) -> dict[str, list[diff.Change]]:
    committed = _committed(cls, to)
    return check.published(cls, committed, _now(cls, committed, asked))


def _now(cls: type[Connector], committed: store.Pulled, asked: dict[str, Any]) -> store.Pulled:
    """What is published, by the files that were given or by the connection."""
    files = asked["files"]
    return pull(cls, None if files else _fetch(cls, asked), files, committed)


def _fetch(cls: type[Connector], asked: dict[str, Any]) -> Fetch:
    """Through the session of the connection that was named, or of the only one there is."""
    rows = Connection.objects.filter(connector=cls.slug)
    if asked["connection"]:
        rows = rows.filter(slug=asked["connection"])
    found = list(rows[:2])
    if len(found) != 1:
        why = "several connections use" if found else "no connection uses"
        remedy = "name one with --connection" if found else "connect one, or give files with --from"
        raise SpecificationError(f"{why} the connector {cls.slug}: {remedy}", connection=cls.slug)
    return found[0].open().session.get_bytes


def _told(changes: dict[str, list[diff.Change]]) -> Iterable[str]:
    if not any(changes.values()):
        yield "no change"
    for stream, some in changes.items():
        for one in some:
            feeds = f" -> {', '.join(one.feeds)}" if one.feeds else ""
            where = f"{stream}: " if stream else ""
            yield f"{one.severity:<9} {where}{one.place} {one.what}: {one.reason}{feeds}"
