"""Our own contract: what is committed is served, and callers are warned before it breaks."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from catalog.entities import Deprecated, Product, Variant
from hub.contract import outward
from hub.contract.compare import Break, breaks

COMMITTED = outward.committed()
SINCE, PAST, COMING = date(2025, 1, 1), date(2026, 1, 1), date(2999, 12, 31)


def told(action: str) -> str:
    out = io.StringIO()
    call_command("api_contract", action, stdout=out)
    return out.getvalue()


def test_what_is_served_is_what_is_committed() -> None:
    assert told("check") == "what is served is what is committed\n"


def test_nothing_is_broken_by_nothing() -> None:
    assert breaks(COMMITTED, COMMITTED) == []


def without_gtin(files: dict[str, str]) -> dict[str, str]:
    """The contract with the variant's gtin gone, in both of its forms."""
    openapi = json.loads(files["openapi.json"])
    for name, schema in openapi["components"]["schemas"].items():
        if name.startswith("Variant"):
            schema.get("properties", {}).pop("gtin", None)
    lines = files["schema.graphql"].splitlines()
    kind, kept = "", []
    for line in lines:
        kind = line.split()[1] if line.startswith(("type ", "input ")) else kind
        if not (kind == "Variant" and line.strip().startswith("gtin:")):
            kept.append(line)
    return {"openapi.json": json.dumps(openapi), "schema.graphql": "\n".join(kept)}


def test_a_removed_field_breaks_callers_of_both() -> None:
    found = breaks(COMMITTED, without_gtin(COMMITTED))
    assert Break("GraphQL", "Variant.gtin was removed") in found
    assert Break("REST Variant.gtin", "removed") in found
    assert not any(one.due(PAST) for one in found)


@pytest.mark.parametrize(("sunset", "may_go"), [(PAST, True), (COMING, False)])
def test_a_field_may_go_once_its_announced_day_has_come(
    sunset: date,
    *,
    may_go: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = Deprecated(SINCE, sunset, "Read `sku`.")
    monkeypatch.setattr(
        Variant, "declaration", replace(Variant.declaration, deprecated={"gtin": mark})
    )
    announced = outward.served()
    assert f'@deprecated(reason: "Read `sku`. Goes on {sunset}")' in announced["schema.graphql"]
    # To announce is no break.
    assert breaks(COMMITTED, announced) == []
    found = breaks(announced, without_gtin(announced))
    assert found
    assert {one.sunset for one in found} == {sunset}
    assert all(one.due(date(2026, 6, 1)) is may_go for one in found)


@pytest.mark.parametrize(
    ("sunset", "remedy"),
    [
        (PAST, ""),
        (COMING, r"keep it until its sunset, 2999-12-31"),
        (None, r"`deprecated` of its entity's declaration first"),
    ],
)
def test_the_command_lets_a_field_go_by_date(
    sunset: date | None, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outward, "FOLDER", tmp_path)
    marks = {"gtin": Deprecated(SINCE, sunset, "Read `sku`.")} if sunset else {}
    declared = replace(Variant.declaration, deprecated=marks)
    with monkeypatch.context() as announced:
        announced.setattr(Variant, "declaration", declared)
        told("write")
        gone = without_gtin(outward.served())
    monkeypatch.setattr(outward, "served", lambda: gone)
    if remedy:
        for action in ("check", "write"):
            with pytest.raises(CommandError, match=rf"Variant\.gtin was removed; .*{remedy}"):
                told(action)
    else:
        assert told("write") == "written: openapi.json, schema.graphql\n"
        assert told("check") == "what is served is what is committed\n"


def test_a_sunset_is_not_brought_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    served = []
    for sunset in (COMING, PAST):
        mark = Deprecated(SINCE, sunset, "Read `sku`.")
        declared = replace(Variant.declaration, deprecated={"gtin": mark})
        monkeypatch.setattr(Variant, "declaration", declared)
        served.append(outward.served())
    told_of = Break("GraphQL", f"Variant.gtin would go on {PAST} already", COMING)
    assert breaks(*served) == [told_of]
    assert breaks(*reversed(served)) == []


def test_operations_and_parameters_are_part_of_the_contract() -> None:
    openapi = json.loads(COMMITTED["openapi.json"])
    del openapi["paths"]["/api/v1/variants"]
    listed = openapi["paths"]["/api/v1/products"]["get"]["parameters"]
    gone = listed.pop()["name"]
    listed.append({"name": "tenant", "in": "query", "required": True})
    found = breaks(
        {"openapi.json": COMMITTED["openapi.json"]}, {"openapi.json": json.dumps(openapi)}
    )
    assert set(found) == {
        Break("GET /api/v1/variants", "is gone"),
        Break("GET /api/v1/products", f"the parameter {gone} is gone"),
        Break("GET /api/v1/products", "the parameter tenant is demanded now"),
    }


def test_a_breaking_change_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(outward, "FOLDER", tmp_path)
    told("write")
    added = (tmp_path / "schema.graphql").read_text()
    promised = added.replace("type Product {", "type Product {\n  vanished: String\n", 1)
    (tmp_path / "schema.graphql").write_text(promised)
    with pytest.raises(CommandError, match=r"Product\.vanished was removed"):
        told("write")
    assert (tmp_path / "schema.graphql").read_text() == promised


def test_an_addition_has_to_be_committed_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outward, "FOLDER", tmp_path)
    told("write")
    mark = Deprecated(SINCE, COMING, "Read `name`.")
    monkeypatch.setattr(
        Product, "declaration", replace(Product.declaration, deprecated={"brand": mark})
    )
    with pytest.raises(CommandError, match="api_contract write"):
        told("check")
    told("write")
    assert told("check")
