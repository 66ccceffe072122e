"""The change of a connector's code that a rename asks for, as a unified diff.

Only what speaks about the stream is changed: the classes of its contract, its `StreamSpec` and the
functions that its keys are made by. The specification is the vendor's, and is pulled.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectors.contracts.names import attribute
from connectors.contracts.store import folder
from connectors.runtime.connector import Connector
from connectors.runtime.declare import Contract, StreamSpec

#: First and last line, from 1.
Span = tuple[int, int]


def patch(connector: type[Connector], spec: StreamSpec, path: str, renamed: str) -> str:
    """A diff for `git apply`, from the root of the repository; empty where nothing is found."""
    place = folder(connector)
    old, new = attribute(path.rpartition(".")[2]), attribute(renamed)
    spans: dict[Path, list[Span]] = {}
    for file in sorted(place.glob("*.py")):
        if found := list(_declarations(file, spec.slug)):
            spans[file] = found
    for owner in _owners(spec, path):
        file = Path(inspect.getsourcefile(owner) or "")
        if file.is_relative_to(place):
            lines, first = inspect.getsourcelines(owner)
            spans.setdefault(file, []).append((first, first + len(lines) - 1))
    return "".join(
        _diff(file, place, _renamed(file.read_text(), spans[file], old, new))
        for file in sorted(spans)
    )


def _owners(spec: StreamSpec, path: str) -> Iterator[Any]:
    """The classes that declare the member, the generated ones among them, and the key's function."""
    at: Any = spec.contract
    for step in path.split(".")[:-1]:
        fields = getattr(at, "model_fields", {})
        at = next((_inner(i.annotation) for n, i in fields.items() if step in (n, i.alias)), None)
    for cls in getattr(at, "__mro__", ()):
        if issubclass(cls, Contract) and cls is not Contract:
            yield cls
    for function in (spec.entity_key, spec.deleted):
        if inspect.isfunction(function) and function.__name__ != "<lambda>":
            yield function


def _inner(annotation: Any) -> Any:
    todo = [annotation]
    while todo:
        one = todo.pop()
        if isinstance(one, type) and issubclass(one, Contract):
            return one
        todo += getattr(one, "__args__", ())
    return None


def _declarations(file: Path, slug: str) -> Iterator[Span]:
    """Where the stream is declared, and the children that it names."""
    tree = ast.parse(file.read_text())
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for value in values.values():
        if not (isinstance(value, ast.Call) and _is_stream(value, slug)):
            continue
        yield value.lineno, value.end_lineno or value.lineno
        for name in (n.id for n in ast.walk(value) if isinstance(n, ast.Name)):
            child = values.get(name)
            if isinstance(child, ast.Call) and getattr(child.func, "id", "") == "Child":
                yield child.lineno, child.end_lineno or child.lineno


def _is_stream(call: ast.Call, slug: str) -> bool:
    return getattr(call.func, "id", "") == "StreamSpec" and any(
        word.arg == "slug" and getattr(word.value, "value", None) == slug for word in call.keywords
    )


def _renamed(text: str, spans: list[Span], old: str, new: str) -> tuple[list[str], list[str]]:
    before = text.splitlines(keepends=True)
    whole = re.compile(rf"(?<!\w){re.escape(old)}(?!\w)")
    after = [
        whole.sub(new, line) if any(a <= number <= b for a, b in spans) else line
        for number, line in enumerate(before, start=1)
    ]
    return before, after


def _diff(file: Path, place: Path, versions: tuple[list[str], list[str]]) -> str:
    name = f"connectors/{place.name}/{file.relative_to(place)}"
    return "".join(difflib.unified_diff(*versions, f"a/{name}", f"b/{name}"))
