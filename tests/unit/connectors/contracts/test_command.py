"""`manage.py contract` against a sandbox over HTTP, and against what is committed."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from connectors.contracts import check, generate, store
from connectors.runtime.connector import Connector, connector_class
from connectors.sandbox import sap_documents
from connectors.sap.streams import PRODUCTS
from tests.sandboxes import running
from tests.unit.connectors.contracts.documents import FIXTURES

PUBLISHING = ("sap", "salesforce")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running() as server:
        yield server.url


@pytest.fixture
def connected(url: str, db: None) -> None:  # noqa: ARG001 (the connections need the database)
    call_command("connect_sandbox", url, stdout=io.StringIO())


def told(*words: str, **options: object) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("contract", *words, stdout=out, stderr=out, **options)
    return out.getvalue()


def refused(*words: str) -> str:
    """What a check that fails says; it must exit with 1."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("contract", *words, stdout=out, stderr=err)
    assert caught.value.code == 1
    return err.getvalue()


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ERP publishes `MaterialGroup` where it had `ProductGroup`."""
    sets = tuple(
        replace(
            one,
            properties={
                {"ProductGroup": "MaterialGroup"}.get(name, name): kind
                for name, kind in one.properties.items()
            },
        )
        for one in sap_documents.SETS
    )
    monkeypatch.setattr(sap_documents, "SETS", sets)


@pytest.mark.parametrize("slug", PUBLISHING)
@pytest.mark.usefixtures("connected")
def test_what_is_committed_is_what_the_sandbox_publishes(slug: str, tmp_path: Path) -> None:
    assert "agrees" in told("check", slug)
    told("pull", slug, "--to", str(tmp_path))
    told("generate", slug, "--to", str(tmp_path))
    folder = store.folder(connector_class(slug))
    for name in ("specification.json", "published.py"):
        assert (tmp_path / name).read_text() == (folder / name).read_text()


def test_the_committed_agree_without_any_upstream() -> None:
    for slug in PUBLISHING:
        assert told("check", slug, "--offline") == f"{slug}: agrees\n"
    assert told("check", "--offline") == "salesforce: agrees\nsap: agrees\n"


@pytest.mark.usefixtures("connected", "renamed")
def test_a_renamed_member_fails_the_check_and_names_what_it_feeds() -> None:
    said = refused("check", "sap")
    assert "sap/products" in said
    assert "A_ProductType.ProductGroup removed" in said
    assert "variant.group" in said
    assert "MaterialGroup" in said


@pytest.mark.usefixtures("connected", "renamed")
def test_a_renamed_member_fails_the_generation_until_the_mapping_is_adapted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told("pull", "sap", "--to", str(tmp_path))
    with pytest.raises(CommandError) as caught:
        told("generate", "sap", "--to", str(tmp_path))
    assert "sap/products: A_ProductType publishes no 'ProductGroup'" in str(caught.value)
    assert "variant.group" in str(caught.value)
    sap = connector_class("sap")
    adapted = replace(PRODUCTS, fields={**PRODUCTS.fields, "group": "MaterialGroup"})
    streams = (adapted, *(s for s in sap.streams if s.slug != "products"))
    monkeypatch.setattr(sap, "streams", streams)
    told("generate", "sap", "--to", str(tmp_path))
    assert "MaterialGroup: str | None" in (tmp_path / "published.py").read_text()


@pytest.mark.usefixtures("connected", "renamed")
def test_the_diff_is_for_people_and_for_machines() -> None:
    lines = told("diff", "sap").splitlines()
    assert lines[0].startswith("breaking  sap/products: A_ProductType.ProductGroup removed")
    assert lines[0].endswith("-> variant.group")
    rows = json.loads(told("diff", "sap", "--json"))
    assert {row["severity"] for row in rows} == {"breaking", "safe"}
    assert rows[0]["feeds"] == ["variant.group"]


@pytest.mark.usefixtures("connected")
def test_no_difference_is_said(tmp_path: Path) -> None:
    assert told("diff", "sap") == "no change\n"
    old = FIXTURES / "shop_v2.edmx"
    new = tmp_path / "new.edmx"
    new.write_text(old.read_text().replace('MaxLength="9"', 'MaxLength="12"'))
    said = told("diff", "--between", str(old), str(new))
    assert said.startswith("breaking  ArticleType.Group length was 9, is 12")


def test_what_cannot_be_done_is_said_with_the_remedy(tmp_path: Path, db: None) -> None:  # noqa: ARG001
    for words, remedy in (
        (("pull", "sap"), "--from"),
        (("pull", "stripe"), "connect one"),
        (("pull", "sap", "--from", str(tmp_path / "none.edmx")), "a file that can be read"),
        (("pull", "sap", "--from", str(FIXTURES / "shop_v2.edmx"), "--to", str(tmp_path)), "A_Pro"),
        (("generate", "stripe"), "contract pull stripe"),
        (("pull", "nobody"), "installed are"),
    ):
        with pytest.raises(CommandError) as caught:
            told(*words)
        assert remedy in str(caught.value), words


def test_a_document_can_be_generated_whole(tmp_path: Path) -> None:
    said = told("generate", "--from", str(FIXTURES / "shop_v2.edmx"), "--to", str(tmp_path))
    assert said == "shop_v2.py: 5 types\n"
    sys.path.insert(0, str(tmp_path))
    try:
        module = __import__("shop_v2")
    finally:
        sys.path.remove(str(tmp_path))
    assert module.TextType.model_validate({"Language": "EN", "Name": None})


def test_a_hand_edited_module_is_found(tmp_path: Path) -> None:
    sap: type[Connector] = connector_class("sap")
    pulled = store.load(store.folder(sap) / "specification.json")
    module = tmp_path / "published.py"
    module.write_text(
        generate.module(sap, pulled).replace("ProductGroup: str", "ProductGroup: int")
    )
    (found,) = check.offline(sap, pulled, module)
    assert "contract generate sap" in found.message
