"""`manage.py erase_person customer 4711`: the dry run; with `--yes` it is done, and certified."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.console.erasures import lines
from hub.erasure.find import find
from hub.erasure.models import Erasure
from hub.erasure.run import begin, go_on, rehearse, signed
from observability.errors import ConflictError


class Command(BaseCommand):
    help = "Erase all that is kept about a person. Without --yes: what that would be."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("entity", nargs="?", help="for example customer")
        parser.add_argument("key", nargs="?", help="its natural key")
        parser.add_argument("--yes", action="store_true", help="do it; it cannot be taken back")
        parser.add_argument("--reason", default="", help="for example by whose request")
        parser.add_argument("--go-on", action="store_true", help="with those that were broken off")
        parser.add_argument(
            "--verify", type=Path, metavar="FILE", help="whether a certificate is ours"
        )

    def handle(self, **options: Any) -> None:
        if options["verify"]:
            self._verify(options["verify"])
        elif options["go_on"]:
            for erasure in Erasure.objects.filter(state=Erasure.State.RUNNING):
                self._finish(erasure)
        elif not (options["entity"] and options["key"]):
            raise CommandError("name the entity and its key: manage.py erase_person customer 4711")
        else:
            self._erase(**options)

    def _erase(self, *, entity: str, key: str, yes: bool, reason: str, **_options: Any) -> None:
        try:
            if not yes:
                for name, what in lines(rehearse(find(entity, key))):
                    self.stdout.write(f"{name:<16}{what}")
                self.stdout.write("Nothing was changed. --yes does it, and cannot be taken back.")
                return
            if not reason.strip():
                raise CommandError("--reason: say why; it stays with the erasure")
            by = f"{getpass.getuser()}, by command"
            erasure = begin(entity, key, asked_by=by, reason=reason)
        except (LookupError, ConflictError) as error:
            raise CommandError(str(error.args[0])) from error
        self._finish(erasure)

    def _finish(self, erasure: Erasure) -> None:
        try:
            go_on(erasure)
        except ConflictError as error:
            raise CommandError(f"{error.message}. Go on with --go-on.") from error
        told = {"certificate": erasure.certificate, "signature": erasure.signature}
        self.stdout.write(json.dumps(told, indent=2))

    def _verify(self, file: Path) -> None:
        try:
            told = json.loads(file.read_text())
            good = signed(told["certificate"], told["signature"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CommandError(f"{file} is no certificate: {error}") from error
        if not good:
            raise CommandError(f"{file} was not made here, or was changed since")
        self.stdout.write("the certificate is ours, and unchanged")
