"""Each format is read into the same neutral shape."""

from __future__ import annotations

import json

import pytest
from graphql import build_schema, introspection_from_schema

from connectors.contracts import formats
from connectors.contracts.shape import Field, Kind, Shape, SpecificationError, Type
from tests.unit.connectors.contracts.documents import FIXTURES, read

TEXT = Type(Kind.TEXT)


def member(shape: Shape, name: str) -> Field:
    found = shape.field(name)
    assert found is not None, f"{shape.name} has no {name}"
    return found


def kinds(shape: Shape) -> dict[str, Type]:
    return {field.name: field.type for field in shape.fields}


def test_odata_v2_spells_dates_and_big_numbers_in_its_own_way() -> None:
    article = read("shop_v2.edmx").shape("Articles")
    assert article.keys == ("Article",)
    found = kinds(article)
    assert found["Article"] == Type(Kind.TEXT, max_length=18)
    assert found["Group"] == Type(Kind.TEXT, nullable=True, max_length=9)
    assert found["Weight"] == Type(Kind.DECIMAL, nullable=True, precision=13, scale=3)
    assert found["Pieces"] == Type(Kind.INTEGER)
    assert found["Total"] == Type(Kind.INTEGER, nullable=True, wire="text")
    assert found["ChangedAt"] == Type(Kind.MOMENT, nullable=True, wire="odata2")
    assert found["ChangedTime"] == Type(Kind.CLOCK, nullable=True, wire="odata2")
    assert found["Size"] == Type(Kind.OBJECT, nullable=True, of="Dimensions")


def test_odata_v2_wraps_many_in_results_and_one_in_nothing() -> None:
    spec = read("shop_v2.edmx")
    article = spec.shape("Articles")
    assert member(article, "to_Text").type.of == "TextType.results"
    assert member(article, "to_Text").presence == "asked"
    assert spec.shapes["TextType.results"].fields == (
        Field("results", Type(Kind.LIST, items=Type(Kind.OBJECT, of="TextType"))),
    )
    brand = Type(Kind.OBJECT, nullable=True, of="BrandType", wire="odata2")
    assert member(article, "to_Brand").type == brand


def test_odata_v4_has_enumerations_definitions_bases_and_collections() -> None:
    article = read("shop_v4.edmx").shape("Articles")
    assert article.keys == ("Id",)  # of the base type
    found = kinds(article)
    assert found["Id"].kind is Kind.UUID
    assert found["Code"] == Type(Kind.TEXT, max_length=10)
    assert found["Status"] == Type(Kind.TEXT, choices=("Open", "Closed"))
    assert found["Features"] == Type(Kind.TEXT, nullable=True)  # flags come with commas
    assert found["Tags"] == Type(Kind.LIST, items=TEXT)
    assert found["ChangedAt"] == Type(Kind.MOMENT)
    assert found["Place"].kind is Kind.ANY
    assert found["Parts"] == Type(Kind.LIST, items=Type(Kind.OBJECT, of="Article"))
    assert found["Parent"] == Type(Kind.OBJECT, of="Article")


def test_openapi_says_what_may_be_missing_and_what_may_be_null() -> None:
    spec = read("shop_openapi.json")
    article = spec.shape("article")
    assert (spec.format, spec.version) == ("openapi", "2026-01")
    found = kinds(article)
    assert [f.name for f in article.fields if f.presence == "always"] == [
        "id", "status", "price", "class", "owner",
    ]  # fmt: skip
    assert found["status"].choices == ("open", "closed")
    assert found["price"] == Type(Kind.DECIMAL, wire="text")
    assert found["rate"] == Type(Kind.NUMBER, nullable=True)
    assert found["created"] == Type(Kind.INTEGER, wire="unix")
    assert found["labels"] == Type(Kind.MAP, items=TEXT)
    assert found["owner"] == Type(Kind.UNION, any_of=(TEXT, Type(Kind.OBJECT, of="owner")))
    assert found["parent"] == Type(Kind.OBJECT, nullable=True, of="article")
    assert "secret" not in found  # write-only: never in what is read
    assert found["size"].of == "article.size"
    assert [f.name for f in spec.shape("owner").fields] == ["name", "since"]
    assert spec.shape("anyone").root is not None


def test_swagger_2_has_its_own_word_for_null() -> None:
    found = kinds(read("shop_swagger.json").shape("Article"))
    assert found["note"] == Type(Kind.TEXT, nullable=True)
    assert found["parts"] == Type(Kind.LIST, items=Type(Kind.OBJECT, of="Article"))


