"""`manage.py derived`: whether every derived column equals what the rows below it say."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from catalog.derived import RENEWED_AT_ONCE, renew, wrong
from catalog.entities import derived_fields, entities

SHOWN = 10


class Command(BaseCommand):
    help = "Compare the derived columns of every record with what its parts say."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--mend", action="store_true", help="derive anew what differs")

    def handle(self, *, mend: bool, **_options: Any) -> None:
        left = 0
        for name, cls in sorted(entities().items()):
            if not derived_fields(cls, served=False):
                continue
            keys = wrong(cls)
            shown = (
                f": {', '.join(keys[:SHOWN])}{' …' if len(keys) > SHOWN else ''}" if keys else ""
            )
            self.stdout.write(f"{name}: {len(keys)} differ{shown}")
            if mend:
                for first in range(0, len(keys), RENEWED_AT_ONCE):
                    renew(cls, keys[first : first + RENEWED_AT_ONCE])
                self.stdout.write(f"{name}: {len(keys)} derived anew")
            else:
                left += len(keys)
        if left:
            raise SystemExit(1)
