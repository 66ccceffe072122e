"""How a connector declares its webhook: the signature's scheme, and what an event says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it came.

    `headers` have lower-case names; `path` is the target as it was sent, with its query.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class SignatureError(ValueError):
    """The delivery does not come from whom it says. `reason` is for the log alone.

    `code` is one of `signature.missing` (a header is not there), `signature.malformed`,
    `signature.expired` (or from the future), `signature.wrong`, `signature.no_secret` (ours: the
    connection has none that could be used).
    """

    def __init__(self, reason: str, code: str = "signature.wrong") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, slots=True)
class Received:
    """What one event says about one record.

    `event_id` is the sender's, unique in the connection; `kind` its own name for what happened.
    `stream` and `record_key` are as `StreamSpec` has them; no stream: it is about no record of
    ours. `payload` is the whole record exactly as `Connector.page` would give it, None where it
    has to be fetched. `sequence` numbers the events of a connection without gaps, where the
    sender does. `gap_since`: the sender left events out, and the stream must be read again from
    then on. `origin` is who caused it, by which our own echoes are known.
    """

    event_id: str
    kind: str
    stream: str = ""
    record_key: str = ""
    payload: bytes | None = None
    occurred_at: datetime | None = None
    sequence: int | None = None
    gap_since: datetime | None = None
    origin: str = ""


class Scheme(ABC):
    """How a sender signs."""

    #: Between the time that was signed and ours, in both directions.
    tolerance: ClassVar[timedelta] = timedelta(minutes=5)

    @abstractmethod
    def verify(self, delivery: Delivery, secrets: Sequence[str], now: float) -> None:
        """Accept, or raise SignatureError and nothing else. Any live secret will do.

        `now` is in seconds since 1970.
        """

    def fresh(self, seconds: float, now: float) -> None:
        """Refuse what was signed too long ago, or lies ahead. Raises SignatureError."""
        if abs(now - seconds) > self.tolerance.total_seconds():
            raise SignatureError(
                f"signed {now - seconds:.0f} s ago, by the sender's clock", "signature.expired"
            )


class Webhook(ABC):
    """One for each connector class; holds no state.

    `retention` is how long the sender keeps events that it could not deliver. `headers` are those
    (in lower case) that `read` needs; they are kept with the event.
    """

    scheme: ClassVar[Scheme]
    retention: ClassVar[timedelta | None] = None
    headers: ClassVar[tuple[str, ...]] = ()

    def split(self, body: bytes, headers: Mapping[str, str]) -> Sequence[bytes]:  # noqa: ARG002 (for those who override it)
        """The raw JSON of each event of a delivery. Raises ValueError and nothing else."""
        return [body]

    @abstractmethod
    def read(self, event: bytes, headers: Mapping[str, str]) -> Sequence[Received]:
        """What an event says: one entry for each record, each with an id of its own.

        Raises ValueError where it cannot be understood, and nothing else.
        """
