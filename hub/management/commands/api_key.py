"""`manage.py api_key NAME`: issue an API key and print it, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from hub.auth.keys import issue_key


class Command(BaseCommand):
    help = "Issue an API key. It is printed once and cannot be read again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Who will hold it.")

    def handle(self, *, name: str, **_options: Any) -> None:
        self.stdout.write(issue_key(name))
