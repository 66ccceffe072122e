"""`python -m tests.benchmarks.measuring`: what measuring a read costs it.

One process answers the same reads in turns, with and without telling `hub.usage.counting` of them, in
front of Django's middleware as a web process does. The time is the processor's, of all threads, and
the best of many short rounds counts, because neighbours can only make one slower.

    database  a record by REST, read by one statement each time
    process   the same from the answers that this process keeps

What is told is passed on every ten seconds, to the metrics and from there to PostgreSQL: that is
measured by itself. Prints a table and one line of JSON; ends with status 1 where measuring costs a read
that is not kept more than three per cent.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import services

BAR = 0.03
ROUNDS, READS = 15, 400
PRODUCTS = 50


def main() -> int:
    """Start PostgreSQL and Valkey, fill a catalogue, measure."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-measuring-"))
    os.environ["DATABASE_URL"] = services.start_postgres(directory)
    os.environ["REDIS_URL"] = services.start_valkey(directory)
    os.environ |= {
        "HEADWATER_SECRET_KEY": "benchmark", "DJANGO_SETTINGS_MODULE": "hub.settings",
        "HEADWATER_STATE": str(directory),
        "HEADWATER_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    }  # fmt: skip
    # Log lines are written as in production, and read by nobody; what goes wrong here is.
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return compare()


def compare() -> int:
    """The table, and whether the bar was kept."""
    from django.conf import settings

    from hub.auth.keys import issue_key
    from hub.usage import counting
    from hub.wsgi import reads as front
    from observability import metrics
    from tests import catalogue

    catalogue.fill(PRODUCTS)
    key, told = issue_key("bench"), counting.count
    ways = {"without": lambda *_: None, "with": told}
    found: dict[str, dict[str, float]] = {}
    for name, keeps in (("database", False), ("process", True)):
        settings.HEADWATER_KEEP_ANSWERS = keeps
        asked(front, key, READS)  # plans are compiled, the follower is started
        while keeps and time.monotonic() >= front.shelf.near.until:
            time.sleep(0.1)  # until it is known what changes
        asked(front, key, READS)  # answers are kept
        counting._tallies.clear()
        spent: dict[str, float] = dict.fromkeys(ways, float("inf"))
        for _ in range(ROUNDS):
            for way, count in ways.items():
                counting.count = count
                spent[way] = min(spent[way], cpu(lambda: asked(front, key, READS)) / READS)
        counting.count = told
        outcomes = {outcome for _, _, outcome in counting._tallies}
        assert outcomes == {name}, f"{name} was to be measured, and {outcomes} were"
        found[name] = spent
    passing = cpu(lambda: (counting.pass_on(), metrics.flush()))
    print(f"{'CPU µs a read':<14}{'without':>10}{'with':>10}{'more':>10}{'share':>10}")
    for name, one in found.items():
        one["more"] = one["with"] - one["without"]
        one["share"] = one["more"] / one["without"]
        print(
            f"{name:<14}{one['without']:>10.1f}{one['with']:>10.1f}{one['more']:>10.2f}"
            f"{one['share']:>10.1%}"
        )
    print(f"passed on every ten seconds in {passing / 1000:.1f} ms of CPU")
    print(json.dumps({**found, "passing_on": passing}))
    return int(found["database"]["share"] > BAR)


def cpu(work: Callable[[], object]) -> float:
    """Microseconds of all threads' processor time."""
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1e6


def asked(front: Any, key: str, times: int) -> None:
    """Ask for one product after the other."""
    for number in range(times):
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": f"/api/v1/products/P-{number % PRODUCTS + 1}",
            "QUERY_STRING": "", "HTTP_HOST": "localhost", "HTTP_X_API_KEY": key,
            "wsgi.input": None, "REMOTE_ADDR": "127.0.0.1",
        }  # fmt: skip
        status: list[str] = []
        front(environ, lambda said, _headers, into=status: into.append(said))
        assert status == ["200 OK"], status


if __name__ == "__main__":
    sys.exit(main())
