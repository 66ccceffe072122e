"""What a write takes and comes to, over REST and as a mutation alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from connectors.commands import Accepted, Kind, carry_out, leave
from connectors.commands.declare import Operation
from connectors.models import Command
from hub.problems import BadInputError
from hub.rest import idempotency, outcomes

#: pydantic's own words, where ours say more.
SAID = {"missing": "is missing; send it", "extra_forbidden": "is no member; known are {known}"}


def validated(
    operation: Operation, members: Mapping[str, Any], *, bare: bool = False
) -> dict[str, Any]:
    """What the operation is asked to do, as JSON. Raises BadInputError that names each member."""
    try:
        model = operation.params.model_validate(members)
    except ValidationError as error:
        raise _wrong(error, operation.params, bare=bare) from error
    # What was not sent stays so: null and nothing are two things in a change.
    return model.model_dump(mode="json", exclude_unset=True)


def _wrong(error: ValidationError, model: type[BaseModel], *, bare: bool) -> BadInputError:
    known = ", ".join(name for name in model.model_fields) or "none"
    found = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(step) for step in one["loc"]) or "body"
        inner = len(one["loc"]) > 1 and one["type"] == "extra_forbidden"
        said = "is no member; leave it out" if inner else SAID.get(one["type"], one["msg"])
        said = said.replace("{known}", known)
        found.append({"parameter": place, "detail": f"{place}: {said}"})
    told = "send a JSON body; " if bare else ""
    wrong = BadInputError(told + "; ".join(one["detail"] for one in found[:5]))
    wrong.members["errors"] = found[:50]
    return wrong


def concluded(found: Accepted, *, later: bool) -> tuple[Command, bool]:
    """Carry out what was accepted, or leave it to the drain; the command, and whether it came before.

    Raises KeyReusedError, KeyInFlightError.
    """
    if found.kind is Kind.OTHER_BODY:
        raise idempotency.KeyReusedError(
            "this key came with another request before; send a new key for a new request",
            parameter=idempotency.HEADER,
        )
    if found.kind is Kind.IN_FLIGHT:
        raise idempotency.KeyInFlightError(
            "the first request with this key is still being worked on; try again in a second, with "
            "the same key",
            parameter=idempotency.HEADER,
            headers={"Retry-After": outcomes.AGAIN},
        )
    if found.kind is Kind.NEW:
        return (leave if later else carry_out)(found.command), False
    return found.command, True
