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

from catalog.prepared import call
from connectors.commands.accepting import fingerprint, new_reference
from connectors.commands.declare import operations
from connectors.runtime import wake

#: The caller of commands that nobody outside asked for.
OURSELVES = "headwater"

PUT = """
INSERT INTO connectors_command
    (reference, operation, caller, idempotency_key, fingerprint, params, correlation_id,
     deadline_at, deferred_at)
SELECT reference, operation, %(caller)s, key, fingerprint, params, correlation_id, now(), now()
FROM jsonb_to_recordset(%(rows)s) AS r
    (reference text, operation text, key text, fingerprint text, params jsonb, correlation_id text)
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
        {
            "reference": new_reference(),
            "operation": c.operation,
            "key": c.idempotency_key,
            "fingerprint": fingerprint(operations()[c.operation], c.params),
            "params": c.params,
            "correlation_id": c.correlation_id,
        }
        for c in commands
    ]
    if rows:
        put = call(PUT, {"caller": "text", "rows": "jsonb"})
        with connection.cursor() as cursor:
            cursor.execute(put, {"caller": OURSELVES, "rows": json.dumps(rows)})
        transaction.on_commit(wake.WRITES.ring)
