"""`make bench-console`: every page of the console on a large catalogue, its time and its statements.

137,000 products, a million revisions, and up to 200,000 rows of what the hub writes by itself. A
page is asked for in this process, as a person who may see everything; its time is that of the
whole answer, PostgreSQL and template included, the median of three. Exit code 1 where one is over.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from tests.benchmarks.reads import data as catalogue
from tests.benchmarks.reads.__main__ import prepare_environment

MOST_MS, MOST_STATEMENTS = 300.0, 15


@dataclass(frozen=True, slots=True)
class Seen:
    """A page, its milliseconds and its statements."""

    page: Any
    ms: float
    statements: list[str]


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench-console", description=__doc__)
    options.add_argument("--products", type=int, default=137_000)
    options.add_argument("--times", type=int, default=3)
    options.add_argument("--only", default="", help="pages whose name holds this text")
    given = options.parse_args()
    address = prepare_environment()
    print(f"  {given.products:,} products", flush=True)
    catalogue.fill(address, given.products)
    catalogue.settle(address)
    _django()
    from django.test.utils import setup_test_environment

    from tests import console_rows
    from tests.benchmarks.console import data

    setup_test_environment()
    console_rows.fill()
    print("  rows of all that the hub writes", flush=True)
    data.fill()
    sys.exit(report(measured(given)))


def _django() -> None:
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    import django

    django.setup()


def measured(given: argparse.Namespace) -> list[Seen]:
    """Each page, asked for several times."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from tests import console_pages

    client = Client()
    client.force_login(User.objects.create_superuser("ola", "ola@example.com", "x"))
    found = []
    for page in console_pages.pages():
        if given.only not in page.name:
            continue
        with CaptureQueriesContext(connection) as seen:
            answer: Any = console_pages.opened(client, page)
        # before the next request makes the list of them anew
        statements = console_pages.asked(seen)
        if answer is None:
            continue
        times = []
        for _ in range(given.times):
            began = perf_counter()
            client.get(page.address)
            times.append((perf_counter() - began) * 1000)
        found.append(Seen(page, statistics.median(times), statements))
    return found


def report(found: list[Seen]) -> int:
    """The slowest first; how many are over."""
    from tests.console_pages import REHEARSED

    over = 0
    for one in sorted(found, key=lambda one: -one.ms):
        rehearsed = one.page.name in REHEARSED
        wrong = one.ms > MOST_MS or len(one.statements) > MOST_STATEMENTS
        over += wrong and not rehearsed
        said = "  a rehearsal" if rehearsed else "  OVER" if wrong else ""
        print(f"  {one.ms:>8.1f} ms {len(one.statements):>4} statements  {one.page.address}{said}")
        if said == "  OVER" and len(one.statements) > MOST_STATEMENTS:
            print("\n".join(f"      {' '.join(sql.split())[:140]}" for sql in one.statements))
    print(f"  {len(found)} pages, {over} over {MOST_MS:g} ms or {MOST_STATEMENTS} statements")
    return int(over > 0)


if __name__ == "__main__":
    main()
