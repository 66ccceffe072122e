"""`manage.py ask_run remap sap wms.stock`: queue a run of streams, or of all of a connection's."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from connectors.models import Stream, SyncRun
from connectors.runtime import queue

KINDS = [
    kind.value for kind in SyncRun.Kind if kind not in {SyncRun.Kind.RECORD, SyncRun.Kind.BACKFILL}
]


class Command(BaseCommand):
    help = "Queue a remap, a reconciliation or a pull of streams, as the buttons of the admin do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=KINDS)
        parser.add_argument("streams", nargs="+", metavar="connection[.stream]")

    def handle(self, *, kind: str, streams: list[str], **_options: Any) -> None:
        asked: list[Stream] = []
        for name in streams:
            connection, _, slug = name.partition(".")
            found = Stream.objects.select_related("connection").filter(connection__slug=connection)
            found = found.filter(slug=slug) if slug else found
            if not found:
                raise CommandError(f"There is no stream {name}.")
            asked += found
        for stream in asked:
            run = queue.ask(stream, kind, asked_by="manage.py")
            self.stdout.write(f"run #{run.pk}: {run}")
