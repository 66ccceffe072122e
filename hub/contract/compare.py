"""Whether a new form of our own contract breaks those who hold the old one.

A breaking change is due when the old contract marks what changes as deprecated, with a sunset date
that has passed. In SDL the date stands in the reason of `@deprecated`, in OpenAPI in `x-sunset`
beside `deprecated`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from graphql import GraphQLSchema, build_schema, find_breaking_changes

from connectors.contracts import diff, formats
from connectors.contracts.diff import Severity

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MEMBER = re.compile(r"^(\w+)\.(\w+)")


@dataclass(frozen=True, slots=True)
class Break:
    """A change that breaks callers. `sunset` is the date that the old contract announced, if any."""

    where: str
    what: str
    sunset: date | None = None

    def due(self, today: date) -> bool:
        """Whether it was announced, and the date has come."""
        return self.sunset is not None and self.sunset <= today

    def __str__(self) -> str:
        if self.sunset is None:
            remedy = (
                "keep it, and mark it in `deprecated` of its entity's declaration first, with a"
                " sunset date"
            )
        else:
            remedy = f"keep it until its sunset, {self.sunset}, which callers were told"
        return f"{self.where}: {self.what}; {remedy}"


def breaks(old: Mapping[str, str], new: Mapping[str, str]) -> list[Break]:
    """What a new contract breaks, by file name: `schema.graphql` and `openapi.json`."""
    found: list[Break] = []
    if "schema.graphql" in old:
        schemas = [build_schema(files["schema.graphql"]) for files in (old, new)]
        found += [*_graphql(*schemas), *_brought_forward(*schemas)]
    if "openapi.json" in old:
        before, after = json.loads(old["openapi.json"]), json.loads(new["openapi.json"])
        found += _operations(before, after)
        found += _schemas(before, after)
    return found


def _graphql(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Break]:
    for change in find_breaking_changes(old, new):
        named = _MEMBER.match(change.description)
        reason = _reason(old, *named.groups()) if named else ""
        yield Break("GraphQL", change.description.rstrip("."), _sunset(reason))


def _brought_forward(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Break]:
    """Fields that would go earlier than callers were told."""
    for owner, kind in old.type_map.items():
        for member in getattr(kind, "fields", {}):
            told = _sunset(_reason(old, owner, member))
            now = _sunset(_reason(new, owner, member))
            if told and now and now < told:
                what = f"{owner}.{member} would go on {now} already"
                yield Break("GraphQL", what, told)


def _reason(schema: GraphQLSchema, owner: str, member: str) -> str:
    """Why a field or an enum's value is deprecated; empty where it is not."""
    kind: Any = schema.type_map.get(owner)
    known = {**getattr(kind, "fields", {}), **getattr(kind, "values", {})}
    return getattr(known.get(member), "deprecation_reason", None) or ""


def _operations(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Break]:
    """Operations and parameters that are gone, and parameters that are demanded now."""
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            where, marked = f"{method.upper()} {path}", _marked(operation)
            then = new["paths"].get(path, {}).get(method)
            if then is None:
                yield Break(where, "is gone", marked)
                continue
            before, after = _parameters(operation), _parameters(then)
            for name, parameter in before.items():
                if name not in after:
                    yield Break(where, f"the parameter {name} is gone", _marked(parameter))
            for name, parameter in after.items():
                was = before.get(name, {}).get("required", False)
                if parameter.get("required") and not was:
                    yield Break(where, f"the parameter {name} is demanded now", marked)


def _parameters(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in operation.get("parameters", ())}


def _schemas(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Break]:
    """Members of answers, judged as we judge what vendors send us."""
    before, after = (formats.read(json.dumps(one).encode(), "openapi.json") for one in (old, new))
    for change in diff.documents(before.shapes, after.shapes):
        if change.severity is Severity.BREAKING:
            owner, _, member = change.place.partition(".")
            schema = old["components"]["schemas"].get(owner, {})
            marked = _marked(schema.get("properties", {}).get(member, {}))
            yield Break(f"REST {change.place}", change.what, marked)


def _marked(described: Mapping[str, Any]) -> date | None:
    return _sunset(str(described.get("x-sunset", ""))) if described.get("deprecated") else None


def _sunset(text: str) -> date | None:
    """The last date in a text: reasons name the day of the removal at their end."""
    found = _DATE.findall(text)
    return date.fromisoformat(found[-1]) if found else None
