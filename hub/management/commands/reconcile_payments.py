"""`manage.py reconcile_payments`: whether orders, payments, refunds and payouts add up."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog import settlement
from hub.console.settlement import COLUMNS, cells


class Command(BaseCommand):
    help = (
        "Hold orders against payments, refunds and payouts. Exit code 0 when all of it adds up, 1 when"
        " there are differences. Those whose records changed a moment ago are counted as waiting."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kind", default="", help=f"one of {', '.join(settlement.WINDOWS)}")
        parser.add_argument("--csv", metavar="FILE", help="write every difference; - for stdout")

    def handle(self, *, kind: str, csv: str | None, **_options: Any) -> None:
        try:
            settlement.known(kind)
        except LookupError as error:
            raise CommandError(str(error), returncode=2) from error
        # What a pipe reads is the table alone.
        told = self.stderr if csv == "-" else self.stdout
        counts = [count for count in settlement.counts() if not kind or count.kind == kind]
        for count in counts:
            if count.open or count.waiting:
                told.write(f"{count.kind:<28}{count.open:>8,} differ{count.waiting:>8,} wait")
        if csv == "-":
            written(sys.stdout, kind)
        elif csv:
            with Path(csv).open("w", encoding="utf-8", newline="") as file:
                told.write(f"{written(file, kind):,} written to {csv}")
        differ = sum(count.open for count in counts)
        told.write(f"{differ:,} differences" if differ else "all of it adds up")
        if differ:
            sys.exit(1)


def written(file: TextIO, kind: str) -> int:
    """The table; how many rows it has."""
    table, rows = csv.writer(file), 0
    table.writerow(COLUMNS)
    for difference in settlement.every(kind):
        table.writerow(cells(difference))
        rows += 1
    return rows
