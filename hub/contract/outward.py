"""The contract as it is served now, as it is committed, and the marks of what will go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from catalog.entities import entities
from hub.graphql.schema import build
from hub.graphql.types import type_name

FOLDER = Path(__file__).resolve().parent
FILES = ("openapi.json", "schema.graphql")
#: The OpenAPI components that show fields of an entity (hub/rest/components.py).
COMPONENTS = ("", "Item", "Part", "Node", "Step")


def served() -> dict[str, str]:
    """Both documents as text, by file name."""
    generator: Any = SchemaGenerator
    openapi = generator().get_schema(request=None, public=True)
    return {
        "openapi.json": json.dumps(openapi, ensure_ascii=False, indent=1) + "\n",
        "schema.graphql": str(build()).strip() + "\n",
    }


def committed() -> dict[str, str]:
    """The same as committed; a file that is not there is left out."""
    return {name: (FOLDER / name).read_text() for name in FILES if (FOLDER / name).exists()}


def mark_deprecated(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: `deprecated` and `x-sunset` on what entities declare so."""
    schemas = result.get("components", {}).get("schemas", {})
    for cls in entities().values():
        for name, marked in cls.declaration.deprecated.items():
            for end in COMPONENTS:
                members = schemas.get(f"{type_name(cls)}{end}", {}).get("properties", {})
                if name in members:
                    members[name] |= {
                        "deprecated": True,
                        "x-deprecated-since": marked.since.isoformat(),
                        "x-sunset": marked.sunset.isoformat(),
                        "x-instead": marked.instead,
                    }
    return result
