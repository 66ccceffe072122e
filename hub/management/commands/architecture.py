"""`manage.py architecture`: the integration architecture document, with its drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.console.flows.document import architecture
from hub.console.flows.drawing import drawn
from hub.console.flows.page import whole


class Command(BaseCommand):
    help = "Write architecture.md and architecture.svg: what is connected, how, and who owns what."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", type=Path, nargs="?", default=Path())

    def handle(self, *, directory: Path, **_options: Any) -> None:
        shown = whole()
        texts = {"md": architecture(shown), "svg": drawn(shown, linked=False)}
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for form, text in texts.items():
                path = directory / f"architecture.{form}"
                path.write_text(text)
                self.stdout.write(f"{path}")
        except OSError as error:
            raise CommandError(f"{directory} cannot be written to: {error}") from error
