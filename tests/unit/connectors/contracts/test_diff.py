"""Each kind of change is classified by what it does to those who read such records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.contracts import diff, formats
from connectors.contracts.diff import Change, Reading, Severity
from connectors.contracts.shape import Field, Kind, Shape, Type
from tests.unit.connectors.contracts.documents import FIXTURES

TEXT = Type(Kind.TEXT)
LIMITED = Type(Kind.TEXT, max_length=10)
CODED = Type(Kind.TEXT, choices=("a", "b"))


def only(old: Type, new: Type) -> str:
    """The severity of the one change between two types."""
    (found,) = diff.type_changes(old, new)
    assert found[1]
    assert found[2]
    return found[0]


@pytest.mark.parametrize(
    ("old", "new", "severity"),
    [
        (TEXT, Type(Kind.INTEGER), "breaking"),
        (Type(Kind.NUMBER), Type(Kind.INTEGER), "safe"),
        (Type(Kind.INTEGER), Type(Kind.NUMBER), "breaking"),
        (Type(Kind.ANY), TEXT, "safe"),
        (TEXT, Type(Kind.ANY), "breaking"),
        (TEXT, replace(TEXT, nullable=True), "breaking"),
        (replace(TEXT, nullable=True), TEXT, "safe"),
        (LIMITED, replace(LIMITED, max_length=20), "breaking"),
        (LIMITED, TEXT, "breaking"),
        (LIMITED, replace(LIMITED, max_length=5), "risky"),
        (Type(Kind.DECIMAL, precision=9), Type(Kind.DECIMAL, precision=12), "risky"),
        (Type(Kind.MOMENT, wire="odata2"), Type(Kind.MOMENT), "breaking"),
        (CODED, replace(CODED, choices=("a", "b", "c")), "breaking"),
        (CODED, TEXT, "breaking"),
        (CODED, replace(CODED, choices=("a",)), "safe"),
        (TEXT, CODED, "safe"),
        (Type(Kind.LIST, items=TEXT), Type(Kind.LIST, items=Type(Kind.BOOLEAN)), "breaking"),
        (Type(Kind.UNION, any_of=(TEXT, LIMITED)), Type(Kind.UNION, any_of=(TEXT,)), "safe"),
        (Type(Kind.UNION, any_of=(TEXT,)), Type(Kind.UNION, any_of=(TEXT, CODED)), "breaking"),
        (Type(Kind.OBJECT, of="A"), Type(Kind.OBJECT, of="B"), "risky"),
    ],
)
def test_a_changed_type(old: Type, new: Type, severity: str) -> None:
    assert only(old, new) == severity
    assert not list(diff.type_changes(old, old))


@pytest.mark.parametrize(
    ("old", "new", "severity"),
    [
        ("always", "maybe", "breaking"), ("always", "asked", "breaking"),
        ("maybe", "asked", "risky"), ("maybe", "always", "safe"), ("asked", "always", "safe"),
    ],
)  # fmt: skip
def test_a_changed_presence(old: Any, new: Any, severity: str) -> None:
    (found,) = diff.field_changes(Field("a", TEXT, old), Field("a", TEXT, new))
    assert found[0] == severity


def article(*fields: Field, keys: tuple[str, ...] = ("Id",)) -> Shape:
    return Shape("Article", (Field("Id", TEXT), *fields), keys)


def test_a_removed_member_beside_a_new_one_may_have_been_renamed() -> None:
    old, new = article(Field("ProductGroup", TEXT)), article(Field("MaterialGroup", TEXT))
    removed, added = diff.documents({"Article": old}, {"Article": new})
    assert (removed.severity, removed.place) == (Severity.BREAKING, "Article.ProductGroup")
    assert "MaterialGroup" in removed.reason
    assert (added.severity, added.what) == (Severity.SAFE, "added")


def test_a_new_key_makes_other_records_of_them() -> None:
    (change,) = diff.documents({"Article": article()}, {"Article": article(keys=("Id", "Org"))})
    assert change.severity is Severity.BREAKING
    assert "Id/Org" in change.what


def test_what_no_stream_reads_may_change_as_it_likes() -> None:
    old = article(Field("Used", TEXT), Field("Other", TEXT), Field("Text", Type(Kind.INTEGER)))
    new = article(Field("Used", Type(Kind.INTEGER)), Field("Other", Type(Kind.INTEGER)))
    targets = {"Id": ("the record's key",), "Used": ("variant.group",)}
    changes = Reading({}, {}, targets).changes(old, new)
    assert [(c.place, c.severity, c.feeds) for c in changes] == [
        ("Article.Used", Severity.BREAKING, ("variant.group",)),
        ("Article.Other", Severity.SAFE, ()),
        ("Article.Text", Severity.SAFE, ()),
    ]


def test_a_change_inside_a_nested_object_is_found_where_it_is_read() -> None:
    inner = Shape("Text", (Field("Name", TEXT), Field("Language", TEXT)))
    outer = article(Field("Texts", Type(Kind.LIST, items=Type(Kind.OBJECT, of="Text"))))
    news = {"Text": Shape("Text", (Field("Name", replace(TEXT, nullable=True)),))}
    targets = {"Texts": ("product.name",), "Texts.Name": ("product.name",)}
    changes = Reading({"Text": inner}, news, targets).changes(outer, outer)
    assert [(c.place, c.severity) for c in changes] == [
        ("Text.Name", Severity.BREAKING),
        ("Text.Language", Severity.SAFE),
    ]


def test_a_document_does_not_differ_from_itself() -> None:
    for path in FIXTURES.iterdir():
        shapes = formats.read(path.read_bytes(), path.name).shapes
        assert diff.documents(shapes, shapes) == []


def test_of_two_documents_the_worst_comes_first() -> None:
    document = json.loads((FIXTURES / "shop_openapi.json").read_text())
    old = formats.read(json.dumps(document).encode(), "old").shapes
    schemas = document["components"]["schemas"]
    schemas["article"]["properties"]["status"]["enum"].append("lost")
    schemas["article"]["properties"]["colour"] = {"type": "string"}
    schemas["named"]["required"] = []
    schemas["store"] = schemas.pop("anyone")
    changes = diff.documents(old, formats.read(json.dumps(document).encode(), "new").shapes)
    assert [str(c.severity) for c in changes] == ["breaking"] * 4 + ["safe"] * 2
    found = {c.place: c for c in changes}
    assert found["article.status"] == Change(
        Severity.BREAKING, "article.status", "new values: lost",
        "the contract and the mapping know the old ones alone",
    )  # fmt: skip
    assert {"anyone", "store", "named.name", "owner.name", "article.colour"} <= set(found)
