"""Writing to S/4HANA: the CSRF token, and what its refusals mean.

A token belongs to the session's cookie. One that has expired is answered with 403 and
`x-csrf-token: Required` before anything is done, so the write may be repeated with a new one
(SAP Gateway, "Cross-Site Request Forgery Protection").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.runtime.session import HubSession, Response
from observability.context import current_id
from observability.errors import PermanentError, RefusedByUpstreamError

#: SAP's message class and number to the reason that callers are given.
REASONS = {
    "VP/204": "unknown_customer",  # Sold-to party & not maintained for sales area & & &
    "V1/382": "unknown_material",  # Material & is not defined for sales org. &, distr.chan. &
    "V1/801": "no_price",  # Pricing error: Mandatory condition & is missing
    "V1/150": "credit_blocked",  # Static credit check: credit limit exceeded & &
    "V1/154": "credit_blocked",  # Order receipt/delivery not possible, credit customer blocked
}


class Message(msgspec.Struct):
    value: str = ""


class Detail(msgspec.Struct):
    code: str = ""
    message: str = ""


class Inner(msgspec.Struct):
    errordetails: list[Detail] = []


class Error(msgspec.Struct):
    code: str = ""
    message: Message = msgspec.field(default_factory=Message)
    innererror: Inner = msgspec.field(default_factory=Inner)


class Refusal(msgspec.Struct):
    """An error of the Gateway; the one behind the first is often the one that says why."""

    error: Error


class Writer:
    """Sends writes of one session with its token."""

    def __init__(self, session: HubSession, headers: Mapping[str, str]) -> None:
        self._session, self._headers = session, dict(headers)
        self._token = ""

    def send(self, method: str, url: str, service: str, body: Any, **headers: str) -> Response:
        """The answer of a write that was accepted. Raises UpstreamError, for a reason of business
        RefusedByUpstreamError.
        """
        response = self._once(method, url, service, body, headers)
        if response.status_code == 403 and _wants_token(response):
            self._token = ""
            response = self._once(method, url, service, body, headers)
        self._accepted(response)
        return response

    def _once(
        self, method: str, url: str, service: str, body: Any, headers: Mapping[str, str]
    ) -> Response:
        if not self._token:
            fetch = {**self._headers, "X-CSRF-Token": "Fetch"}
            given = self._session.checked(self._session.get(service, headers=fetch))
            self._token = given.headers.get("X-CSRF-Token", "")
        named = {
            **self._headers,
            "Content-Type": "application/json",
            "X-CSRF-Token": self._token,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self._session.request(method, url, data=data, headers=named)

    def _accepted(self, response: Response) -> None:
        if response.ok:
            return
        for code, said in _said(response):
            if code in REASONS:
                raise refused(self._session, REASONS[code], said, response)
        said = next((said for _, said in _said(response) if said), "")
        if said:
            raise PermanentError(
                f"SAP refused: {said}",
                connection=self._session.connection,
                status=response.status_code,
                excerpt=response.content,
                correlation_id=current_id(),
            )
        self._session.checked(response)


def refused(
    session: HubSession, reason: str, said: str, response: Response | None = None
) -> RefusedByUpstreamError:
    """A definite no of SAP's."""
    return RefusedByUpstreamError(
        said,
        reason=reason,
        connection=session.connection,
        status=response.status_code if response is not None else None,
        excerpt=response.content if response is not None else None,
        correlation_id=current_id(),
    )


def _wants_token(response: Response) -> bool:
    return response.headers.get("X-CSRF-Token", "").lower() == "required"


def _said(response: Response) -> list[tuple[str, str]]:
    """(code, text) of every message of a refusal; none where it is not in the Gateway's form."""
    try:
        error = msgspec.json.decode(response.content, type=Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    details = [(one.code, one.message) for one in error.innererror.errordetails]
    return [(error.code, error.message.value), *details]
