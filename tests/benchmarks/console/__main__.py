"""`make bench-console`: every page of the console on a large catalogue, its time and its statements.

137,000 products, a million revisions, and up to 200,000 rows of what the hub writes by itself. A
page is asked for in this process, as a person who may see everything by a role; its time is that of
the whole answer, PostgreSQL and template included, the median of three. Beside it stands what of
that Python's and PostgreSQL's processors took: on a busy machine the rest is waiting for others.
Exit code 1 where one is over. The last line is one line of JSON.

`--keep DIRECTORY` makes the data there once; later runs measure on it. `--plans` shows how
PostgreSQL answers the slow statements of the pages that `--only` names.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from tests.benchmarks.console.kept import Kept
from tests.benchmarks.reads import data as catalogue

MOST_MS, MOST_STATEMENTS = 300.0, 15
#: A statement that takes longer is shown with its plan.
SLOW_MS = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A page, its milliseconds, those of Python's and of PostgreSQL's processors, its statements."""

    page: Any
    ms: float
    python: float
    postgres: float
    statements: list[str]

    @property
    def over(self) -> bool:
        """It costs more than a page may."""
        return self.ms > MOST_MS or len(self.statements) > MOST_STATEMENTS

    @property
    def waited(self) -> bool:
        """The processor's time alone is within the bar."""
        return self.python + self.postgres <= MOST_MS and len(self.statements) <= MOST_STATEMENTS


def main() -> None:
    options = argparse.ArgumentParser(
        prog="make bench-console", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    options.add_argument("--products", type=int, default=137_000)
    options.add_argument("--times", type=int, default=3)
    options.add_argument("--only", default="", help="pages whose name holds this text")
    options.add_argument("--keep", type=Path, help="make the data there once, and keep it")
    options.add_argument("--plans", action="store_true", help="of statements that take long")
    given = options.parse_args()
    kept = Kept(given.keep, given.products)
    kept.start()
    fill(kept)
    found = measured(given)
    if given.plans:
        show_plans(found)
    sys.exit(report(found))


def fill(kept: Kept) -> None:
    """The catalogue, and rows of all that the hub writes beside it."""
    _django()
    from tests import console_rows
    from tests.benchmarks.console import data, measures

    if not kept.has("catalogue"):
        print(f"  {kept.products:,} products", flush=True)
        catalogue.fill(os.environ["DATABASE_URL"], kept.products)
        catalogue.settle(os.environ["DATABASE_URL"])
        kept.made("catalogue")
    if not kept.has("rows"):
        print("  rows of all that the hub writes", flush=True)
        console_rows.fill()
        data.fill()
        kept.made("rows")
    if not kept.has("measures"):
        print("  what was measured", flush=True)
        measures.fill()
        kept.made("measures")


def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    import django

    django.setup()


def measured(given: argparse.Namespace) -> list[Seen]:
    """Each page, asked for several times."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from tests import console_pages

    # Not as in a test: there each template that is drawn is noted, with a copy of its context.
    client = Client(SERVER_NAME="localhost")
    client.force_login(console_pages.person())
    client.get("/admin/")
    # As `hub.wsgi` does: else some page or other pays for a look at all that was loaded.
    gc.collect()
    gc.freeze()
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
        times, python, postgres = [], process_time(), processor_ms()
        for _ in range(given.times):
            began = perf_counter()
            client.get(page.address)
            times.append((perf_counter() - began) * 1000)
        spent = [1000 * (process_time() - python), processor_ms() - postgres]
        each = [ms / given.times for ms in spent]
        found.append(Seen(page, statistics.median(times), *each, statements))
    return found


def processor_ms() -> float:
    """What PostgreSQL's process of our connection has used so far (proc(5): utime, stime)."""
    from django.db import connection

    connection.ensure_connection()
    backend: Any = connection.connection
    stat = Path(f"/proc/{backend.info.backend_pid}/stat").read_text()
    user, system = stat.rpartition(") ")[2].split()[11:13]
    return (int(user) + int(system)) * 1000 / os.sysconf("SC_CLK_TCK")


def show_plans(found: list[Seen]) -> None:
    """How the slow statements of these pages are answered."""
    from django.db import connection

    for one in found:
        for statement in one.statements:
            began = perf_counter()
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}")
                plan = [line for (line,) in cursor.fetchall()]
            if (perf_counter() - began) * 1000 > SLOW_MS:
                print(f"  {one.page.address}\n{statement}\n" + "\n".join(plan), flush=True)


def report(found: list[Seen]) -> int:
    """The slowest first, and last a line of JSON; how many are over."""
    from observability import lines
    from tests.console_pages import REHEARSED

    # What the requests said goes before the table.
    lines.flush()
    over = waited = 0
    for one in sorted(found, key=lambda one: -one.ms):
        rehearsed = one.page.name in REHEARSED
        over += one.over and not rehearsed
        waited += one.over and not rehearsed and one.waited
        said = "  a rehearsal" if rehearsed else "  OVER" if one.over else ""
        print(
            f"  {one.ms:>8.1f} ms (processor {one.python:.0f} + {one.postgres:.0f})"
            f" {len(one.statements):>3} statements  {one.page.address}{said}"
        )
        if said == "  OVER" and len(one.statements) > MOST_STATEMENTS:
            print("\n".join(f"      {' '.join(sql.split())[:140]}" for sql in one.statements))
    print(
        f"  {len(found)} pages, {over} over {MOST_MS:g} ms or {MOST_STATEMENTS} statements;"
        f" {waited} of them only because they waited for the processor or the disk"
    )
    judged = [one for one in found if one.page.name not in REHEARSED]
    summary = {
        "pages": len(found),
        "over": over,
        "waited": waited,
        "slowest_ms": round(max(one.ms for one in judged), 1),
        "most_statements": max(len(one.statements) for one in judged),
    }
    print(json.dumps(summary))
    return int(over > 0)


if __name__ == "__main__":
    main()
