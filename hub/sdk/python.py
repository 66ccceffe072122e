"""The parts of the Python client that name the contract's operations and types."""

from __future__ import annotations

import json
import keyword
from typing import Any

from connectors.contracts import formats
from connectors.contracts.source import Wanted, Writer
from hub.sdk.operations import PAGING, Operation, Parameter, Writing, operations, writings

HEAD = "Written by `manage.py sdk build`; changes by hand are lost."
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


def modules(openapi: str) -> dict[str, str]:
    """{file in the package: its text}."""
    return {"models.py": _models(openapi), "client.py": _client(json.loads(openapi))}


def _models(openapi: str) -> str:
    """Every component as a Pydantic model, by the writer that makes connectors' contracts."""
    shapes = formats.read(openapi.encode(), "openapi.json").shapes
    text = Writer(shapes, [Wanted(shape) for shape in shapes.values()]).module("")
    body = text[text.index("from __future__") :]
    lines = (line for line in body.splitlines() if "VERSION: ClassVar" not in line)
    made = "\n".join(lines).replace("from typing import Any, ClassVar", "from typing import Any")
    for theirs, ours in (
        ("connectors.contracts.wire", "headwater_client.wire"),
        ("connectors.runtime.declare", "headwater_client.wire"),
        ("(Contract)", "(Model)"),
        ("import Contract\n", "import Model\n"),
    ):
        made = made.replace(theirs, ours)
    return f'"""Every type of the contract. {HEAD}"""\n\n{made}\n'


def _client(document: dict[str, Any]) -> str:
    found = operations(document)
    every = (parameter for one in found for parameter in one.parameters)
    locales: list[str] = next((p.schema["enum"] for p in every if p.name == "locale"), [])
    methods = "\n".join([*map(_method, found), *map(_writing, writings(document))])
    return f'''"""The client. {HEAD}"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Literal

from headwater_client import models
from headwater_client.transport import Transport
from headwater_client.writing import Written

Locale = {_choice(locales) if locales else "str"}


class Headwater(Transport):
    """A hub. `locale` and `market` are taken by every call that has one and is given none."""

{methods}'''


def _method(one: Operation) -> str:
    """A list gets two: one page of it, and a walk through all records."""
    answer = f"models.{one.answer}"
    if not one.item:
        many = f"list[{answer}]" if one.many else answer
        return _call(
            one, one.name, many, f"self._many({answer}, " if one.many else f"self._one({answer}, "
        )
    item = f"models.{one.item}"
    page = _call(one, one.name, answer, f"self._one({answer}, ")
    walk = _call(one, f"each_{one.name}", f"Iterator[{item}]", f"self._each({answer}, ")
    return f"{page}\n{walk}"


def _call(one: Operation, name: str, answer: str, start: str) -> str:
    path, query = one.placed("path"), one.placed("query")
    arguments = ["self", *(f"{_word(p)}: {_type(p)}" for p in path)]
    if query:
        ordered = sorted(query, key=lambda p: p.name in PAGING)
        arguments += ["*", *(f"{_word(p)}: {_type(p)} | None = None" for p in ordered)]
    sent = "".join(f'            "{p.name}": {_word(p)},\n' for p in (*path, *query))
    listed = ",\n        ".join(arguments)
    return f'''    def {name}(
        {listed},
    ) -> {answer}:
        """{" ".join(one.doc.split())}"""
        given = {{
{sent}        }}
        return {start}"{one.path}", given)
'''


def _writing(one: Writing) -> str:
    arguments = ["self", *(f"{_word(p)}: {_type(p)}" for p in one.parameters)]
    if one.body:
        arguments.append(f"body: models.{one.body}")
    match = "if_match: str" if one.matched else "if_match: str | None = None"
    arguments += ["*", match, "idempotency_key: str | None = None"]
    given = "".join(f'            "{p.name}": {_word(p)},\n' for p in one.parameters)
    listed = ",\n        ".join(arguments)
    sent = "body" if one.body else "None"
    return f'''    def {one.id}(
        {listed},
    ) -> Written[models.{one.answer}]:
        """{" ".join(one.doc.split())}"""
        given: dict[str, str] = {{
{given}        }}
        headers = {{"Idempotency-Key": idempotency_key, "If-Match": if_match}}
        return self._write(
            models.{one.answer}, "{one.method.upper()} {one.path}", given, {sent}, headers
        )
'''


def _word(parameter: Parameter) -> str:
    return f"{parameter.name}_" if keyword.iskeyword(parameter.name) else parameter.name


def _type(parameter: Parameter) -> str:
    schema = parameter.schema
    if parameter.name == "locale":
        return "Locale"
    if schema.get("type") == "array":
        return f"Sequence[{_scalar(schema['items'])}]"
    return _scalar(schema)


def _scalar(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return _choice(schema["enum"])
    formatted = {"date-time": "datetime", "date": "date"}
    return formatted.get(schema.get("format", ""), SCALARS[schema["type"]])


def _choice(values: list[Any]) -> str:
    return f"Literal[{', '.join(json.dumps(value) for value in values)}]"
