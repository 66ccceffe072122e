"""What a person can do about a command that is not at its end: have it tried now, or give it up."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, transaction

from connectors.commands.ledger import OPEN
from connectors.commands.trouble import GIVEN_UP
from connectors.runtime import wake

_NOW = f"""
UPDATE connectors_command SET next_attempt_at = now()
WHERE id = ANY(%(ids)s) AND {OPEN} AND lease_until IS NULL"""  # noqa: S608 (our own SQL)

# Who has been given up while he was being taken back, is left as he is.
_GIVE_UP = """
UPDATE connectors_command SET given_up_by = %(by)s, given_up_because = %(because)s,
    state = CASE WHEN problem IS NULL THEN state ELSE 'failed' END,
    finished_at = CASE WHEN problem IS NULL THEN finished_at ELSE now() END,
    problem = COALESCE(problem, %(problem)s::jsonb), status = COALESCE(status, 503),
    token = token + 1, next_attempt_at = now(), attempts = 0, waits_for_id = NULL,
    error_code = %(code)s, error = %(because)s
WHERE id = %(id)s AND state IN ('accepted', 'sent') AND lease_until IS NULL
RETURNING state"""

_STEPS = """
UPDATE connectors_commandstep SET state = 'failed', finished_at = now(),
    error = 'given up; whether it arrived is not known. ' || error
WHERE command_id = %s AND state IN ('running', 'waiting')"""

PROBLEM = f"""{{"code": "{GIVEN_UP}", "detail": "an operator gave it up; nothing more is tried"}}"""


def try_now(ids: Sequence[int]) -> int:
    """Have the drain take these up at once; how many nobody works on yet."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW, {"ids": list(ids)})
        count = int(cursor.rowcount)
    wake.WRITES.ring()
    return count


@transaction.atomic
def give_up(pk: int, by: str, because: str) -> bool:
    """Try nothing more; what was done is taken back. False: it has ended, or somebody works on it.

    Of one whose taking back is what does not come to an end, what is left stays.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _GIVE_UP,
            {"id": pk, "by": by, "because": because, "problem": PROBLEM, "code": GIVEN_UP},
        )
        row = cursor.fetchone()
        if row is None:
            return False
        if row[0] == "failed":
            cursor.execute(_STEPS, [pk])
    wake.WRITES.ring()
    return True
