"""`manage.py first_sync`: show the first read of every stream until all are done."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import connection

from connectors.models import Stream, SyncRun

BAR = 24


class Command(BaseCommand):
    help = "Wait for the first read of every stream, showing its progress."

    def handle(self, **_options: Any) -> None:
        began, shown, reported = time.monotonic(), 0, set[int]()
        while True:
            try:
                runs = self._first_runs()
            except DatabaseError:
                # The supervisor starts a lost PostgreSQL again; the runs go on from their cursors.
                connection.close()
                time.sleep(1)
                continue
            waiting = [slug for slug, run in runs.items() if run is None or run.state != "done"]
            if sys.stdout.isatty():
                shown = self._draw(runs, shown)
            else:
                self._report(runs, reported)
            failed = [r for r in runs.values() if r is not None and r.state in {"failed", "held"}]
            if not waiting or len(failed) == len(waiting):
                break
            time.sleep(0.25)
        read = sum(run.read for run in runs.values() if run)
        self.stdout.write(f"{read} records read in {time.monotonic() - began:.0f} s")
        if waiting:
            self.stdout.write("not finished: " + ", ".join(waiting))
            sys.exit(1)

    def _first_runs(self) -> dict[str, SyncRun | None]:
        """The newest full read of each stream that was never read; the completed one otherwise."""
        streams = Stream.objects.filter(enabled=True, connection__enabled=True)
        found: dict[str, SyncRun | None] = {}
        for stream in streams.select_related("connection"):
            full = stream.runs.filter(kind=SyncRun.Kind.FULL)
            found[str(stream)] = full.filter(state="done").last() or full.first()
        return found

    def _draw(self, runs: dict[str, SyncRun | None], shown: int) -> int:
        if shown:
            self.stdout.write(f"\x1b[{shown}A", ending="")
        for slug, run in runs.items():
            share = (run.share_done or 0.0) if run else 0.0
            bar = "█" * round(share * BAR) + "░" * (BAR - round(share * BAR))
            read = run.read if run else 0
            state = run.state if run else "waiting"
            note = f" {run.error[:60]}" if run and run.error else ""
            self.stdout.write(f"\x1b[2K  {slug:<24} {bar} {read:>8} {state}{note}")
        self.stdout.flush()
        return len(runs)

    def _report(self, runs: dict[str, SyncRun | None], reported: set[int]) -> None:
        for slug, run in runs.items():
            if run and run.state in {"done", "failed", "held"} and run.pk not in reported:
                reported.add(run.pk)
                self.stdout.write(f"  {slug:<24} {run.read:>8} {run.state} {run.error[:200]}")
                self.stdout.flush()
