"""A system connected and one of its streams pulled, as a worker does it: queue, pages, merge."""

from __future__ import annotations

from connectors.models import Stream, SyncRun
from connectors.runtime import queue
from connectors.runtime.connect import connect
from connectors.runtime.pull import execute
from tests.vendors import CREDENTIALS


def pulled(system: str, url: str, stream: str, kind: str = "full") -> SyncRun:
    """The finished run of a stream, read from a system at an address."""
    connection = connect(system, system, url, CREDENTIALS[system])
    row = Stream.objects.select_related("connection").get(connection=connection, slug=stream)
    run = queue.ask(row, kind, asked_by="test")
    taken = queue.claim()
    assert taken is not None
    execute(*taken)
    run.refresh_from_db()
    return run
