"""What an error means for a step: a definite no, later again, or that nobody knows.

A step's thread never lets an error out; it says one of these. Only what PostgreSQL itself does not
answer goes further: the command is then gone on with from what is written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.commands.declare import Refused
from connectors.runtime.box import PAUSE_SECONDS, beyond
from connectors.runtime.retry import RetryPolicy
from connectors.runtime.verdicts import reason_of
from observability.errors import (
    SPARING,
    Action,
    AuthExpiredError,
    CircuitOpenError,
    ConfigurationError,
    GarbledError,
    HubError,
    PermanentError,
    RateLimitedError,
    RefusedByUpstreamError,
    RetryableError,
    action_for,
)

#: A caller may be waiting: soon at first. Nine attempts in five hours, beside those that cost none.
POLICY = RetryPolicy((0.2, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 14400.0))
#: Where it has to be known what became of a write, it is asked for good.
LONGEST = 3600.0
INTERNAL = "internal"
GIVEN_UP = "command.given_up"

#: HTTP status of a caller's answer, by the error's nearest class.
STATUSES: Mapping[type[BaseException], int] = {
    RefusedByUpstreamError: 422,
    PermanentError: 502,
    GarbledError: 502,
    RetryableError: 503,
    RateLimitedError: 503,
    CircuitOpenError: 503,
    AuthExpiredError: 503,
    ConfigurationError: 503,
    BaseException: 500,
}


@dataclass(frozen=True, slots=True)
class Never:
    """It will not be done. `refusal`: for a reason of business, not of a defect or an outage."""

    problem: dict[str, Any]
    status: int
    refusal: bool
    code: str
    error: str


@dataclass(frozen=True, slots=True)
class Later:
    """It cannot be done now. `unknown`: it may have been done all the same."""

    error: HubError
    unknown: bool = False
    #: Seconds to wait at least.
    wait: float = 0.0
    #: It says nothing about the command.
    spared: bool = False
    #: The connection that is waited for.
    connection_id: int | None = field(default=None)


def judged(error: BaseException, connection_id: int | None = None) -> Never | Later:
    """What an error of a step that changed nothing means for it."""
    if isinstance(error, HubError) and action_for(error) in (Action.RETRY, Action.PAUSE):
        spared = isinstance(error, SPARING) or action_for(error) is Action.PAUSE
        wait = (error.retry_after or (PAUSE_SECONDS if spared else 0.0)) + beyond(error)
        return Later(error, wait=wait, spared=spared, connection_id=connection_id)
    return never(error)


def busy() -> Later:
    """Others decide about the same at this moment: at once again."""
    return Later(RetryableError("others decide about the same"), wait=0.0)


def stopped() -> Later:
    """The process ends; another goes on at once."""
    return Later(RetryableError("the hub is being stopped"), spared=True)


def never(error: BaseException, *, away: bool = False) -> Never:
    """A definite no, and what the caller is told of it.

    `away`: the operation does not wait for who is away, so that this is its refusal.
    """
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    if isinstance(error, Refused):
        problem = {**error.members, "code": error.problem, "detail": error.detail}
        return Never(problem, error.status, refusal=True, code=error.problem, error=error.detail)
    if isinstance(error, RefusedByUpstreamError):
        problem = {"code": error.reason, "detail": error.message}
        return Never(problem, status, refusal=True, code=error.reason, error=error.message)
    if isinstance(error, HubError):
        problem = {"code": error.code, "detail": _told(error)}
        if error.retry_after is not None:
            problem["retry_after"] = error.retry_after
        return Never(problem, status, refusal=away, code=error.code, error=error.message)
    problem = {"code": INTERNAL, "detail": "a defect of the hub; its operators see what it was"}
    text = f"{type(error).__name__}: {error}"
    return Never(problem, status, refusal=False, code=INTERNAL, error=text)


def _told(error: HubError) -> str:
    """For callers: which system, and what is wrong with it; no address, no excerpt."""
    if isinstance(error, RetryableError | GarbledError):
        return f"{error.connection or 'an upstream'}: {reason_of(error)}"
    return error.message
