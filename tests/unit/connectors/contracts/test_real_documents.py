"""The vendors' own documents: every type becomes a model, and our streams fit what they publish."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from connectors.contracts import check, formats, generate
from connectors.contracts.pull import pull
from connectors.contracts.sample import sample
from connectors.contracts.shape import Kind, Shape
from connectors.contracts.source import Wanted
from connectors.contracts.store import folder, load
from connectors.runtime.connector import connector_class
from tests.unit.connectors.contracts.documents import SPECS, contracts, needs_real_documents

pytestmark = needs_real_documents

#: File and number of record types that the document names.
DOCUMENTS = {
    "sap/API_BUSINESS_PARTNER.edmx": 72,
    "sap/API_PRODUCT_SRV.edmx": 32,
    "sap/API_SALES_ORDER_SRV.edmx": 12,
    "sap/API_SLSPRICINGCONDITIONRECORD_SRV.edmx": 6,
    "salesforce/Account_describe.json": 1,
    "salesforce/Case_describe.json": 1,
    "salesforce/Contact_describe.json": 1,
    "stripe/spec3-2022-04-12.json": 561,
    "shopify/storefront.schema.json": 341,
}


def named(text: str) -> set[str]:
    """The record types that a document names, found without our readers."""
    if text.lstrip().startswith("<"):
        return set(re.findall(r'<(?:EntityType|ComplexType) Name="(\w+)"', text))
    document = json.loads(text)
    if "__schema" in document:
        records = ("OBJECT", "INTERFACE", "INPUT_OBJECT", "UNION")
        types = document["__schema"]["types"]
        return {t["name"] for t in types if t["kind"] in records and t["name"][:2] != "__"}
    if "components" in document:
        return set(document["components"]["schemas"])
    return {document["name"]}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_type_becomes_a_model_that_takes_its_sample(name: str, tmp_path: Path) -> None:
    spec = formats.read((SPECS / name).read_bytes(), name)
    names = named((SPECS / name).read_text())
    assert len(names) == DOCUMENTS[name]
    assert names <= set(spec.shapes)
    wanted = [Wanted(shape) for shape in spec.shapes.values()]
    _, classes = contracts(spec.shapes, wanted, tmp_path)
    broken = 0
    for shape in spec.shapes.values():
        payload = sample(shape, spec.shapes)
        model: type[BaseModel] = classes[shape.name]
        model.model_validate_json(json.dumps(payload))
        broken += refuses(model, shape, payload)
    assert broken > len(names) * 0.5  # contracts that accept anything prove nothing


def refuses(model: type[BaseModel], shape: Shape, payload: Any) -> bool:
    """Whether an object in place of a plain value breaks the contract, where it has one."""
    plain = [f.name for f in shape.fields if f.type.kind in (Kind.TEXT, Kind.INTEGER)]
    if not plain:
        return False
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps({**payload, plain[0]: {"no": "such"}}))
    return True


REAL = {
    "sap": sorted((SPECS / "sap").glob("*.edmx")),
    "salesforce": [SPECS / f"salesforce/{name}_describe.json" for name in ("Account", "Contact")],
    "stripe": [SPECS / "stripe/spec3-2022-04-12.json"],
}

#: Put together by the connector out of several answers, and published nowhere.
COMPOSED = {("stripe", "payouts")}


@pytest.mark.parametrize("slug", REAL)
def test_our_streams_fit_what_the_vendor_really_publishes(slug: str, tmp_path: Path) -> None:
    """Also where our contracts were made from the sandbox; what it invents stays as committed."""
    cls = connector_class(slug)
    committed = load(folder(cls) / "specification.json")
    pulled = pull(cls, None, REAL[slug], committed)
    for spec in cls.streams:
        shape = pulled.shape_of(cls, spec)
        if (slug, spec.slug) in COMPOSED:
            assert shape is None
            continue
        assert shape is not None
        shapes = pulled.shapes_for(pulled.document_of(cls, spec))
        assert list(check.contract_disagreements(slug, spec, shape, shapes)) == []
    path = tmp_path / f"published_{slug}.py"
    path.write_text(generate.module(cls, pulled))
    compile(path.read_text(), path.name, "exec")
