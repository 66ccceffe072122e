"""The generated source: importable, as strict as what is published, limited to what is used."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.contracts.sample import sample
from connectors.contracts.shape import Field, Kind, Shape, SpecificationError, Type
from connectors.contracts.source import Wanted
from connectors.contracts.uses import tree
from tests.unit.connectors.contracts.documents import FIXTURES, contract, contracts, read

DOCUMENTS = sorted(path.name for path in FIXTURES.iterdir())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_type_becomes_a_model_that_takes_its_sample(name: str, tmp_path: Path) -> None:
    spec = read(name)
    wanted = [Wanted(shape) for shape in spec.shapes.values()]
    _, classes = contracts(spec.shapes, wanted, tmp_path)
    for shape in spec.shapes.values():
        payload = json.dumps(sample(shape, spec.shapes))
        classes[shape.name].model_validate_json(payload)


V2 = {
    "Article": "A1", "Group": None, "Weight": "1.500", "Pieces": 3, "Total": "12345678901",
    "ChangedAt": "/Date(1767225600000+0000)/", "ChangedTime": "PT15H55M42S", "Active": True,
    "Size": {"Height": "1.5"}, "to_Text": {"__deferred": {"uri": "x"}}, "__metadata": {},
}  # fmt: skip


def test_values_are_what_the_vendor_means_by_them(tmp_path: Path) -> None:
    record: Any = contract(read("shop_v2.edmx"), "Articles", tmp_path).model_validate(V2)
    assert record.ChangedAt == datetime(2026, 1, 1, tzinfo=UTC)
    assert record.ChangedTime == time(15, 55, 42)
    assert (record.Weight, record.Total) == (Decimal("1.500"), 12345678901)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("Article", None), ("Article", "x" * 19), ("Article", 7), ("Pieces", "3"),
        ("Pieces", None), ("Active", "yes"), ("ChangedAt", "soon"), ("Weight", "heavy"),
    ],
)  # fmt: skip
def test_a_value_that_the_vendor_does_not_publish_breaks_it(
    member: str, value: Any, tmp_path: Path
) -> None:
    article = contract(read("shop_v2.edmx"), "Articles", tmp_path)
    with pytest.raises(ValidationError, match=member):
        article.model_validate({**V2, member: value})


def test_a_contract_has_what_is_used_and_demands_what_was_asked_for(tmp_path: Path) -> None:
    used = tree(["Article", "to_Text.results.Name", "Size"])
    article = contract(read("shop_v2.edmx"), "Articles", tmp_path, used)
    assert list(article.model_fields) == ["Article", "Size", "to_Text"]
    record: Any = article.model_validate(
        {**V2, "to_Text": {"results": [{"Name": "Tent", "Language": "EN"}]}}
    )
    assert record.to_Text.results[0].model_dump() == {"Name": "Tent"}
    assert record.Size.Height == 1.5  # used as a whole
    with pytest.raises(ValidationError, match="to_Text"):
        article.model_validate(V2)  # not expanded


def test_two_views_of_one_type_are_two_classes(tmp_path: Path) -> None:
    """A nested account holds only what the query asked of it."""
    account = Shape("Account", (Field("Id", Type(Kind.TEXT)), Field("Name", Type(Kind.TEXT))))
    relation = Type(Kind.OBJECT, nullable=True, of="Account")
    contact = Shape("Contact", (Field("Account", relation, "asked"),))
    shapes = {"Account": account, "Contact": contact}
    wanted = [Wanted(account, tree(["Id"])), Wanted(contact, tree(["Account.Name"]))]
    module, _ = contracts(shapes, wanted, tmp_path)
    # A class called like a member would be hidden by it.
    assert module.AccountRecord.model_validate({"Id": "1"})
    assert module.Contact.model_validate({"Account": {"Name": "A"}})
    assert module.Contact.model_validate({"Account": None})


def test_names_that_python_or_pydantic_keep_for_themselves(tmp_path: Path) -> None:
    names = [
        "class",
        "copy",
        "date",
        "_links",
        "__metadata",
        "2nd",
        "a-b",
        "json",
        "str",
        "VERSION",
    ]
    odd = Shape("odd", tuple(Field(name, Type(Kind.DAY, nullable=True)) for name in names))
    _, classes = contracts({"odd": odd}, [Wanted(odd)], tmp_path)
    record = classes["odd"].model_validate(dict.fromkeys(names, "2026-01-01"))
    assert set(record.model_dump(by_alias=True)) == set(names)


def test_a_version_changes_with_the_contract_and_its_parts(tmp_path: Path) -> None:
    spec = read("shop_v2.edmx")
    few, more, same = (
        contract(spec, "Articles", tmp_path, tree(["Article", f"to_Text.results.{name}"])).VERSION
        for name in ("Name", "Language", "Name")
    )
    assert few == same != more


def test_a_type_that_requires_itself_has_no_sample() -> None:
    shape = Shape("A", (Field("a", Type(Kind.OBJECT, of="A")),))
    with pytest.raises(SpecificationError, match="requires itself"):
        sample(shape, {"A": shape})
