"""`manage.py dead_letters`: what was given up, by cause, or one by one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.replay.chosen import UnclearError
from connectors.replay.terminal import add_arguments, meant


class Command(BaseCommand):
    help = "Show dead letters that match a filter: by cause, or each with its attempts (--each)."

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)
        parser.add_argument("--each", action="store_true", help="each with its attempts")
        parser.add_argument("--limit", type=int, default=50)

    def handle(self, **options: Any) -> None:
        try:
            letters, chosen = meant(options)
        except UnclearError as error:
            raise CommandError(str(error)) from error
        dead = letters.dead(chosen)
        self.stdout.write(f"{dead.count()} dead letters in the {letters.name}")
        if options["each"]:
            for row in dead.order_by("-id")[: options["limit"]]:
                self.stdout.write(f"#{row.pk} {row}, replayed {row.replays} times")
                for entry in row.errors:
                    self.stdout.write(
                        f"    {entry['at'][:19]} attempt {entry['attempt']}:"
                        f" {entry['code']}: {entry['error']}"
                    )
            return
        for cause in letters.causes(chosen, options["limit"]):
            place = ".".join(filter(None, cause.places))
            self.stdout.write(
                f"{cause.count:>6}  {cause.key}  {place}  {cause.code}: {cause.error}"
                f"  ({cause.first:%F %T} to {cause.last:%F %T}, sample #{cause.sample})"
            )
