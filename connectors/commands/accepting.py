"""A caller's key and body become a command: one statement, however many ask at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from connectors.commands.declare import Operation
from connectors.models import Command


class Kind(Enum):
    """What a caller's request is."""

    #: A new command, leased to this process: `carry_out` it.
    NEW = "new"
    #: The same request again; its answer is fixed: `command.status`, and `result` or `problem`.
    ANSWERED = "answered"
    #: The same again, of which somebody works on the first in its own request: 409.
    IN_FLIGHT = "in_flight"
    #: The same again, which the drain goes on with: 202, as the first was answered.
    DEFERRED = "deferred"
    #: The key was used with another body: 422.
    OTHER_BODY = "other_body"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command that a request is about, and what the request is to it."""

    kind: Kind
    command: Command


def accept(
    operation: Operation,
    params: Mapping[str, Any],
    caller: str,
    idempotency_key: str,
    correlation_id: str,
) -> Accepted:
    """Commit a command, or find the one that this key made; nothing runs yet.

    `params` are JSON, as the operation's model dumps them (`model_dump(mode="json")`).
    """
    raise NotImplementedError
