"""The operations of an OpenAPI document as the clients offer them: a name, arguments, an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

#: What lists share; all their other parameters narrow them.
PAGING = frozenset({"limit", "cursor", "locale", "include"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `schema` is its JSON Schema."""

    name: str
    place: Literal["path", "query"]
    required: bool
    schema: dict[str, Any]
    doc: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `answer` names the component of its 2xx, `item` that of a page's records."""

    id: str
    method: str
    path: str
    doc: str
    parameters: tuple[Parameter, ...]
    answer: str
    many: bool
    item: str

    @property
    def name(self) -> str:
        """`get_product` is called `product`, `list_products` `products`; others by their id."""
        verb, _, rest = self.id.partition("_")
        return rest if rest and verb in {"get", "list"} else self.id

    def placed(self, place: str) -> tuple[Parameter, ...]:
        """The parameters in the path, or in the query."""
        return tuple(one for one in self.parameters if one.place == place)


def operations(document: dict[str, Any]) -> list[Operation]:
    """All that read (GET), in the document's order."""
    schemas = document["components"]["schemas"]
    found: list[Operation] = []
    for path, methods in document["paths"].items():
        operation = methods.get("get")
        if operation is None:
            continue
        answered = next(code for code in operation["responses"] if code.startswith("2"))
        schema = _json(operation["responses"][answered])
        many = schema.get("type") == "array"
        answer = _named(schema["items"] if many else schema)
        items = schemas.get(answer, {}).get("properties", {})
        item = _named(items["items"]["items"]) if {"items", "next"} <= items.keys() else ""
        parameters = tuple(
            _parameter(one)
            for one in operation.get("parameters", ())
            if one["in"] in {"path", "query"}
        )
        found.append(
            Operation(
                operation["operationId"], "get", path, operation.get("description", ""),
                parameters, answer, many, item,
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class Writing:
    """An operation that writes. `body` and `answer` name components; `body` is empty where none is sent."""

    id: str
    method: str
    path: str
    doc: str
    parameters: tuple[Parameter, ...]
    body: str
    answer: str
    #: Whether it must say which version of the record it changes.
    matched: bool


def writings(document: dict[str, Any]) -> list[Writing]:
    """All that write, in the document's order."""
    found: list[Writing] = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "get":
                continue
            done = next(code for code in ("200", "201") if code in operation["responses"])
            headers = [p for p in operation["parameters"] if p["in"] == "header"]
            found.append(
                Writing(
                    operation["operationId"], method, path, operation.get("description", ""),
                    tuple(_parameter(p) for p in operation["parameters"] if p["in"] == "path"),
                    _named(_json(operation["requestBody"])) if "requestBody" in operation else "",
                    _named(_json(operation["responses"][done])),
                    any(p["name"] == "If-Match" and p.get("required") for p in headers),
                )
            )  # fmt: skip
    return found


def _json(described: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = described["content"]["application/json"]["schema"]
    return found


def _parameter(one: dict[str, Any]) -> Parameter:
    return Parameter(
        one["name"], one["in"], one.get("required", False), one["schema"],
        one.get("description", ""),
    )  # fmt: skip


def _named(schema: dict[str, Any]) -> str:
    """The component that a schema refers to; empty where it is none."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def codes(document: dict[str, Any]) -> list[str]:
    """The stable codes of the problems that the document shows."""
    found = {
        example["value"]["code"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for response in operation["responses"].values()
        for kind, content in response.get("content", {}).items()
        if kind == "application/problem+json"
        for example in content.get("examples", {}).values()
    }
    return sorted(found)
