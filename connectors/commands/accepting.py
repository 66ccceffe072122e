"""A caller's key and body become a command: one statement, however many ask at once."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.db import connection
from django.db.models import JSONField

from catalog.prepared import call
from connectors.commands.declare import Operation, Refused
from connectors.commands.ledger import NUL
from connectors.models import Command
from connectors.outbox.echoes import COMMANDS
from connectors.runtime.box import NO_WAIT

_TYPES = {
    "reference": "text", "operation": "text", "caller": "text", "key": "text",
    "fingerprint": "text", "params": "jsonb", "correlation": "text", "deadline": "float8",
}  # fmt: skip
#: Random bytes of a reference: 16 characters in base 32.
RANDOM_BYTES = 10
#: Beyond the deadline: a request that lasts longer has lost its command to the drain.
MARGIN_SECONDS = 5.0

_FIELDS = Command._meta.concrete_fields
_NAMES = [f.attname for f in _FIELDS]
_JSON = [f.attname for f in _FIELDS if isinstance(f, JSONField)]

# A repetition is counted, because an insert that does nothing would not return the row that it met.
_ACCEPT = f"""
INSERT INTO connectors_command AS c
    (reference, operation, caller, idempotency_key, fingerprint, params, correlation_id,
     deadline_at, lease_until, token, attempts)
SELECT %(reference)s, %(operation)s, %(caller)s, %(key)s, %(fingerprint)s, %(params)s::jsonb,
       %(correlation)s, now() + %(deadline)s * interval '1 second',
       now() + (%(deadline)s + {MARGIN_SECONDS}) * interval '1 second', 1, 1
WHERE {NO_WAIT}
ON CONFLICT (caller, idempotency_key) DO UPDATE SET repeats = c.repeats + 1
RETURNING {", ".join(f"c.{f.column}" for f in _FIELDS)}, (c.xmax = 0) AS made, COALESCE(c.lease_until < now(), true) AS left_alone,
    clock_timestamp() AS looked_at"""


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

    `params` are JSON, as the operation's model dumps them (`model_dump(mode="json")`). What is
    committed here is on disk at the latest when something is sent or answered. Raises Refused for
    params that PostgreSQL cannot keep; django.db.DatabaseError.
    """
    canonical, asked = _canonical(params), fingerprint(operation, params)
    given: dict[str, Any] = {
        "reference": new_reference(),
        "operation": operation.slug,
        "caller": caller,
        "key": idempotency_key,
        "fingerprint": asked,
        "params": canonical,
        "correlation": correlation_id,
        "deadline": operation.deadline_seconds,
    }
    with connection.cursor() as cursor:
        cursor.execute(call(_ACCEPT, _TYPES), given)
        *row, made, left_alone, looked_at = cursor.fetchone()
    command = Command.from_db(connection.alias, _NAMES, row)
    for name in _JSON:
        # Django leaves jsonb as text to those who ask for it themselves.
        text = getattr(command, name)
        setattr(command, name, None if text is None else json.loads(text))
    command.looked_at = looked_at
    return Accepted(_kind(command, asked, made=made, left_alone=left_alone), command)


def new_reference() -> str:
    """`cmd_` and sixteen random characters: short enough for an upstream's field for our key."""
    return COMMANDS + b32encode(secrets.token_bytes(RANDOM_BYTES)).decode().lower()


def fingerprint(operation: Operation, params: Mapping[str, Any]) -> str:
    """What a repetition must have in common with the first: operation and params."""
    return hashlib.sha256(f"{operation.slug}\n{_canonical(params)}".encode()).hexdigest()


def _kind(command: Command, asked: str, *, made: bool, left_alone: bool) -> Kind:
    if made:
        return Kind.NEW
    if command.fingerprint != asked:
        return Kind.OTHER_BODY
    if command.answered:
        return Kind.ANSWERED
    # Whose process died is gone on with in a moment.
    alone = command.deferred_at is not None or left_alone
    return Kind.DEFERRED if alone else Kind.IN_FLIGHT


def _canonical(params: Mapping[str, Any]) -> str:
    text = json.dumps(
        params, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    if NUL.search(text) or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Refused(
            "bad_text", "a text holds the character NUL, or half of a surrogate pair", status=400
        )
    return text
