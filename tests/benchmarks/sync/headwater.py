"""One pass of Headwater's own pipeline: a claimed run of a connected stream, as a worker does it."""

from __future__ import annotations

import json
import os
import resource
import sys
import time


def main(base_url: str, version: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.settings"
    import django

    django.setup()
    from catalog.history import Revision
    from catalog.source import SourceRecord
    from connectors.models import Stream, SyncRun
    from connectors.runtime import queue
    from connectors.runtime.connect import connect
    from connectors.runtime.pull import execute
    from tests.benchmarks.listings.connector import upstream_settings
    from tests.benchmarks.listings.models import Listing

    connect("bench", "bench", base_url, upstream_settings(version))
    stream = Stream.objects.select_related("connection").get(slug="listings")
    queue.ask(stream, SyncRun.Kind.FULL, asked_by="benchmark")
    before = Revision.objects.count()
    taken = queue.claim()
    if taken is None:
        sys.exit("nothing to claim")
    began = time.perf_counter()
    execute(*taken)
    seconds = time.perf_counter() - began
    run = SyncRun.objects.get(pk=taken[0].pk)
    if run.state != "done":
        sys.exit(f"the run {run.state}: {run.error}")
    print(
        json.dumps(
            {
                "rows": run.read,
                "seconds": seconds,
                "stored": run.stored,
                "unchanged": run.unchanged,
                "revisions": Revision.objects.count() - before,
                "source_records": SourceRecord.objects.count(),
                "entities": Listing.objects.count(),
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
