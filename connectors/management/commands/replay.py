"""`manage.py replay`: put dead letters back into their box; `--dry-run` shows what that would do."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from connectors.replay.chosen import UnclearError
from connectors.replay.terminal import add_arguments, as_text, meant


class Command(BaseCommand):
    help = "Replay the dead letters that match a filter; an empty filter is refused."

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="change nothing, call nobody")
        parser.add_argument("--by", default="", help="who asks; the system's user if not given")

    def handle(self, **options: Any) -> None:
        try:
            letters, chosen = meant(options)
            if options["dry_run"]:
                count = letters.dead(chosen.needed()).count()
                for line in as_text(letters.dry_run(chosen), count):
                    self.stdout.write(line)
                return
            by = options["by"] or f"{getpass.getuser()}, by command"
            count = letters.replay(chosen, by)
        except UnclearError as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            raise CommandError(f"Nothing was changed; try again: {error}") from error
        self.stdout.write(f"{count} dead letters are in the {letters.name} again")
