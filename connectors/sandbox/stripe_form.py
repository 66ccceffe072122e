"""Stripe's request encoding: `metadata[order]=1&expand[]=customer` to nested dicts and lists.

Values stay text, as they are on the wire. Source: Stripe API reference, "Request bodies".
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_PART = re.compile(r"[^\[\]]+|\[\]")


def decode(text: str) -> dict[str, Any]:
    """`a[b]=1` gives {"a": {"b": "1"}}; `a[]=1&a[]=2` and `a[0]=1&a[1]=2` give {"a": ["1", "2"]}."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        path = _PART.findall(name)
        if path:
            _place(root, path, value)
    return {key: _lists(value) for key, value in root.items()}


def _place(root: dict[str, Any], path: list[str], value: str) -> None:
    node = root
    for part in path[:-1]:
        inner = node.setdefault(_step(node, part), {})
        if not isinstance(inner, dict):  # `a=1&a[b]=2`: the later one wins, as a dict would
            inner = node[_step(node, part)] = {}
        node = inner
    node[_step(node, path[-1])] = value


def _step(node: dict[str, Any], part: str) -> str:
    return str(len(node)) if part == "[]" else part


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(item) for key, item in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
