"""`python -m tests.benchmarks.measuring`: what measuring a read costs it.

One process answers the same reads in front of Django's middleware, as a web process does. What the
processor spends on a read that this process has kept is taken in turns without telling `hub.usage` of
it, with a plain increment for each key and reading, and with the tally of what it took and where it
came from; the differences hold for every read. Beside that stands a list by REST that is read by one
statement. The time is the processor's, of all threads, and the best of many short rounds counts,
because neighbours can only make one slower.

What is told is passed on every ten seconds, to the metrics and from there to PostgreSQL: that is
measured by itself. Prints a table and one line of JSON; ends with status 1 where measuring costs more
than three per cent of a read that is not kept.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import services

BAR = 0.03
ROUNDS, READS = 40, 300
PRODUCTS = 5


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
    found: dict[str, float] = {}
    settings.HEADWATER_KEEP_ANSWERS = False
    asked(front, key, READS)  # plans are compiled
    found["from the database"] = best(lambda: asked(front, key, READS), ROUNDS // 4)
    settings.HEADWATER_KEEP_ANSWERS = True
    asked(front, key, READS)  # the follower is started
    while time.monotonic() >= front.shelf.near.until:
        time.sleep(0.1)  # until it is known what changes
    asked(front, key, READS)  # answers are kept
    counting._tallies.clear()
    ways = {"kept, untold": lambda *_: None, "kept, counted": incremented(), "kept, measured": told}
    for _ in range(ROUNDS):
        for way, count in ways.items():
            counting.count = count
            spent = best(lambda: asked(front, key, READS), 1)
            found[way] = min(found.get(way, spent), spent)
    counting.count = told
    outcomes = {outcome for _, _, outcome in counting._tallies}
    assert "process" in outcomes, outcomes  # a follower that starves lets go of a few
    passing = best(lambda: (counting.pass_on(), metrics.flush()), 1) * READS / 1000
    for name, microseconds in found.items():
        print(f"{name:<20}{microseconds:>8.2f} µs of CPU")
    more = found["kept, measured"] - found["kept, untold"]
    share = more / found["from the database"]
    print(f"measuring a read costs {more:.2f} µs, {share:.1%} of one from the database")
    print(f"passed on every ten seconds in {passing:.1f} ms")
    print(json.dumps({**found, "more": more, "share": share, "passing_on": passing}))
    return int(share > BAR)


def incremented() -> Callable[..., None]:
    """What counting was before it measured: one number for each key and reading."""
    lock, counted = threading.Lock(), dict[Any, int]()

    def count(key: str, uses: Any, *_: Any) -> None:
        pair = (key, uses)
        with lock:
            counted[pair] = counted.get(pair, 0) + 1

    return count


def best(work: Callable[[], object], rounds: int) -> float:
    """Microseconds of all threads' processor time a read, of the best round."""
    return min(cpu(work) for _ in range(rounds)) / READS


def cpu(work: Callable[[], object]) -> float:
    """Microseconds of all threads' processor time."""
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1e6


def asked(front: Any, key: str, times: int) -> None:
    """Ask for two lists in turns."""
    for number in range(times):
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": "/api/v1/prices",
            "QUERY_STRING": f"limit=1&market={'DE' if number % 2 else 'US'}", "HTTP_HOST": "localhost", "HTTP_X_API_KEY": key,
            "wsgi.input": None, "REMOTE_ADDR": "127.0.0.1",
        }  # fmt: skip
        status: list[str] = []
        front(environ, lambda said, _headers, into=status: into.append(said))
        assert status == ["200 OK"], status


if __name__ == "__main__":
    sys.exit(main())
