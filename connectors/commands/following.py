"""Commands of the hub's own, which follow from what it decided: put down in the same transaction.

They are carried out by the drain, and retried until they come to an end, as any other. The key makes
each of them one, however often the decision is looked at again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from connectors.commands.accepting import fingerprint, new_reference
from connectors.commands.declare import operations
from connectors.runtime import wake

#: The caller of commands that nobody outside asked for.
OURSELVES = "headwater"

PUT = """
INSERT INTO connectors_command
    (reference, operation, caller, idempotency_key, fingerprint, params, correlation_id,
     deadline_at, deferred_at)
VALUES (%s, %s, %s, %s, %s, %s::jsonb, %s, now(), now())
ON CONFLICT (caller, idempotency_key) DO NOTHING"""


@dataclass(frozen=True, slots=True)
class Following:
    """One command to come. `params` are JSON, as the operation's model takes them."""

    operation: str
    params: Mapping[str, Any]
    idempotency_key: str
    correlation_id: str = ""


def follow(commands: Iterable[Following]) -> None:
    """Put commands down, in the caller's transaction; the drain is woken when it commits."""
    rows = [
        (
            new_reference(), c.operation, OURSELVES, c.idempotency_key,
            fingerprint(operations()[c.operation], c.params), json.dumps(c.params), c.correlation_id,
        )
        for c in commands
    ]  # fmt: skip
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(PUT, rows)
        transaction.on_commit(wake.WRITES.ring)
