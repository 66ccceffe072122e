"""Parts of a raw record: its key, the slices of an array in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec


def key_reader(members: Sequence[str]) -> Callable[[Any], str]:
    """A function from a record's raw JSON to its key, reading the key's members alone.

    Raises msgspec.ValidationError where a member is missing.
    """
    decoders = [msgspec.json.Decoder(_holder(member.split("."))) for member in members]
    depths = [member.count(".") + 1 for member in members]
    if len(members) == 1 and depths[0] == 1:
        decode = decoders[0].decode
        return lambda raw: str(decode(raw).value)

    def read(raw: Any) -> str:
        parts = []
        for decoder, depth in zip(decoders, depths, strict=True):
            value = decoder.decode(raw)
            for _ in range(depth):
                value = value.value
            parts.append(str(value))
        return "/".join(parts)

    return read


def _holder(steps: Sequence[str]) -> Any:
    """A msgspec type that reads one member (by path) of a JSON object and skips the others."""
    inner: Any = str | int
    for step in reversed(steps):
        inner = msgspec.defstruct("Holder", [("value", inner)], rename={"value": step})
    return inner


def nested(raw: bytes, path: str) -> Sequence[msgspec.Raw]:
    """The raw slices of the array at `path`."""
    piece: Any = raw
    for step in path.split("."):
        piece = msgspec.json.decode(piece, type=dict[str, msgspec.Raw]).get(step)
        if piece is None or bytes(piece) == b"null":
            return []
    return msgspec.json.decode(piece, type=list[msgspec.Raw])


def walk(record: Any, attribute: str) -> Any:
    """The attribute at a dotted path; None behind a step that is None."""
    for step in attribute.split("."):
        record = None if record is None else getattr(record, step)
    return record
