"""The parts of the TypeScript package that name the contract's operations, types and documents.

Types, Zod schemas and the introspection are left to openapi-typescript, hey-api and gql.tada.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from graphene.utils.str_converters import to_camel_case
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_specified_scalar_type,
)

from hub.sdk.operations import Operation, Writing, codes, operations, writings

HEAD = "/** Written by `manage.py sdk build`; changes by hand are lost. */\n"


def modules(openapi: str, sdl: str) -> dict[str, str]:
    """{file below `src/`: its text}."""
    document = json.loads(openapi)
    found, written = operations(document), writings(document)
    return {
        "operations.ts": HEAD + _operations(found, codes(document)) + _writings(written),
        "models.ts": HEAD + _models(document),
        "answers.ts": HEAD + _answers([*found, *written]),
        "scalars.ts": HEAD + _scalars(sdl),
        "documents.ts": HEAD + _documents(sdl),
    }


def _operations(found: list[Operation], known: list[str]) -> str:
    calls, rows = [], []
    for one in found:
        name, kind = to_camel_case(one.name), "Many" if one.item else "One"
        calls.append(f'  /** {_doc(one.doc)} */\n  {name}: {kind}<"{one.id}">;\n')
        query = [parameter.name for parameter in one.placed("query")]
        row = json.dumps([one.id, one.path, query, bool(one.item)])
        rows.append(f"  {name}: {row},\n")
    return (
        'import type { Many, One, OperationId, Write } from "./types.js";\n\n'
        f"export type KnownCode = {' | '.join(json.dumps(code) for code in known) or 'never'};\n\n"
        f"export interface Operations {{\n{''.join(calls)}}}\n\n"
        "/** Operation, address, parameters of the query, and whether it answers in pages. */\n"
        "type Row = readonly [OperationId, string, readonly string[], boolean];\n\n"
        f"export const TABLE: Readonly<Record<keyof Operations, Row>> = {{\n{''.join(rows)}}};\n"
    )


def _writings(found: list[Writing]) -> str:
    calls, rows = [], []
    for one in found:
        name = to_camel_case(one.id)
        calls.append(f'  /** {_doc(one.doc)} */\n  {name}: Write<"{one.id}">;\n')
        rows.append(f"  {name}: {json.dumps([one.id, one.method, one.path])},\n")
    return (
        f"\nexport interface Writes {{\n{''.join(calls)}}}\n\n"
        "/** Operation, method and address. */\n"
        "export const WRITES: Readonly<Record<keyof Writes, readonly [OperationId, string, string]>>"
        f" = {{\n{''.join(rows)}}};\n"
    )


def _models(document: dict[str, Any]) -> str:
    lines = ['import type { Schemas } from "./types.js";\n']
    for name, schema in document["components"]["schemas"].items():
        doc = f"/** {_doc(schema['description'])} */\n" if schema.get("description") else ""
        lines.append(f'{doc}export type {name} = Schemas["{name}"];\n')
    return "\n".join(lines)


def _answers(found: Sequence[Operation | Writing]) -> str:
    rows = "".join(f"  {one.id}: schemas.z{_pascal(one.id)}Response,\n" for one in found)
    return (
        'import type { ZodType } from "zod";\n'
        'import type { OperationId } from "./types.js";\n'
        'import * as schemas from "./zod/zod.gen.js";\n\n'
        "/** What each operation's answer must be. */\n"
        f"export const ANSWERS: Readonly<Record<OperationId, ZodType>> = {{\n{rows}}};\n"
    )


def _scalars(sdl: str) -> str:
    """What GraphQL's own scalars are in JSON: all are texts, but for any JSON value."""
    rows = "".join(
        f"  {name}: {'unknown' if name == 'JSON' else 'string'};\n"
        for name, kind in build_schema(sdl).type_map.items()
        if isinstance(kind, GraphQLScalarType) and not is_specified_scalar_type(kind)
    )
    return f"export type Scalars = {{\n{rows}}};\n"


def _documents(sdl: str) -> str:
    """A document for each root: a list's own values; a record's, its parts' and its provenance.

    What a page needs beyond that it says itself, with `graphql` of `headwater/graphql`.
    """
    query = build_schema(sdl).query_type
    lines = ['import { graphql } from "./graphql.js";\n']
    for name, field in (query.fields if query else {}).items():
        made = "\n".join(f"  {line}" for line in _document(name, field))
        lines.append(
            f"export const {name}Document = /* @__PURE__ */ graphql(`\n{made}\n`);\n",
        )
    return "\n".join(lines)


def _document(name: str, field: GraphQLField) -> list[str]:
    kind = get_named_type(field.type)
    variables = ", ".join(f"${arg}: {one.type}" for arg, one in field.args.items())
    given = ", ".join(f"{arg}: ${arg}" for arg in field.args)
    nodes = kind.fields.get("nodes") if isinstance(kind, GraphQLObjectType) else None
    if nodes:
        inner = " ".join(_selection(get_named_type(nodes.type), 0))
        body = [f"nodes {{ {inner} }}", "pageInfo { hasNextPage endCursor }"]
    else:
        body = list(_selection(kind, 1))
    root = [f"{name}({given}) {{" if given else f"{name} {{", *_in(body), "}"]
    head = f"query {name}({variables}) {{" if variables else f"query {name} {{"
    return [head, *_in(root), "}"]


def _selection(kind: Any, depth: int) -> Iterator[str]:
    """Every field that needs no argument, so many steps into other types."""
    if not isinstance(kind, GraphQLObjectType):
        return
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        if any(is_required_argument(one) for one in field.args.values()):
            continue
        if is_leaf_type(inner):
            yield name
        elif inner is not kind and depth and (chosen := list(_selection(inner, depth - 1))):
            yield f"{name} {{ {' '.join(chosen)} }}"


def _in(lines: Any) -> list[str]:
    return [f"  {line}" for line in lines]


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _doc(text: str) -> str:
    return " ".join(text.split()).replace("*/", "* /")
