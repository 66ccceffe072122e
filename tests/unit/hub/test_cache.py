"""What is kept is never wrong after a purge: two processes' shelves on one Redis, real merges."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from redis import Redis

from catalog import notices, tags
from hub.cache import far, follow, http, near
from hub.cache.classes import CLASSES, strictest
from hub.cache.far import Columns
from hub.cache.follow import Follower
from hub.cache.reading import Reading, Shelf
from hub.reads import pool, rest
from hub.reads.answer import answered
from hub.reads.execute import on_django
from hub.reads.statement import Statement
from observability.errors import ConfigurationError
from tests import catalogue
from tests.asking import ALL

pytestmark = pytest.mark.django_db(transaction=True)

NAME = 'query($locale: String) { product(sku: "P-1", locale: $locale) { sku name } }'
DETAIL = """{ product(sku: "P-1") { sku name slug category { name path { name } }
  variants { sku colour prices { currency amount } stock { warehouse available } }
  reviews { count average nodes { title } } } }"""


class Process:
    """A web process's shelf, whose follower looks when the test says so."""

    def __init__(self) -> None:
        self.shelf = Shelf(at_once=True)
        self.follower = Follower(self.shelf.near, self.shelf.far)
        self.ran = 0
        #: Called once, after PostgreSQL was read and before anything is kept.
        self.meanwhile: Callable[[], None] = lambda: None
        self.follower.look()

    def run(self, statement: Statement, parameters: list[str]) -> Columns:
        self.ran += 1
        columns = on_django(statement, parameters)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return columns

    def reading(self, visibility: str = "") -> Reading:
        return Reading(self.shelf, self.run, visibility)

    def ask(self, text: str = NAME, visibility: str = "", **variables: Any) -> bytes:
        found = answered(text, variables, None, self.reading(visibility), **ALL)
        return found if isinstance(found, bytes) else b"errors"

    def fetch(self, path: str, query: str = "") -> bytes | None:
        address = rest.address_of(path, query)
        assert address is not None
        return rest.answered(address, self.reading(), **ALL)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> tuple[Process, Process]:
    # However slow the machine is: what is kept ends by purges alone.
    monkeypatch.setattr(follow, "HOLDS_SECONDS", 60.0)
    monkeypatch.setattr(far, "BEAT_MILLISECONDS", 60_000)
    catalogue.fill(2)
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.flushall()
    return Process(), Process()


def renamed(name: str) -> None:
    """P-1 has a new name, at the PIM and by a merge here."""
    model = catalogue.model(1, name=name, at="2026-03-01T00:00:00+00:00")
    catalogue.say("akeneo", "products", [model])


def test_what_one_process_read_serves_the_other_until_a_merge_changes_it(
    two: tuple[Process, Process],
) -> None:
    one, other = two
    first = one.ask()
    assert (one.ask(), other.ask()) == (first, first)
    assert (one.ran, other.ran) == (1, 0)
    renamed("Yurt")
    other.follower.look()
    assert b"Yurt 1" in one.ask()
    assert b"Yurt 1" in other.ask()
    assert one.ran + other.ran == 2


def test_what_is_read_once_is_not_stored_for_all(two: tuple[Process, Process]) -> None:
    one, other = two
    one.shelf, other.shelf = Shelf(), Shelf()
    for process in two:
        Follower(process.shelf.near, process.shelf.far).look()
    one.ask()
    other.ask()
    assert (one.ran, other.ran) == (1, 1)
    one.ask()
    other.ask()
    one.ask()
    assert (one.ran, other.ran) == (2, 1)


def test_a_merge_of_something_else_changes_nothing(two: tuple[Process, Process]) -> None:
    one, _ = two
    one.ask()
    catalogue.say("akeneo", "products", [catalogue.model(2, name="Yurt")])
    one.follower.look()
    one.ask()
    assert one.ran == 1


def test_what_was_read_before_a_purge_and_stored_after_it_is_never_served(
    two: tuple[Process, Process],
) -> None:
    one, other = two

    def merge_and_purge() -> None:
        renamed("Yurt")
        other.follower.look()

    one.meanwhile = merge_and_purge
    assert b"Tent 1" in one.ask()  # it was asked before the change
    assert b"Yurt 1" in other.ask()
    assert b"Yurt 1" in one.ask()


