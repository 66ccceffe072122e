"""`manage.py api_key NAME`: issue an API key and print it, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.auth.keys import issue_key
from hub.auth.rights import ALL, READ
from hub.problems import BadInputError


class Command(BaseCommand):
    help = "Issue an API key. It is printed once and cannot be read again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Who will hold it.")
        parser.add_argument(
            "--scope", action="append", dest="scopes", metavar="SCOPE",
            help="read:product, read:customer.country, trace:*, write:order, commands, "
            "introspect, class:personal; again for more. Without any: public fields of all records.",
        )  # fmt: skip
        parser.add_argument("--per-minute", type=int, help="Requests a minute; default: no limit.")

    def handle(
        self, *, name: str, scopes: list[str] | None, per_minute: int | None, **_options: Any
    ) -> None:
        if per_minute is not None and per_minute < 1:
            raise CommandError("--per-minute must be 1 or more")
        try:
            key = issue_key(name, scopes or [f"{READ}:{ALL}"], requests_per_minute=per_minute)
        except BadInputError as error:
            raise CommandError(f"--scope: {error.message}") from error
        self.stdout.write(key)
