"""`python -m tests.benchmarks.reads.growth`: what reads and tables do as the catalogue grows.

Two sizes are measured: what tables and indexes take, how high the trees of the indexes are, and how
each read is planned and what it touches. A third size is reckoned from the larger of them: as many
rows and pages a product, trees as high as their pages make them, and a page more for each level at
each descent.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.benchmarks.reads import data
from tests.benchmarks.reads.__main__ import prepare_environment
from tests.benchmarks.reads.contestants import OUR_CARDS, OUR_LIST, OURS, ROOT

PAGE = 8192
FILTERED = """query($brand: String!, $locale: String) {
  products(first: 24, locale: $locale, filter: {brand: $brand, inStock: true}) {
    nodes { sku slug brand name description } pageInfo { endCursor hasNextPage } } }"""
SIZES = """
SELECT relname, reltuples::bigint, pg_relation_size(oid),
       pg_table_size(oid) - pg_relation_size(oid), pg_indexes_size(oid)
FROM pg_class WHERE relkind = 'r' AND relname LIKE 'catalog\\_%' AND reltuples > 0 ORDER BY 3 DESC"""
INDEXES = """
SELECT c.relname, c.relpages, c.reltuples::bigint, (bt_metap(c.relname)).level + 1
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_am a ON a.oid = c.relam
WHERE a.amname = 'btree' AND i.indrelid::regclass::text LIKE 'catalog\\_%' AND c.reltuples > 0"""

FULLEST = """
SELECT category_id, min(key) FROM catalog_product GROUP BY category_id
ORDER BY count(*) DESC, category_id LIMIT 1"""


@dataclass(frozen=True)
class Table:
    """Bytes: of rows, of what is kept beside them (TOAST, maps), and of all indexes."""

    rows: int
    heap: int
    beside: int
    indexes: int

    @property
    def whole(self) -> int:
        return self.heap + self.beside + self.indexes

    def grown(self, times: float) -> Table:
        return Table(*(round(n * times) for n in (self.rows, self.heap, self.beside, self.indexes)))


@dataclass(frozen=True)
class Index:
    """`height`: pages from the root to a leaf, both counted."""

    pages: int
    entries: int
    height: int

    def grown(self, times: float) -> Index:
        # Pages above hold as many entries as leaves do, or nearly.
        fan_out = max(2.0, self.entries / self.pages)
        leaves = max(1, math.ceil(self.pages * times))
        height = 1 + math.ceil(math.log(leaves, fan_out)) if leaves > 1 else 1
        return Index(leaves, round(self.entries * times), max(self.height, height))


@dataclass(frozen=True)
class Plan:
    """`pages`: touched by one execution; `descents`: {index: how often it was searched}."""

    shape: str
    pages: int
    descents: Mapping[str, int]

    def grown(self, before: Mapping[str, Index], after: Mapping[str, Index]) -> Plan:
        more = sum(n * (after[i].height - before[i].height) for i, n in self.descents.items())
        return Plan(self.shape, self.pages + more, self.descents)


@dataclass(frozen=True)
class Size:
    """One size of the catalogue."""

    products: int
    tables: Mapping[str, Table]
    indexes: Mapping[str, Index]
    plans: Mapping[str, Plan]

    def grown(self, products: int, smaller: Size) -> Size:
        """What did not grow from the smaller size to this, as the tree of categories, stays."""
        times = products / self.products
        indexes = {
            name: i if i.entries == smaller.indexes[name].entries else i.grown(times)
            for name, i in self.indexes.items()
        }
        tables = {
            name: t if t.rows == smaller.tables[name].rows else t.grown(times)
            for name, t in self.tables.items()
        }
        plans = {name: p.grown(self.indexes, indexes) for name, p in self.plans.items()}
        return Size(products, tables, indexes, plans)


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.reads.growth", description=__doc__
    )
    options.add_argument("--products", type=int, nargs=2, default=[2_000, 137_000])
    options.add_argument("--on-paper", type=int, default=1_000_000)
    given = options.parse_args()
    address = prepare_environment()
    os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
    import django

    django.setup()
    measured = [_measured(address, products) for products in sorted(given.products)]
    small, large = measured
    report([small, large, large.grown(given.on_paper, small)])


def _measured(address: str, products: int) -> Size:
    """In a database of its own."""
    print(f"  {products:,} products are written", file=sys.stderr, flush=True)
    with psycopg.connect(address, autocommit=True) as database:
        database.execute(f"CREATE DATABASE growth_{products}")
    place = urlunsplit(urlsplit(address)._replace(path=f"/growth_{products}"))
    told = {**os.environ, "DATABASE_URL": place}
    for command in (["migrate", "--verbosity=0"], ["derived", "--mend"]):
        subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, env=told, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        if command[0] == "migrate":
            data.fill(place, products)
    data.settle(place)
    with psycopg.connect(place, autocommit=True) as database:
        database.execute("CREATE EXTENSION pageinspect")
        tables = {name: Table(*numbers) for name, *numbers in database.execute(SIZES)}
        indexes = {name: Index(*numbers) for name, *numbers in database.execute(INDEXES)}
        asked = _asked(database)
        plans = {name: _plan(database, *question) for name, question in asked.items()}
    return Size(products, tables, indexes, plans)


def _asked(database: psycopg.Connection[Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The reads, by name: (document, variables). The category is the fullest."""
    row = database.execute(FULLEST).fetchone()
    assert row is not None
    category, sku, locale = *row, "de_DE"
    page = {"category": category, "locale": locale}
    return {
        "detail": (OURS, {"sku": sku, "locale": locale}),
        "category page": (" ".join((OUR_LIST % OUR_CARDS).split()), page),
        "filtered list": (FILTERED, {"brand": "brand-7", "locale": locale}),
    }


