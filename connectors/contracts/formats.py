"""The formats in which vendors publish. A new one is a module with a reader, and a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.contracts import describe, edmx, graphql, openapi, xsd
from connectors.contracts.shape import Specification, SpecificationError


@dataclass(frozen=True, slots=True)
class Format:
    """A language of specifications. Those in JSON get the parsed document, others its bytes."""

    slug: str
    label: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any], Specification]
    json: bool = False


#: The first that recognises a document reads it, so the vaguest come last.
FORMATS: tuple[Format, ...] = (
    Format("edmx", "OData $metadata, V2 and V4", edmx.recognises, edmx.read),
    Format("xsd", "WSDL and XML Schema", xsd.recognises, xsd.read),
    Format("describe", "Salesforce describe", describe.recognises, describe.read, json=True),
    Format(
        "introspection", "GraphQL introspection",
        graphql.recognises_introspection, graphql.read_introspection, json=True,
    ),
    Format(
        "openapi", "OpenAPI 3 and Swagger 2",
        openapi.recognises_openapi, openapi.read_openapi, json=True,
    ),
    Format(
        "jsonschema", "JSON Schema", openapi.recognises_schema, openapi.read_schema, json=True
    ),
    Format("sdl", "GraphQL SDL", graphql.recognises_sdl, graphql.read_sdl),
)  # fmt: skip


def read(text: bytes, source: str) -> Specification:
    """What a document says, whatever it is written in. `source` names it in errors.

    Raises SpecificationError that names the document.
    """
    document = _json(text)
    for one in FORMATS:
        given = document if one.json else text
        if (document is not None) == one.json and one.recognises(given):
            try:
                return one.read(given)
            except SpecificationError as error:
                raise SpecificationError(f"{source}: {error.message}") from error
    known = "; ".join(one.label for one in FORMATS)
    raise SpecificationError(
        f"{source}: the format is not recognised (it begins {text[:60]!r}). Known are: {known}."
        " OpenAPI in YAML has to be turned into JSON first"
    )


def _json(text: bytes) -> Any:
    """The document if it is JSON, else None."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
