"""The built TypeScript client, installed in a frontend: over HTTP, and as a compiler sees it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphene.utils.str_converters import to_camel_case

from catalog.entities import entities
from hub.auth.keys import issue_key
from tests import catalogue
from tests.interop.sdk.frontends import compiled, line_of, told
from tests.processes import free_port, until
from tests.web import Web, serving


def test_a_frontend_compiles_and_what_was_not_asked_for_is_not_there(frontend: Path) -> None:
    assert compiled(frontend) == []
    page = frontend / "page.ts"
    asked = page.read_text()
    try:
        page.write_text(asked.replace('include: ["provenance"]', "include: []"))
        (line,) = compiled(frontend)
    finally:
        page.write_text(asked)
    assert line.startswith(f"page.ts({line_of('staleFields(p)', asked)},")
    assert "provenance" in line


def test_no_public_type_is_any(built: Path) -> None:
    written = [
        file for file in (built / "typescript" / "dist").rglob("*.d.ts") if "mock" not in file.parts
    ]
    assert written
    for file in written:
        text = re.sub(r'/\*.*?\*/|//.*|"(?:\\.|[^"\\])*"', "", file.read_text(), flags=re.DOTALL)
        assert not re.search(r"[:<|,&(]\s*any\b", text), file.name


@pytest.mark.parametrize(
    ("imported", "zod", "graphql"),
    [
        ('import { createHeadwater } from "headwater"; console.log(createHeadwater)', False, False),
        ('import { zProvenance } from "headwater/schemas"; console.log(zProvenance)', True, False),
        ('import { priceDocument } from "headwater/documents"; console.log(priceDocument)', False, True),
        ('import "headwater"; import "headwater/schemas"; import "headwater/documents"', False, False),
    ],
)  # fmt: skip
def test_a_bundle_has_what_is_imported_and_no_more(
    frontend: Path, *, imported: str, zod: bool, graphql: bool
) -> None:
    (frontend / "entry.mjs").write_text(imported)
    esbuild = frontend / "node_modules" / ".bin" / "esbuild"
    words = ["entry.mjs", "--bundle", "--format=esm", "--metafile=meta.json", "--outfile=out.js"]
    subprocess.run([esbuild, *words], cwd=frontend, check=True, capture_output=True, timeout=60)
    (output,) = json.loads((frontend / "meta.json").read_text())["outputs"].values()
    inputs = {name for name, one in output["inputs"].items() if one["bytesInOutput"]}
    assert any("node_modules/zod/" in name for name in inputs) == zod
    assert any("node_modules/gql.tada/" in name for name in inputs) == graphql
    text = (frontend / "out.js").read_text()
    if "zProvenance" in imported:
        assert "zHistoryOfProductResponse" not in text
    if "priceDocument" in imported:
        assert "query price(" in text
        assert "query product(" not in text


@pytest.fixture
def hub(transactional_db: None, tmp_path: Path) -> Iterator[Web]:
    del transactional_db
    catalogue.fill(2)
    with serving(tmp_path / "web.log") as web:
        yield web


def keys() -> dict[str, dict[str, Any]]:
    """Of each kind a record that is there, as its GraphQL root wants it."""
    found = {}
    for cls in entities().values():
        row: Any = cls._default_manager.first()
        assert row is not None, cls
        found[to_camel_case(cls.declaration.name)] = {cls.declaration.key: row.key}
    return found


def test_it_reads_the_hub(hub: Web, frontend: Path) -> None:
    asked = keys()
    got = told(frontend, "client.mjs", hub.url, issue_key("sdk"), "P-1", json.dumps(asked))
    assert got["product"]["sku"] == "P-1"
    assert got["product"]["variants"][0]["group"]
    assert got["named"]["system"] == "akeneo"
    assert got["named"]["stale"] is False
    assert got["named"]["age_seconds"] > 0
    assert [one["sku"] for one in got["page"]["items"]] == ["P-1"]
    assert [one["sku"] for one in got["walked"]] == ["P-1-01", "P-1-02", "P-2-01", "P-2-02"]
    assert all(one["prices"] for one in got["walked"])
    for root, arguments in asked.items():
        (key, value), = arguments.items()  # fmt: skip
        assert got["answers"][root][key] == value
    assert len(got["answers"]["products"]["nodes"]) == 2
    assert got["explained"]["winner"]["system"] == "akeneo"
    assert got["history"][0]["kind"] == "created"
    assert got["rest"] == 200
    refusals(got)


def test_it_reads_the_mock_server_that_npx_starts(frontend: Path) -> None:
    """By the command that npm links, with nothing of npm's around it but the package."""
    port = free_port()
    command = frontend / "node_modules" / "headwater" / "dist" / "mock" / "cli.js"
    started = subprocess.Popen(["node", command, "--port", str(port)], stdout=subprocess.PIPE)
    web = Web(port)

    def answers() -> bool:
        assert started.poll() is None
        try:
            return web.request("GET", "/api/v1/products").status == 401
        except OSError:
            return False

    try:
        until("mock server", answers, 30)
        asked = {
            to_camel_case(cls.declaration.name): {cls.declaration.key: "K-1"}
            for cls in entities().values()
        }
        got = told(frontend, "client.mjs", web.url, "any", "P-000001", json.dumps(asked))
    finally:
        started.terminate()
        started.wait(timeout=10)
    assert got["product"]["sku"] == "P-000001"
    assert [one["product"] for one in got["product"]["variants"]] == ["P-000001"] * 2
    assert len(got["walked"]) > len(got["product"]["variants"])
    assert got["answers"]["product"]["sku"] == "K-1"
    refusals(got)


def refusals(got: dict[str, Any]) -> None:
    """Both answer alike to what is wrong."""
    assert (got["missing"]["code"], got["missing"]["status"]) == ("not_found", 404)
    assert (got["wrong"]["code"], got["wrong"]["status"]) == ("bad_input", 400)
    assert got["wrong"]["errors"][0]["parameter"] == "limit"
    assert (got["stranger"]["code"], got["stranger"]["status"]) == ("unauthorized", 401)
    assert (got["nowhere"]["code"], got["nowhere"]["status"]) == ("unreachable", 0)
    assert "$sku" in got["document"]["message"]


def test_every_answer_of_the_mock_server_is_valid(frontend: Path) -> None:
    got = told(frontend, "mock.mjs")
    assert {name: one["wrong"] for name, one in got["found"].items() if one["wrong"]} == {}
    # each entity's list, record, explanation and history; and what became of a command
    assert len(got["found"]) == 4 * len(entities()) + 1
    assert all(one["asked"] for one in got["found"].values())
    assert got["twice"][0] == got["twice"][1]
    told_by = {name: (one["status"], one["body"]["code"]) for name, one in got["refusals"].items()}
    assert told_by == {
        "missing": (404, "not_found"),
        "stranger": (401, "unauthorized"),
        "unknown": (400, "bad_input"),
        "limit": (400, "bad_input"),
        "locale": (400, "bad_input"),
        "cursor": (400, "bad_input"),
        "nothing": (404, "not_found"),
    }
    assert {one["type"] for one in got["refusals"].values()} == {"application/problem+json"}
