"""Reservations of stock, in the warehouse's system."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from catalog.entities import Variant
from connectors.commands.declare import Check, Operation, Refused, Work, Write, as_asked

STRICT = ConfigDict(extra="forbid", strict=True)


class Reserve(BaseModel):
    model_config = ConfigDict(
        **STRICT, json_schema_extra={"examples": [{"sku": "P-000123-01", "quantity": 2}]}
    )

    sku: Annotated[str, Field(min_length=1, max_length=100, description="Of a variant.")]
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    warehouse: (
        Annotated[
            str, Field(min_length=1, max_length=100, description="Left out: whichever has enough.")
        ]
        | None
    ) = None


class Reserved(BaseModel):
    reservation: str = Field(description="Its id, by which it is released.")
    sku: str
    quantity: int


class Release(BaseModel):
    model_config = STRICT

    reservation: Annotated[str, Field(min_length=1, max_length=200)]


class Released(BaseModel):
    reservation: str


def known(work: Work) -> None:
    """Raises Refused where no variant has this sku."""
    sku = work.params.sku
    if not Variant.objects.filter(key=sku, deleted_at__isnull=True).exists():
        raise Refused("sku_unknown", f"there is no variant {sku!r}", parameter="sku")


OPERATIONS = (
    Operation(
        slug="stock.reserve",
        title="Reserve stock",
        description="So many of a variant, kept for the caller until they are released.",
        method="POST",
        path="reservations",
        scope="write:stock",
        params=Reserve,
        steps=(
            Check("known", known),
            Write("reserve", "stock.reserve", as_asked, after=("known",)),
        ),
        result=lambda work: {
            "reservation": work.results["reserve"]["key"],
            "sku": work.params.sku,
            "quantity": work.params.quantity,
        },
        result_model=Reserved,
        # A promise that may come true tomorrow is none.
        while_open="refuse",
    ),
    Operation(
        slug="stock.release",
        title="Release a reservation",
        description="What was reserved is anybody's again.",
        method="DELETE",
        path="reservations/{reservation}",
        scope="write:stock",
        params=Release,
        steps=(Write("release", "stock.release", as_asked),),
        result=lambda work: {"reservation": work.params.reservation},
        result_model=Released,
        status=200,
    ),
)
