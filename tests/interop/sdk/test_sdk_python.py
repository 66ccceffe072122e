"""The built Python client, over HTTP against the hub."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import DjangoDbBlocker

from hub.auth.keys import issue_key
from tests import catalogue
from tests.sandboxes import running
from tests.web import Web, serving


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdk")
    call_command("sdk", "build", out=out, only="python", stdout=io.StringIO())
    return out / "python"


@pytest.fixture
def client(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(package))
    yield importlib.import_module("headwater_client")
    for name in [name for name in sys.modules if name.startswith("headwater_client")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def web(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Web]:
    del django_db_setup  # the database is there; that is all it has to say
    with django_db_blocker.unblock(), serving(tmp_path_factory.mktemp("web") / "log") as made:
        yield made


@pytest.fixture
def hub(web: Web, transactional_db: None) -> Web:
    del transactional_db
    catalogue.fill(2)
    return web


def test_it_reads_records_lists_and_errors(client: ModuleType, hub: Web) -> None:
    ours = client.Headwater(hub.url, issue_key("sdk"), locale="de_DE")
    product = ours.product(sku="P-1", include=["provenance"])
    assert product.sku == "P-1"
    assert product.variants[0].prices[0].amount > Decimal(0)
    assert product.changed_at.tzinfo is not None
    (name,) = (one for one in product.provenance if one.field == "name")
    assert (name.system, name.stale) == ("akeneo", False)
    page = ours.variants(limit=3, product="P-1")
    assert ([one.sku for one in page.items], page.next) == (["P-1-01", "P-1-02"], None)
    walked = [one.sku for one in ours.each_variants(limit=1)]
    assert walked == ["P-1-01", "P-1-02", "P-2-01", "P-2-02"]
    price = ours.price(id=product.variants[0].prices[0].id)  # a key with slashes
    assert price.variant == "P-1-01"
    assert ours.history_of_product(sku="P-1")[0].kind == "created"
    asked = ours.query("query($sku: String!) { product(sku: $sku) { name } }", {"sku": "P-1"})
    assert asked == {"product": {"name": asked["product"]["name"]}}


def test_what_is_refused_has_the_hub_s_code(client: ModuleType, hub: Web) -> None:
    ours = client.Headwater(hub.url, issue_key("sdk"))
    refused: tuple[tuple[Callable[[], Any], str, int], ...] = (
        (lambda: ours.product(sku="missing"), "not_found", 404),
        (lambda: ours.products(limit=500), "bad_input", 400),
        (lambda: client.Headwater(hub.url).products(), "unauthorized", 401),
        (lambda: client.Headwater("http://127.0.0.1:1").products(), "unreachable", 0),
        (lambda: client.Headwater(f"{hub.url}/healthz?").products(), "contract", 200),
    )
    for call, code, status in refused:
        with pytest.raises(client.HeadwaterError) as caught:
            call()
        assert (caught.value.code, caught.value.status) == (code, status)
    with pytest.raises(client.HeadwaterError) as caught:
        ours.query("{ nothing }")
    assert "nothing" in str(caught.value)


def test_it_writes_once_under_a_key_and_changes_what_it_has_read(
    client: ModuleType, hub: Web
) -> None:
    with running(20) as sandbox:
        call_command("connect_sandbox", sandbox.url, stdout=io.StringIO())
        catalogue.say("akeneo", "variants", [catalogue.variant("P-000003-02")])
        ours = client.Headwater(hub.url, issue_key("sdk"))
        models = importlib.import_module("headwater_client.models")
        asked = models.StockReserveRequest(sku="P-000003-02", quantity=1)
        first = ours.stock_reserve(asked)
        assert first.result.reservation.startswith("RSV-")
        assert ours.command(reference=first.command).operation == "stock.reserve"
        assert ours.stock_reserve(asked).command != first.command
        keyed = [ours.stock_reserve(asked, idempotency_key="a-key") for _ in range(2)]
        assert [one.replayed for one in keyed] == [False, True]
        assert keyed[0].result == keyed[1].result
        released = ours.stock_release(first.result.reservation)
        assert released.result.reservation == first.result.reservation
        with pytest.raises(client.HeadwaterError) as caught:
            ours.stock_reserve(models.StockReserveRequest(sku="none", quantity=1))
        assert (caught.value.code, caught.value.status) == ("sku_unknown", 422)
        change = models.CustomerUpdateRequest(phone="+49 30 9")
        with pytest.raises(client.HeadwaterError) as caught:
            ours.customer_update("10000001", change, if_match='"old"')
        assert caught.value.code == "precondition_failed"
        seen = client.etag_of(ours.customer(number="10000001"))
        assert ours.customer_update("10000001", change, if_match=seen).result.system == "salesforce"


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "python" / "work.py"
    kept.parent.mkdir()
    kept.touch()
    with pytest.raises(CommandError, match="another --out"):
        call_command("sdk", "build", out=tmp_path, only="python")
    assert kept.exists()


def test_its_types_are_whole(package: Path, tmp_path: Path) -> None:
    """As mypy judges an application's code, strictly."""
    (tmp_path / "page.py").write_text(
        "from headwater_client import Headwater\n"
        "\n"
        "product = Headwater('https://hub.example').product(sku='P-1', locale='de_DE')\n"
        "reveal_type(product.variants[0].gtin)\n"
        "product.nothing\n"
        "from headwater_client.models import PaymentAuthoriseRequest\n"
        "asked = PaymentAuthoriseRequest(amount='1.00', currency='EUR', method='pm_card_visa')\n"
        "written = Headwater('https://hub.example').payment_authorise(asked)\n"
        "reveal_type(written.result)\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    words = [*mypy, "--config-file", "", "page.py", str(package / "headwater_client")]
    done = subprocess.run(
        words, cwd=tmp_path, env={"MYPYPATH": str(package), "PATH": ""}, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if line.startswith("page.py")]
    assert 'Revealed type is "str | None"' in told[0], done.stdout
    assert '"Product" has no attribute "nothing"' in told[1]
    assert 'models.PaymentAuthoriseAnswer | None"' in told[2], done.stdout
    assert "Found 1 error in 1 file" in done.stdout, done.stdout
