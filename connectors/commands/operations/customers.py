"""Changes of customers, in the system that owns them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.commands.declare import Operation, Work, Write

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Change(BaseModel):
    """The members that are sent change; null empties one. What is not sent stays."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"phone": "+49 30 1234", "city": "Berlin"}]},
    )

    number: Annotated[str, Field(min_length=1, max_length=100, description="Customer number.")]
    name: Text | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    email: Annotated[str, Field(max_length=200, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    phone: Text | None = None
    street: Text | None = None
    city: Text | None = None
    postcode: Text | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1.")] | None = None

    @model_validator(mode="after")
    def _changes(self) -> Change:
        if self.model_fields_set <= {"number"}:
            raise ValueError("nothing is to be changed; send at least one member")
        return self


class Changed(BaseModel):
    number: str
    system: str = Field(description="The system that was told.")


def changes(work: Work) -> dict[str, Any]:
    """The number, and what changes."""
    found: dict[str, Any] = work.params.model_dump(exclude_unset=True)
    return found


OPERATIONS = (
    Operation(
        slug="customer.update",
        title="Change a customer",
        description="Only the members that are sent. The record shows the new values once its owner has "
        "been asked for them again, a moment later.",
        method="PATCH",
        path="customers/{number}",
        scope="write:customer",
        params=Change,
        steps=(Write("update", "customer.update", changes),),
        result=lambda work: {
            "number": work.params.number,
            "system": work.results["update"]["system"],
        },
        result_model=Changed,
        status=200,
    ),
)
