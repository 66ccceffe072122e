"""`manage.py api_contract write|check`: our own contract outward, committed in `hub/contract`.

write  commit what is served; refuses what breaks callers and was not announced
check  exit 1 where the committed contract is not what is served
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.contract import outward
from hub.contract.compare import breaks


class Command(BaseCommand):
    help = "The committed OpenAPI document and SDL: write them, or check that they are served."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("write", "check"))

    def handle(self, *, action: str, **_options: Any) -> None:
        old, new = outward.committed(), outward.served()
        today = timezone.now().date()
        early = [str(one) for one in breaks(old, new) if not one.due(today)]
        if early:
            raise CommandError("callers would break:\n" + "\n".join(early))
        if action == "write":
            for name, text in new.items():
                (outward.FOLDER / name).write_text(text)
            self.stdout.write(f"written: {', '.join(new)}")
        elif stale := [name for name in new if old.get(name) != new[name]]:
            raise CommandError(
                f"not what is served: {', '.join(stale)}. Run `manage.py api_contract write`"
            )
        else:
            self.stdout.write("what is served is what is committed")