def test_nor_is_it_kept_in_the_process_that_read_it(two: tuple[Process, Process]) -> None:
    one, _ = two
    reading = one.reading()

    def merge_and_purge() -> None:
        renamed("Yurt")
        one.follower.look()

    one.meanwhile = merge_and_purge
    found = answered(NAME, {}, None, reading, **ALL)
    assert isinstance(found, bytes)
    assert reading.until > 0
    one.shelf.near.put("asked", http.answer(found, reading, get=True), reading.clock)
    assert one.shelf.near.get("asked") is None


def test_a_transaction_that_commits_late_is_not_passed_over(two: tuple[Process, Process]) -> None:
    """Its notice has a lower id than one that was seen already."""
    one, _ = two
    begun, go_on = threading.Event(), threading.Event()

    def late() -> None:
        try:
            with transaction.atomic():
                renamed("Yurt")
                begun.set()
                go_on.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=late)
    thread.start()
    assert begun.wait(20)
    catalogue.say("salesforce", "reviews", [catalogue.review("a01000000000003AAA", 1)])
    one.follower.look()
    assert b"Tent 1" in one.ask()
    go_on.set()
    thread.join()
    one.follower.look()
    assert b"Yurt 1" in one.ask()


def test_equal_readings_wait_for_the_first_unless_it_began_before_a_purge(
    two: tuple[Process, Process],
) -> None:
    one, _ = two
    inside, go_on = threading.Event(), threading.Event()
    said: list[bytes] = []

    def wait() -> None:
        inside.set()
        assert go_on.wait(20)

    def asking() -> None:
        try:
            said.append(one.ask())
        finally:
            connection.close()

    one.meanwhile = wait
    threads = [threading.Thread(target=asking) for _ in range(4)]
    threads[0].start()
    assert inside.wait(20)
    for thread in threads[1:]:
        thread.start()
    threads[1].join(0.3)
    assert one.ran == 1
    renamed("Yurt")
    one.follower.look()
    assert b"Yurt 1" in one.ask()  # while the first still reads
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(said) == 4
    assert one.ran == 2
    assert b"Yurt 1" in one.ask()


def test_locales_and_visibilities_never_mix(two: tuple[Process, Process]) -> None:
    one, _ = two
    said = [one.ask(locale=locale) for locale in ("en", "de", "en", "de")]
    assert said[0] == said[2] != said[1] == said[3]
    assert one.ran == 2
    one.ask(visibility="shop")
    one.ask(visibility="shop")
    one.ask(visibility="shop", locale="de")
    assert one.ran == 4


def test_what_moves_with_time_and_data_about_people_are_not_kept(
    two: tuple[Process, Process],
) -> None:
    one, _ = two
    moving = '{ product(sku: "P-1") { provenance { field ageSeconds } } }'
    personal = '{ customer(number: "10000001") { name } }'
    for text in (moving, personal):
        before = one.ran
        assert one.ask(text) != b"errors"
        one.ask(text)
        assert one.ran == before + 2


def test_a_record_that_is_not_there_yet(two: tuple[Process, Process]) -> None:
    one, other = two
    for process in (one, other):
        assert process.ask('{ product(sku: "P-3") { sku } }') == b"errors"
        assert process.fetch("/api/v1/products/P-3") is None
        assert b"P-3" not in process.ask("{ products { nodes { sku } } }")
    catalogue.say("akeneo", "products", [catalogue.model(3)])
    one.follower.look()
    other.follower.look()
    for process in (one, other):
        assert b"P-3" in process.ask('{ product(sku: "P-3") { sku } }')
        assert b"P-3" in (process.fetch("/api/v1/products/P-3") or b"")
        assert b"P-3" in process.ask("{ products { nodes { sku } } }")
    catalogue.withdrawn("akeneo", "products", "product", "P-3")
    one.follower.look()
    for process in (one, other):
        assert process.ask('{ product(sku: "P-3") { sku } }') == b"errors"
        assert process.fetch("/api/v1/products/P-3") is None
        assert b"P-3" not in process.ask("{ products { nodes { sku } } }")


