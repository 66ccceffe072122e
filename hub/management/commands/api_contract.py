"""`manage.py api_contract write|check|usage`: our own contract outward, committed in `hub/contract`.

write  commit what is served; refuses what breaks callers and was not announced
check  exit 1 where the committed contract is not what is served
usage  who read a field in the last 30 days; without one, every deprecated field: exit 1 where its
       sunset has come and somebody still reads it
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalog.entities import entities
from hub.contract import outward
from hub.contract.compare import breaks
from hub.usage import report
from hub.usage.uses import Field


class Command(BaseCommand):
    help = "The committed OpenAPI document and SDL: write, check; who reads what of them."

    def add_arguments(self, parser: CommandParser) -> None:
        chosen = parser.add_subparsers(dest="action", required=True)
        chosen.add_parser("write", help="commit what is served")
        chosen.add_parser("check", help="exit 1 where it is not what is committed")
        usage = chosen.add_parser("usage", help="who reads a field")
        usage.add_argument("fields", nargs="*", metavar="product.description")
        usage.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "usage":
            self._usage(**options)
        else:
            self._compare(action)

    def _compare(self, action: str) -> None:
        old, new = outward.committed(), outward.served()
        today = timezone.now().date()
        early = [str(one) for one in breaks(old, new) if not one.due(today)]
        if early:
            raise CommandError("callers would break:\n" + "\n".join(early))
        if action == "write":
            for name, text in new.items():
                (outward.FOLDER / name).write_text(text)
            self.stdout.write(f"written: {', '.join(new)}")
        elif stale := [name for name in new if old.get(name) != new[name]]:
            raise CommandError(
                f"not what is served: {', '.join(stale)}. Run `manage.py api_contract write`"
            )
        else:
            self.stdout.write("what is served is what is committed")

    def _usage(self, fields: Sequence[str], *, json: bool, **_options: Any) -> None:
        try:
            asked = [report.named(name) for name in fields] or report.deprecated_fields()
        except LookupError as error:
            raise CommandError(str(error.args[0]), returncode=2) from error
        found = {field: report.keys_reading([field]) for field in asked}
        today, since = timezone.now().date(), report.counted_since()
        if json:
            rows = [
                {
                    "field": ".".join(field),
                    "sunset": sunset(field),
                    "counted_since": since,
                    "keys": [asdict(key) for key in keys],
                }
                for field, keys in found.items()
            ]
            self.stdout.write(msgspec.json.encode(rows).decode())
        else:
            self.stdout.write("\n".join(told(found, since)) or "no field is deprecated")
        if any(keys and (day := sunset(f)) and day <= today for f, keys in found.items()):
            sys.exit(1)


def sunset(field: Field) -> date | None:
    """The day of a field's removal, if it was announced."""
    marked = entities()[field[0]].declaration.deprecated.get(field[1])
    return marked.sunset if marked else None


def told(found: dict[Field, list[report.KeyTraffic]], since: date | None) -> Iterator[str]:
    """Each field with its readers, in lines for people."""
    for field, keys in found.items():
        goes = f", goes on {day}" if (day := sunset(field)) else ""
        yield f"{'.'.join(field)}{goes}"
        for key in keys:
            gone = ", revoked" if key.revoked else ""
            yield f"{key.requests:>10}  {key.name} ({key.shown_as}{gone}), the last on {key.last_day}"
        if not keys:
            known = f"since {since}" if since else "and nothing was counted yet"
            yield f"            nobody in {report.DAYS} days ({known})"
