"""What Salesforce's answers mean, by its own codes: try again, a reason of business, or a plain no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from connectors.runtime.session import HubSession, Response
from observability.context import current_id
from observability.errors import (
    AuthExpiredError,
    PermanentError,
    RateLimitedError,
    RefusedByUpstreamError,
    RetryableError,
    UpstreamError,
)


class LostLocatorError(PermanentError):
    """The link to the next page leads nowhere any more."""


#: Refusals (400 and 403) that are none: the same call will be answered later (Salesforce, REST API,
#: "Status Codes and Error Responses"), a lost locator by a new one.
KINDS: dict[str, type[UpstreamError]] = {
    "REQUEST_LIMIT_EXCEEDED": RateLimitedError,
    "QUERY_TIMEOUT": RetryableError,
    "SERVER_UNAVAILABLE": RetryableError,
    "UNABLE_TO_LOCK_ROW": RetryableError,
    "INVALID_SESSION_ID": AuthExpiredError,
    "INVALID_QUERY_LOCATOR": LostLocatorError,
}
#: Code to the reason that callers are given. Any other code is final, and speaks for itself.
REASONS = {
    "STRING_TOO_LONG": "invalid_value",
    "INVALID_EMAIL_ADDRESS": "invalid_value",
    "REQUIRED_FIELD_MISSING": "invalid_value",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "invalid_value",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "invalid_value",
    "DUPLICATE_VALUE": "duplicate_value",
}


class Trouble(msgspec.Struct):
    """One error: `errorCode` in an answer, `statusCode` in the result for one of several records."""

    message: str = ""
    errorCode: str = ""  # noqa: N815 (Salesforce's name)
    statusCode: str = ""  # noqa: N815

    @property
    def code(self) -> str:
        """Whichever it has."""
        return self.errorCode or self.statusCode


def accepted(session: HubSession, response: Response) -> Response:
    """The response, if it is a success. Raises UpstreamError, by Salesforce's own code."""
    if not response.ok:
        judge(session, _troubles(response), response)
    return session.checked(response)


def judge(session: HubSession, troubles: Sequence[Trouble], response: Response) -> None:
    """Raise what the first error with a known code stands for; nothing where none has one."""
    place: dict[str, Any] = {
        "connection": session.connection,
        "status": response.status_code,
        "excerpt": response.content,
        "correlation_id": current_id(),
    }
    for one in troubles:
        if one.code in KINDS:
            raise KINDS[one.code](f"Salesforce answered {one.code}", **place)
        if one.code in REASONS:
            raise RefusedByUpstreamError(one.message, reason=REASONS[one.code], **place)


def refuse(session: HubSession, reason: str, said: str) -> NoReturn:
    """A definite no that follows from what Salesforce holds."""
    raise RefusedByUpstreamError(
        said, reason=reason, connection=session.connection, correlation_id=current_id()
    )


def _troubles(response: Response) -> list[Trouble]:
    """Salesforce sends an array; none where it is no error in its form."""
    try:
        return msgspec.json.decode(response.content, type=list[Trouble])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