def _plan(database: psycopg.Connection[Any], text: str, variables: Mapping[str, Any]) -> Plan:
    """As the web process runs it: prepared, with a plan for all values."""
    from hub.auth.rights import FULL
    from hub.negotiation import wishes
    from hub.reads.plan import plan_of
    from hub.reads.pool import SETTINGS

    plan, literals = plan_of(text, None, variables)
    bound = plan.bind(variables, literals, FULL, wishes({}))
    with psycopg.ClientCursor(database) as cursor:
        cursor.execute(SETTINGS)
        cursor.execute(f"PREPARE read AS {bound.statement.sql}")
        values = sql.SQL(", ").join(map(sql.Literal, bound.parameters))
        explain = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE read({})")
        for _ in range(2):  # the first one finds pages cold
            cursor.execute(explain.format(values))
            ((found,),) = cursor.fetchall()
        cursor.execute("DEALLOCATE read")
    top = found[0]["Plan"]
    searched = [node for node in _nodes(top) if "Index Name" in node]
    shape = Counter(f"{n['Node Type']} {_short(n['Index Name'])}" for n in searched)
    shape.update(n["Node Type"] for n in _nodes(top) if n["Node Type"].startswith("Seq"))
    descents: Counter[str] = Counter()
    for node in searched:
        descents[node["Index Name"]] += int(node.get("Index Searches", node["Actual Loops"]))
    pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    return Plan(", ".join(f"{n} x {what}" for what, n in sorted(shape.items())), pages, descents)


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _short(index: str) -> str:
    return re.sub(r"_[0-9a-f]{8}(_like)?$", "", index).removeprefix("catalog_")


def report(sizes: Sequence[Size]) -> None:
    """Tables, indexes and plans, side by side; as the last line all of it as JSON."""
    named = [f"{size.products:,}" for size in sizes[:-1]] + [f"{sizes[-1].products:,} (on paper)"]
    print(f"  {'bytes a row, then MB with indexes':<34}" + "".join(f"{n:>22}" for n in named))
    for name in sizes[-1].tables:
        last = sizes[-2].tables[name]
        told = [f"{size.tables[name].whole / 1e6:,.1f}" for size in sizes]
        print(f"  {name:<26}{last.whole / last.rows:>8,.0f}" + "".join(f"{t:>22}" for t in told))
    whole = [sum(table.whole for table in size.tables.values()) / 1e6 for size in sizes]
    print(f"  {'all':<34}" + "".join(f"{number:>22,.1f}" for number in whole))
    print("\n  indexes that reads descend: MB, height")
    for name in sorted(
        {index for size in sizes for p in size.plans.values() for index in p.descents}
    ):
        known = [size.indexes[name] for size in sizes]
        told = [f"{i.pages * PAGE / 1e6:,.1f}, {i.height}" for i in known]
        print(f"  {_short(name):<34}" + "".join(f"{t:>22}" for t in told))
    print("\n  pages that a read touches")
    for read in sizes[0].plans:
        print(f"  {read:<34}" + "".join(f"{size.plans[read].pages:>22,}" for size in sizes))
    for read in sizes[0].plans:
        for shape in dict.fromkeys(size.plans[read].shape for size in sizes):
            at = [
                n for n, size in zip(named, sizes, strict=True) if size.plans[read].shape == shape
            ]
            print(f"\n  {read} at {' and '.join(at)}:\n    {shape}")
    print(json.dumps([_told(size) for size in sizes]))


def _told(size: Size) -> dict[str, Any]:
    plans = {n: {"pages": p.pages, "shape": p.shape} for n, p in size.plans.items()}
    tables = {n: {"rows": t.rows, "bytes": t.whole} for n, t in size.tables.items()}
    return {"products": size.products, "tables": tables, "plans": plans}


if __name__ == "__main__":
    main()
