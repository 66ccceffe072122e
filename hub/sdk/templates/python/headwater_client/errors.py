"""The one error of the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class HeadwaterError(Exception):
    """Whatever goes wrong in a call.

    `code` is stable: the hub's own, or one of the client's, which are `unreachable`, `garbled` (an answer that is none of the hub's), `contract` (an answer that
    breaks the contract). `status` is 0 where there was no answer. `errors` name wrong parameters.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int = 0,
        correlation_id: str = "",
        errors: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.correlation_id = correlation_id
        self.errors = tuple(errors)
