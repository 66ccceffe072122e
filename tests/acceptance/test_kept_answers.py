"""Kept answers over HTTP, from several processes, with the Redis of a test that stops it."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from django.db import connection as database
from pytest_django import DjangoDbBlocker

from catalog.followers import Patience
from catalog.notices import ChangeNotice
from connectors.outbox import fanout
from hub.auth.keys import issue_key
from hub.launch import binaries
from tests import catalogue
from tests.direct import written_directly
from tests.processes import free_port, until
from tests.web import Answer, Web, serving

pytestmark = pytest.mark.django_db(transaction=True)

#: A purge takes a second at most; the rest is for the machine that answers.
SOON = 4.0
MANY = 12
DOCUMENT = 'query($locale: String) { product(sku: "P-1", locale: $locale) { sku name brand } }'
PRICES = '{ product(sku: "P-1") { variants { prices { amount } } } }'


class Valkey:
    """One over TCP that can be stopped and started."""

    def __init__(self, directory: Path) -> None:
        self._port, self._directory = free_port(), directory
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(binaries.find_valkey()), "--port", str(self._port), "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._directory)], stdout=subprocess.DEVNULL
        )

    def freeze(self) -> None:
        """It takes connections, and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Shop:
    """Web workers, and a reader with a key of this test's."""

    def __init__(self, web: Web, valkey: Valkey) -> None:
        self.web, self.valkey, self.key = web, valkey, ""

    def get(self, path: str = "/api/v1/products/P-1", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {self.key}", **named}
        return self.web.request("GET", path, headers=sent)

    def post(self, text: str = DOCUMENT, **variables: str) -> Answer:
        body = json.dumps({"query": text, "variables": variables}).encode()
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return self.web.post("/graphql", body, sent)

    def persisted(self, text: str = DOCUMENT, **headers: str) -> Answer:
        """By GET, known from then on."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        named = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
        body = json.dumps({"query": text, "extensions": named}).encode()
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        self.web.post("/graphql", body, sent)
        query = urlencode({"extensions": json.dumps(named)}, quote_via=quote)
        return self.get(f"/graphql?{query}", **headers)


@pytest.fixture(scope="module")
def running(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    del django_db_setup  # the database is there; that is all it has to say
    directory = tmp_path_factory.mktemp("kept")
    valkey = Valkey(directory)
    valkey.start()
    try:
        with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock():
            patch.setenv("REDIS_URL", valkey.url)
            with serving(directory / "web.log") as web:
                yield Shop(web, valkey)
    finally:
        valkey.stop()


@pytest.fixture
def shop(running: Shop) -> Shop:
    catalogue.fill(2)
    # A storefront's: it is shown nothing guarded, so what it reads may be kept.
    running.key = issue_key("tests", ["read:*", "trace:*"])
    everywhere(lambda: b"Alpina" in running.get().body)
    return running


def everywhere(true: Callable[[], bool]) -> None:
    """Wait until every process says so, again and again."""
    until("answer that holds", lambda: all(true() for _ in range(MANY)), SOON)


def behind_its_back(brand: str) -> None:
    """A change that no notice tells: an answer with the former brand is a kept one."""
    with written_directly(), database.cursor() as cursor:
        cursor.execute("UPDATE catalog_product SET brand = %s WHERE key = 'P-1'", [brand])


def renamed(name: str) -> None:
    model = catalogue.model(1, name=name, at="2026-03-01T00:00:00+00:00")
    catalogue.say("akeneo", "products", [model])


def test_an_answer_is_kept_and_a_merge_is_seen_everywhere_within_a_second(shop: Shop) -> None:
    ways: list[Callable[[], Answer]] = [
        lambda: shop.get("/api/v1/products"),
        shop.post,
        shop.persisted,
    ]
    everywhere(lambda: all(b"Alpina" in ask().body for ask in ways))
    behind_its_back("Nobody")
    for ask in ways:
        assert any(b"Alpina" in ask().body for _ in range(MANY))
    renamed("Yurt")
    everywhere(lambda: all(b"Yurt 1" in ask().body for ask in ways))


def test_a_price_is_seen_in_the_product_and_its_list(shop: Shop) -> None:
    page = "/api/v1/products?include=parts"
    ways: list[Callable[[], Answer]] = [shop.get, lambda: shop.get(page), lambda: shop.post(PRICES)]
    everywhere(lambda: all(b"129.90" in ask().body for ask in ways))
    for sku in ("P-1-01", "P-1-02", "P-2-01", "P-2-02"):
        catalogue.say("sap", "prices", catalogue.prices(sku, amount="77.70"))
    everywhere(lambda: all(b"129.90" not in ask().body for ask in ways))


@pytest.mark.parametrize(("leave", "come_back"), [("stop", "start"), ("freeze", "thaw")])
def test_reads_go_on_while_redis_is_away_and_after(shop: Shop, leave: str, come_back: str) -> None:
    getattr(shop.valkey, leave)()
    try:
        assert {shop.get().status for _ in range(MANY)} == {200}
        everywhere(lambda: b"Alpina" in shop.post().body)
        behind_its_back("Nobody")
        # Processes keep their own copies, and hear of changes all the same.
        assert any(b"Alpina" in shop.post().body for _ in range(MANY))
        renamed("Yurt")
        everywhere(lambda: b"Yurt 1" in shop.get().body)
    finally:
        getattr(shop.valkey, come_back)()
    catalogue.withdrawn("akeneo", "products", "product", "P-1")
    everywhere(lambda: shop.get().status == 404)
    assert {shop.get("/api/v1/products/P-2").status for _ in range(MANY)} == {200}


def test_a_record_appears_and_goes(shop: Shop) -> None:
    path, listed = "/api/v1/products/P-9", "/api/v1/products"
    missing = shop.get(path)
    assert (missing.status, missing.headers["cache-control"]) == (404, "no-store")
    assert b"P-9" not in shop.get(listed).body
    catalogue.say("akeneo", "products", [catalogue.model(9)])
    everywhere(lambda: shop.get(path).status == 200 and b"P-9" in shop.get(listed).body)
    catalogue.withdrawn("akeneo", "products", "product", "P-9")
    everywhere(lambda: shop.get(path).status == 404 and b"P-9" not in shop.get(listed).body)


def test_a_reader_who_has_it_is_sent_nothing(shop: Shop) -> None:
    ways: list[Callable[..., Answer]] = [shop.get, shop.persisted]
    for ask in ways:
        first = ask()
        etag = first.headers["etag"]
        again = ask(If_None_Match=f'"other", W/{etag}')
        assert (again.status, again.body) == (304, b"")
        for name in ("etag", "cache-control", "vary"):
            assert again.headers[name] == first.headers[name]
        assert "content-type" not in again.headers
        assert ask(If_None_Match='"other"').status == 200
    renamed("Yurt")
    everywhere(lambda: shop.get(If_None_Match=first.headers["etag"]).status == 200)
    assert "etag" not in shop.post().headers


def test_headers_say_what_caches_may_do(shop: Shop) -> None:
    whole, texts = shop.get().headers, shop.persisted().headers
    assert whole["cache-control"] == (
        "public, max-age=0, s-maxage=3, stale-while-revalidate=3, stale-if-error=60"
    )
    assert "s-maxage=300" in texts["cache-control"]
    assert whole["vary"] == texts["vary"]
    named = "Authorization, X-API-Key, Headwater-Use, Accept-Language, CF-IPCountry"
    assert whole["vary"].startswith(named)
    assert texts["surrogate-key"] == "product:P-1"
    assert set(whole["surrogate-key"].split()) == {"categories", "product:P-1"}
    assert set(whole["cache-tag"].split(",")) == {"categories", "product:P-1"}
    moving = shop.get("/api/v1/products/P-1?include=provenance").headers
    assert moving["cache-control"] == "private, no-cache"
    assert "surrogate-key" not in moving
    assert shop.get("/api/v1/customers").headers["cache-control"] == "private, no-store"
    assert shop.post().headers["cache-control"] == "no-store"


def test_what_not_everybody_may_see_is_kept_nowhere(shop: Shop) -> None:
    """A review's author is personal: the answer that names one is no shared cache's matter."""
    reviews, titles = "/api/v1/reviews", "/api/v1/reviews?fields=id,title"
    everybody = {path: shop.get(path).headers["cache-control"] for path in (reviews, titles)}
    assert all(told.startswith("public, ") for told in everybody.values())
    shop.key = issue_key("support", ["read:*", "class:personal"])
    for path in (reviews, "/api/v1/products/P-1"):
        for _ in range(3):
            answer = shop.get(path).headers
            assert answer["cache-control"] == "private, no-store"
            assert "surrogate-key" not in answer
    # What the same reader reads beside it is what everybody sees.
    assert shop.get(titles).headers["cache-control"] == everybody[titles]
    # One who is not shown all is answered for himself.
    for scopes in (["read:review"], ["read:review.title"]):
        shop.key = issue_key("narrow", scopes)
        assert shop.get(reviews).headers["cache-control"] == "private, no-cache"
    assert shop.get("/api/v1/products?limit=0").headers["cache-control"] == "no-store"
    nobody = shop.web.request("GET", "/api/v1/products/P-1")
    assert (nobody.status, nobody.headers["cache-control"]) == (401, "no-store")


def test_locales_do_not_mix(shop: Shop) -> None:
    for locale, name in (("en", "Tent 1"), ("de", "Zelt 1")) * MANY:
        assert json.loads(shop.post(locale=locale).body)["data"]["product"]["name"] == name
        assert json.loads(shop.get(f"/api/v1/products/P-1?locale={locale}").body)["name"] == name


def test_whoever_is_told_of_a_change_reads_it_from_every_process(shop: Shop) -> None:
    """What a frontend reads when it is told it may keep for good: one old answer is one too many."""
    patience = Patience()

    def all_told() -> bool:
        patience.look()
        fanout.tell(patience.over())
        return not ChangeNotice.objects.filter(told=False).exists()

    until("notices of the shop", all_told, 10)
    for turn in range(1, 6):
        name, at = f"Yurt-{turn}", f"2026-05-01T00:00:0{turn}+00:00"
        for _ in range(MANY):
            assert name.encode() not in shop.get().body
        catalogue.say("akeneo", "products", [catalogue.model(1, name=name, at=at)])
        until("telling", all_told, 10, pause=0.002)
        for _ in range(MANY):
            assert name.encode() in shop.get().body
