"""OpenAPI 3, Swagger 2 and plain JSON Schema documents, in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contracts.jsonschema import Reader
from connectors.contracts.shape import Specification, SpecificationError


def recognises_openapi(document: Any) -> bool:
    """Whether it is OpenAPI 3 or Swagger 2."""
    return isinstance(document, dict) and ("openapi" in document or "swagger" in document)


def recognises_schema(document: Any) -> bool:
    """Whether it is a JSON Schema: one that says so, or has schemas in it."""
    return isinstance(document, dict) and bool(
        {"$schema", "$defs", "definitions", "properties"} & set(document)
    )


def read_openapi(document: Any) -> Specification:
    """Every schema that the document names. Raises SpecificationError."""
    old = "swagger" in document
    found = document.get("definitions") if old else document.get("components", {}).get("schemas")
    if not isinstance(found, Mapping) or not found:
        where = "definitions" if old else "components.schemas"
        raise SpecificationError(
            f"the document has no {where}: schemas written inside its paths have no name to pull"
            " them by. Move those that streams read there"
        )
    version = str(document.get("info", {}).get("version", ""))
    return Specification("openapi", version, Reader(found).read())


def read_schema(document: Any) -> Specification:
    """The schema itself, by its title (or `Record`), and those that it defines."""
    name = str(document.get("title") or "Record")
    named = {**document.get("definitions", {}), **document.get("$defs", {}), name: document}
    return Specification("jsonschema", str(document.get("$id", "")), Reader(named, name).read())