def test_a_variant_that_moves_alters_both_products(two: tuple[Process, Process]) -> None:
    one, _ = two
    texts = [f'{{ product(sku: "P-{n}") {{ variants {{ sku }} }} }}' for n in (1, 2)]
    assert [b"P-1-01" in one.ask(text) for text in texts] == [True, False]
    moved = {**catalogue.article("P-1-01"), "CrossPlantConfigurableProduct": "P-2"}
    moved["LastChangeDateTime"] = "/Date(1779904000000+0000)/"
    catalogue.say("sap", "products", [moved])
    said = {**catalogue.variant("P-1-01"), "parent": "P-2", "updated": "2026-08-01T00:00:00+00:00"}
    catalogue.say("akeneo", "variants", [said])
    one.follower.look()
    assert [b"P-1-01" in one.ask(text) for text in texts] == [False, True]


def test_a_process_that_cannot_look_uses_nothing(two: tuple[Process, Process]) -> None:
    one, _ = two
    one.ask()
    one.shelf.near.until = 0.0  # as it is by itself, soon after the last look
    one.ask()
    assert one.ran == 2
    one.follower.look()
    one.ask()
    assert one.ran == 2


def test_a_redis_that_comes_back_with_what_it_had_forgotten(two: tuple[Process, Process]) -> None:
    """Restored from a dump: marks that were deleted are there again, and the answers with them."""
    one, _ = two
    one.ask()
    with Redis.from_url(settings.REDIS_URL) as redis:
        dumped = {key: (redis.dump(key), max(0, redis.pttl(key))) for key in redis.scan_iter()}
        renamed("Yurt")
        one.follower.look()
        redis.flushall()
        for key, (value, milliseconds) in dumped.items():
            redis.restore(key, milliseconds, value)
    one.follower.look()
    assert b"Yurt 1" in one.ask()


def test_a_flushed_redis_and_a_new_process(two: tuple[Process, Process]) -> None:
    one, other = two
    one.ask()
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.flushall()
    assert b"Tent 1" in one.ask()
    one.follower.look()
    one.ask()
    one.ask()
    assert one.ran == 3  # read, read again, and kept again
    renamed("Yurt")
    # Nobody has looked since; whoever comes goes on from where Redis stands.
    assert b"Yurt 1" in Process().ask()
    assert b"Yurt 1" in other.ask()


