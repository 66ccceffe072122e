"""`manage.py uncompiled`: the GraphQL documents that Graphene had to run, and why."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from redis.exceptions import RedisError

from hub.reads import fallbacks


class Command(BaseCommand):
    help = "List the GraphQL documents that could not be compiled, the most frequent first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reset", action="store_true", help="Start counting anew.")

    def handle(self, *, reset: bool, **_options: Any) -> None:
        try:
            for found in fallbacks.uncompiled():
                self.stdout.write(f"{found.times:>8}  {found.reason}")
                self.stdout.write(f"          {' '.join(found.document.split())}")
            if reset:
                fallbacks.forget()
        except RedisError as error:
            raise CommandError(f"Redis, which keeps the count, does not answer: {error}") from error