def test_json_schema_is_one_record_type_and_its_definitions() -> None:
    spec = read("shop_schema.json")
    found = kinds(spec.shape("Article"))
    assert found["note"] == Type(Kind.TEXT, nullable=True)
    assert found["kind"] == Type(Kind.TEXT, choices=("article",))
    assert found["amount"] == Type(Kind.UNION, any_of=(Type(Kind.INTEGER), TEXT))
    assert found["anything"].kind is Kind.ANY
    assert found["parts"] == Type(Kind.LIST, items=Type(Kind.OBJECT, of="Article"))
    assert found["size"].of == "size"


def test_sdl_and_its_introspection_say_the_same() -> None:
    text = (FIXTURES / "shop.graphql").read_bytes()
    asked = introspection_from_schema(build_schema(text.decode()))
    spec = formats.read(text, "shop.graphql")
    assert formats.read(json.dumps({"data": asked}).encode(), "answer").shapes == spec.shapes
    article = spec.shape("Article")
    assert {f.presence for f in article.fields} == {"asked"}
    found = kinds(article)
    assert found["id"] == TEXT
    assert found["name"] == Type(Kind.TEXT, nullable=True)
    assert found["status"] == Type(Kind.TEXT, choices=("OPEN", "CLOSED"))
    assert found["price"] == Type(Kind.DECIMAL)
    assert found["tags"] == Type(Kind.LIST, items=TEXT)
    assert found["extra"].kind is Kind.ANY
    given = {f.name: f.presence for f in spec.shape("ArticleInput").fields}
    assert given == {"name": "always", "tags": "maybe", "pieces": "maybe"}


def test_wsdl_types_are_read_with_their_bases_and_choices() -> None:
    spec = read("stock.wsdl")
    level = spec.shape("Level")
    found = kinds(level)
    assert next(iter(found)) == "plant"  # of the base type
    assert found["sku"] == Type(Kind.TEXT, max_length=8)
    assert found["quantity"] == Type(Kind.DECIMAL, wire="text")
    assert found["counted"] == Type(Kind.MOMENT, nullable=True, wire="local")
    assert found["state"].choices == ("free", "blocked")
    assert found["batch"] == Type(Kind.LIST, items=Type(Kind.OBJECT, of="Level.batch"))
    assert member(level, "version").presence == "always"
    assert {member(level, n).presence for n in ("pieces", "open", "shut")} == {"maybe"}
    assert spec.shape("GetLevels").fields[0].name == "sku"


def test_a_describe_has_relations_and_only_restricted_lists_bind() -> None:
    article = read("Article_describe.json").shape("Article__c")
    found = kinds(article)
    assert found["State__c"].choices == ("open", "gone")  # records keep deactivated values
    assert found["Mood__c"] == Type(Kind.TEXT, nullable=True, max_length=40)
    assert found["Price__c"] == Type(Kind.NUMBER, nullable=True, precision=18, scale=2)
    assert found["Owner"] == Type(Kind.OBJECT, nullable=True, of="User")
    assert found["What"].kind is Kind.ANY  # polymorphic
    assert member(article, "Owner").presence == "asked"


BOMB = b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aa"><!ENTITY c "&a;&a;">]><edmx:Edmx>&c;</edmx:Edmx>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"<html>Maintenance</html>", "format is not recognised"),
        (b"openapi: 3.0.0\n", "YAML"),
        (b'{"openapi": "3.0.0"}', "components.schemas"),
        (b"<edmx:Edmx", "line 1"),
        (BOMB, "DOCTYPE"),
        (BOMB.decode().encode("utf-16").replace(b"\0", b""), "file.x"),
        (b'<edmx:Edmx xmlns:edmx="x"/>', "$metadata"),
        (b'{"keyPrefix": "a", "fields": [{"type": "id"}], "name": "A"}', "fields[0]"),
        (b"type Article {", "SDL"),
        (b'{"__schema": {}}', "full query"),
        (b'{"$schema": "x", "properties": {"a": {"$ref": "other.json"}}}', "other.json"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name_and_a_remedy(text: bytes, said: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        formats.read(text, "file.x")
    assert "file.x" in caught.value.message
    assert said in caught.value.message


def test_a_type_that_is_not_there_is_named_with_its_neighbours() -> None:
    with pytest.raises(SpecificationError, match="near it are Articles"):
        read("shop_v2.edmx").shape("Article")
