"""The types that generated contracts are written in: how vendors spell values in JSON.

A value that is spelled otherwise breaks the contract: an integer in quotes is drift, unless the
vendor publishes that it puts integers in quotes.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, RootModel, Strict

__all__ = [
    "UUID",
    "Annotated",
    "Any",
    "AwareDatetime",
    "Decimal",
    "Field",
    "Literal",
    "RootModel",
    "date",
    "datetime",
    "time",
    "timedelta",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


def moment(value: Any) -> Any:
    """`/Date(ms)/`, with or without an offset: ms are UTC either way (OData V2, JSON format).

    Raises ValueError for a moment beyond the year 9999.
    """
    if isinstance(value, str) and (found := _DATE.fullmatch(value)):
        try:
            return _EPOCH + timedelta(0, 0, 0, int(found[1]))
        except OverflowError as error:
            raise ValueError(f"{value} is beyond the year 9999") from error
    return value


def clock(value: Any) -> Any:
    """`PT15H55M42S` as a time of day."""
    if isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        hours, minutes, seconds = found[1] or 0, found[2] or 0, float(found[3] or 0)
        return time(int(hours), int(minutes), int(seconds))
    return value


# The runtime may call them with the text alone (connectors/runtime/reading.py).
moment.reads_text = clock.reads_text = True  # type: ignore[attr-defined] # a mark on a function

#: JSON numbers and truth values, never a text that looks like one.
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Boolean = Annotated[bool, Strict()]
#: A moment and a time of day as OData V2 spells them.
ODataMoment = Annotated[datetime, BeforeValidator(moment)]
ODataClock = Annotated[time, BeforeValidator(clock)]


class Deferred(BaseModel):
    """What OData V2 sends in place of related records that were not asked for."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    deferred: dict[str, str] = Field(alias="__deferred")
