"""`manage.py sdk build`: the TypeScript package and the Python client of this hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub import env
from hub.sdk.build import LANGUAGES, build
from observability.errors import HubError


class Command(BaseCommand):
    help = "Clients of this hub, made from its contract."

    def add_arguments(self, parser: CommandParser) -> None:
        one = parser.add_subparsers(dest="action", required=True).add_parser("build")
        one.add_argument(
            "--out", type=Path, default=Path("build/sdk"), help="build/sdk if left out"
        )
        one.add_argument("--only", choices=LANGUAGES, help="one language; both if left out")

    def handle(self, *, out: Path, only: str | None, **_options: Any) -> None:
        try:
            cache = env.state_directory() / "sdk-tools"
            built = build(out.resolve(), cache, (only,) if only else LANGUAGES)
        except HubError as error:
            raise CommandError(error.message) from error
        for (entity, field), reasons in built.lost.items():
            self.stderr.write(
                f"left out: {entity}.{field}, which nobody fills any more\n  "
                + "\n  ".join(reasons)
            )
        for folder in built.packages:
            self.stdout.write(f"built: {folder}")
