"""A record with the upstream's new names put back to those of its contract, value by value.

Values are moved as they are spelled: no digit of a number is lost, and what is stored is the
record as received in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw]).decode
_ENCODE = msgspec.json.encode


def renamed(raw: Any, aliases: Mapping[str, str]) -> bytes:
    """The record as its contract names it; as it came where that cannot be done."""
    # Outer members first: an alias inside one that was renamed is written with its old name.
    for path in sorted(aliases, key=lambda one: one.count(".")):
        try:
            raw = _moved(bytes(raw), path.split("."), aliases[path])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return bytes(raw)


def upstream_path(path: str, aliases: Mapping[str, str]) -> str:
    """A contract's path as the upstream spells it now."""
    steps, found = path.split("."), list[str]()
    for count, step in enumerate(steps, start=1):
        found.append(aliases.get(".".join(steps[:count]), step))
    return ".".join(found)


def beside(path: str, name: str) -> str:
    """The path of a member that stands where another one stands."""
    return ".".join([*path.split(".")[:-1], name])


def _moved(raw: bytes, steps: list[str], new: str) -> bytes:
    start = raw.lstrip()[:1]
    if start == b"[":
        return _ENCODE([msgspec.Raw(_moved(bytes(one), steps, new)) for one in _ITEMS(raw)])
    if start != b"{":
        return raw
    members, name = _MEMBERS(raw), steps[0]
    if len(steps) > 1:
        if name not in members:
            return raw
        members[name] = msgspec.Raw(_moved(bytes(members[name]), steps[1:], new))
    elif new in members and name not in members:
        members = {(name if key == new else key): value for key, value in members.items()}
    else:
        return raw
    return _ENCODE(members)