def test_a_load_of_changes_drops_everything(
    two: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = two
    one.ask()
    monkeypatch.setattr(tags, "MOST_RECORDS", 1)
    catalogue.say("akeneo", "products", [catalogue.model(n, name="Yurt") for n in (1, 2)])
    one.follower.look()
    assert b"Yurt 1" in one.ask()
    assert one.ran == 2


ASKED: Sequence[tuple[str, str]] = [
    ("GraphQL", DETAIL),
    ("GraphQL", DETAIL.replace("P-1", "P-2")),
    ("GraphQL", '{ variant(sku: "P-1-01") { sku product { name } prices { amount } } }'),
    ("GraphQL", "{ products(filter: {inStock: true}) { nodes { sku } } }"),
    ("GraphQL", '{ products(filter: {category: "cat_2"}, first: 2) { nodes { sku name } } }'),
    ("GraphQL", '{ category(code: "cat_3") { name path { name } } }'),
    ("GraphQL", '{ reviews(filter: {product: "P-1"}) { nodes { rating product { name } } } }'),
    ("GraphQL", '{ one: product(sku: "P-1") { name } prices { nodes { amount } } }'),
    ("REST", "/api/v1/products/P-1"),
    ("REST", "/api/v1/products/P-2"),
    ("REST", "/api/v1/products"),
    ("REST", "/api/v1/variants/P-1-02"),
    ("REST", "/api/v1/categories/cat_3"),
]


def change(chance: random.Random, turn: int) -> None:
    """Something happens in one of the systems."""
    at = f"2026-04-01T{turn // 60:02}:{turn % 60:02}:00+00:00"
    number, sku = chance.randint(1, 3), f"P-{chance.randint(1, 2)}-0{chance.randint(1, 2)}"
    what = chance.randrange(8)
    if what == 0:
        catalogue.say("akeneo", "products", [catalogue.model(number, name=f"Tent {turn}", at=at)])
    elif what == 1:
        catalogue.say("sap", "prices", catalogue.prices(sku, amount=str(chance.randint(1, 99))))
    elif what == 2:
        levels = [
            {**s, "available": chance.randint(0, 3), "updated_at": at} for s in catalogue.stock(sku)
        ]
        catalogue.say("wms", "stock", levels)
    elif what == 3:
        node = {**chance.choice(catalogue.CATEGORIES[1:]), "updated": at}
        node["labels"] = {"en_US": f"Tents {turn}"}
        catalogue.say("akeneo", "categories", [node])
    elif what == 4:
        model = {
            **catalogue.model(number, at=at),
            "categories": [chance.choice(["cat_2", "cat_4"])],
        }
        catalogue.say("akeneo", "products", [model])
    elif what == 5:
        parent = f"P-{chance.randint(1, 2)}"
        said = {**catalogue.variant(sku), "parent": parent, "updated": at}
        catalogue.say("akeneo", "variants", [said])
    elif what == 6:
        review = catalogue.review(f"a0100000000000{chance.randint(1, 5)}AAA", chance.randint(1, 5))
        stamp = at.replace("+00:00", ".000+0000")
        catalogue.say("salesforce", "reviews", [{**review, "SystemModstamp": stamp}])
    else:
        key = chance.choice(["P-2", "P-3"])
        catalogue.withdrawn("akeneo", "products", "product", key)


@pytest.mark.parametrize("seed", [1, 2])
def test_after_any_changes_a_kept_answer_is_what_the_database_says(
    two: tuple[Process, Process], seed: int
) -> None:
    chance = random.Random(seed)

    def said(process: Process, how: str, what: str) -> bytes | None:
        return process.ask(what) if how == "GraphQL" else process.fetch(what)

    asked = 0
    for turn in range(40):
        for _ in range(chance.randint(1, 2)):
            change(chance, turn)
        for process in two:
            process.follower.look()
        fresh = Process()
        fresh.shelf.near.until = 0.0  # keeps nothing
        for how, what in chance.sample(ASKED, 6):
            wanted = said(fresh, how, what)
            for process in chance.sample(two, 2):
                asked += 1
                assert said(process, how, what) == wanted, (seed, turn, what)
    assert sum(process.ran for process in two) < 0.7 * asked


def test_headers_follow_the_data_class() -> None:
    text, price = CLASSES["text"], strictest(["text", "price"])
    assert http.cache_control(price, "") == (
        "public, max-age=0, s-maxage=5, stale-while-revalidate=5, stale-if-error=60"
    )  # fmt: skip
    assert http.cache_control(text, "public product.name") == "private, no-cache"
    assert http.cache_control(strictest(["text", "personal"]), "") == "private, no-store"
    with override_settings(HEADWATER_PUBLIC_CLASSES=["text"]):
        assert "s-maxage=300" in http.cache_control(strictest(["text"]), "")
        assert http.cache_control(strictest(["text", "price"]), "") == "private, no-cache"
    with override_settings(HEADWATER_PUBLIC_CLASSES=["personal"]):
        assert http.cache_control(strictest(["personal"]), "") == "private, no-store"
    with pytest.raises(ConfigurationError, match="declare one of"):
        strictest(["prise"])


def test_a_position_of_another_database_purges_everything(two: tuple[Process, Process]) -> None:
    one, _ = two
    one.ask()
    one.follower._seen = "9000000000:9000000000:"
    one.follower.look()
    one.ask()
    assert one.ran == 2
    assert notices.since(notices.position(), 10)[1] == []


@pytest.fixture(autouse=True)
def _connections() -> Any:
    yield
    pool.release()


def test_what_was_asked_counts_for_the_memory_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client chooses its length; a short answer to a long question is no small thing to keep."""
    monkeypatch.setattr(near, "MOST_BYTES", 100_000)
    kept, shelf = near.Kept(b"{}", [], until=float("inf")), near.Near()
    shelf.until = float("inf")
    asked = [(("all", "de"), b"%04d" % number + b" " * 4_000) for number in range(100)]
    for one in asked:
        shelf.put(one, kept, shelf.clock)
    held = [one for one in asked if shelf.get(one)]
    assert held
    assert sum(len(body) for _, body in held) <= 100_000
    assert held[-1] == asked[-1]
