"""The documented error tree of Headwater. Everything we raise on purpose is a `HubError`.

    HubError                      hub.error
    ├── ConfigurationError        configuration            someone has to change a setting
    ├── ContractError             contract                 a record breaks its expected shape
    │   └── StreamStoppedError    contract.stopped         and its stream's policy is to stop
    ├── ConflictError             conflict                 the target changed since it was read
    ├── NotWrittenError           audit.not_written        the audit log is away: nothing is done
    └── UpstreamError             upstream                 the other side did not do as asked
        ├── RetryableError        upstream.retryable       time-outs, refused connections, 5xx
        ├── RateLimitedError      upstream.rate_limited    429, quota exhausted
        ├── AuthExpiredError      upstream.auth_expired    401 or 403 with known-good credentials
        ├── GarbledError          upstream.garbled         an answer that cannot be parsed
        ├── CircuitOpenError      upstream.circuit_open    it is down, and left alone for now
        └── PermanentError        upstream.permanent       a definite refusal: 400, 404, 422
            └── RefusedByUpstreamError  upstream.refused   for a reason of business: no stock, no credit

`code` is stable: REST (RFC 9457 problem `code`), GraphQL (`extensions.code`), the admin and the
logs all show it. `ACTIONS` is the only place that says what the machinery does about an error.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from observability.redaction import redact_text

Detail: TypeAlias = str | int | float | bool | None

EXCERPT_LIMIT = 500


class Action(StrEnum):
    """What the machinery does with the work that met the error."""

    RETRY = "retry"  # again later, with backoff, no sooner than `retry_after`
    PARK = "park"  # set this one record aside (quarantine, conflict); the rest goes on
    PAUSE = "pause"  # stop the whole stream until a person or a new credential resolves it
    DEAD_LETTER = "dead_letter"  # no attempt more: keep it, show it, let a person replay it


class HubError(Exception):
    """Base of the tree. The message is for a person; the keywords are for machines.

    `retry_after` is in seconds. `excerpt` is the first bytes of what came, cut to
    `EXCERPT_LIMIT` characters, secrets masked. `path` is the dotted
    path of a field inside a record (`to_Item.0.Material`).
    """

    code: ClassVar[str] = "hub.error"

    def __init__(
        self,
        message: str,
        *,
        connection: str | None = None,
        stream: str | None = None,
        record: str | None = None,
        path: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        correlation_id: str | None = None,
        excerpt: str | bytes | None = None,
    ) -> None:
        # It goes into logs, rows and answers, and may quote what somebody sent.
        message = redact_text(message)
        super().__init__(message)
        self.message = message
        self.connection = connection
        self.stream = stream
        self.record = record
        self.path = path
        self.status = status
        self.retry_after = retry_after
        self.correlation_id = correlation_id
        self.excerpt = _cut(excerpt)

    def details(self) -> dict[str, Detail]:
        """The keywords that were given, with `code` and `message`: for logs, runs, problems."""
        known: dict[str, Detail] = {
            "connection": self.connection,
            "stream": self.stream,
            "record": self.record,
            "path": self.path,
            "status": self.status,
            "retry_after": self.retry_after,
            "correlation_id": self.correlation_id,
            "excerpt": self.excerpt,
        }
        given = {name: value for name, value in known.items() if value is not None}
        return {"code": self.code, "message": self.message, **given}


class ConfigurationError(HubError):
    """A setting, credential or rule is missing or wrong; trying again changes nothing."""

    code = "configuration"


class ContractError(HubError):
    """A record departs from its contract; `path` and the message say where and why."""

    code = "contract"


class StreamStoppedError(ContractError):
    """A record departs from its contract, and nothing more of its stream is to be read."""

    code = "contract.stopped"


class ConflictError(HubError):
    """The target was changed by somebody else since it was read (409, 412)."""

    code = "conflict"


class NotWrittenError(HubError):
    """The audit log cannot be written, so nothing is done; the person may try again later."""

    code: ClassVar[str] = "audit.not_written"


class UpstreamError(HubError):
    """The upstream did not do as asked; prefer one of the six subclasses."""

    code = "upstream"


class RetryableError(UpstreamError):
    """May well work later: connection refused, time-out, 5xx, a maintenance window."""

    code = "upstream.retryable"


class RateLimitedError(UpstreamError):
    """Too many requests; `retry_after` holds the upstream's own wish, where it sent one."""

    code = "upstream.rate_limited"


class AuthExpiredError(UpstreamError):
    """The upstream no longer accepts the credentials, also after they were renewed once."""

    code = "upstream.auth_expired"


class GarbledError(UpstreamError):
    """The answer cannot be read: truncated, not JSON, too large, a cursor that stands still."""

    code = "upstream.garbled"


class CircuitOpenError(UpstreamError):
    """Not asked at all, or asked as a probe in vain: the breaker of the connection is open."""

    code = "upstream.circuit_open"

    @property
    def in_vain(self) -> bool:
        """Whether it was asked as a probe: then the work that asked may itself be what fails."""
        return isinstance(self.__cause__, UpstreamError)


class PermanentError(UpstreamError):
    """A definite refusal of this one request; the same request will be refused again."""

    code = "upstream.permanent"


class RefusedByUpstreamError(PermanentError):
    """The upstream understood, and will not, for a reason of business; nothing was written.

    `reason` is stable and ours, in snake_case: `insufficient_stock`, `credit_blocked`,
    `unknown_customer`, `unknown_material`, `no_price`, and what a connector declares beyond them.
    """

    code = "upstream.refused"

    def __init__(self, message: str, *, reason: str, **keywords: Any) -> None:
        super().__init__(message, **keywords)
        self.reason = reason

    def details(self) -> dict[str, Detail]:
        """See `HubError.details`; with `reason`."""
        return {**super().details(), "reason": self.reason}


ACTIONS: dict[type[HubError], Action] = {
    HubError: Action.DEAD_LETTER,
    ConfigurationError: Action.PAUSE,
    ContractError: Action.PARK,
    ConflictError: Action.PARK,
    UpstreamError: Action.RETRY,
    RetryableError: Action.RETRY,
    RateLimitedError: Action.RETRY,
    AuthExpiredError: Action.PAUSE,
    GarbledError: Action.RETRY,
    CircuitOpenError: Action.RETRY,
    PermanentError: Action.DEAD_LETTER,
    RefusedByUpstreamError: Action.DEAD_LETTER,
}

#: These say nothing about the work that met them, so they cost it no attempt.
SPARING: tuple[type[HubError], ...] = (RateLimitedError, CircuitOpenError)


def action_for(error: BaseException) -> Action:
    """The action of the nearest class in the tree; an error that is not ours is a dead letter."""
    for kind in type(error).__mro__:
        if kind in ACTIONS:
            return ACTIONS[kind]
    return Action.DEAD_LETTER


def _cut(excerpt: str | bytes | None) -> str | None:
    if excerpt is None:
        return None
    if isinstance(excerpt, bytes):
        # Four bytes is the longest UTF-8 character: enough bytes for the limit, never a whole body.
        excerpt = excerpt[: EXCERPT_LIMIT * 4].decode("utf-8", "replace")
    # Before it is cut: half a secret is not known by its form.
    return redact_text(excerpt[: EXCERPT_LIMIT * 4])[:EXCERPT_LIMIT]
