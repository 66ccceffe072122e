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


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time. Raises ValueError where they lie outside of all calendars."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds} s since 1970 is no time") from error
