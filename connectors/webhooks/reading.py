"""Decoding of events: what cannot be understood is a ValueError, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

Shape = TypeVar("Shape")


def decoder(shape: type[Shape]) -> Callable[[bytes | msgspec.Raw], Shape]:
    """A function from JSON to a `shape` that raises ValueError, and nothing else."""
    decode: Callable[[Any], Shape] = msgspec.json.Decoder(shape).decode

    def decoded(raw: bytes | msgspec.Raw) -> Shape:
        try:
            return decode(raw)
        except RecursionError as error:
            raise ValueError("the JSON is nested too deeply") from error

    return decoded


#: 9998: whoever adds some days to it stays within what a `datetime` holds.
YEARS = range(1970, 9999)


def moment(count: int, in_second: int = 1) -> datetime:
    """A count since 1970, of seconds or parts of them, as a time. Raises ValueError."""
    try:
        return plausible(datetime.fromtimestamp(count / in_second, UTC))
    except (OverflowError, OSError) as error:
        raise ValueError(f"{str(count)[:40]} is no time since 1970") from error


def plausible(given: datetime) -> datetime:
    """A time that a sender gave; without a zone it is UTC. Raises ValueError outside of YEARS."""
    if given.year not in YEARS:
        raise ValueError(f"{given.isoformat()} is no time at which something happened")
    return given if given.tzinfo else given.replace(tzinfo=UTC)
