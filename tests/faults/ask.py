"""Run in the house: asks for a run of the stream that the harness lets the hub pull."""

from __future__ import annotations

import sys


def main(kind: str) -> None:
    import django

    django.setup()
    from connectors.models import Stream
    from connectors.runtime import queue
    from tests.faults.connector import COUNTED
    from tests.faults.upstream import SLUG

    stream = Stream.objects.get(connection__slug=SLUG, slug=COUNTED.slug)
    queue.ask(stream, kind, asked_by="the fault tests", allow_deletes=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
