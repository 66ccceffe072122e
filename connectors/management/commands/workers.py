"""`manage.py workers`: the task cluster under our supervisor, in the foreground."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from connectors.runtime.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run the workers under the supervisor, until SIGTERM or Ctrl-C."

    def handle(self, **_options: Any) -> None:
        Supervisor().run()
