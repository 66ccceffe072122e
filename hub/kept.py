"""How long this floor keeps what it writes down."""

from __future__ import annotations

from hub.auth.approvals import OPEN_FOR, expire_due
from observability import retention
from observability.retention import Kept, by_age

#: Longer than a quarter, after which a field may be called unread.
DAYS = 92


def take_part() -> None:
    """Declare them."""
    retention.declare(
        Kept("field_usage", "Requests by field, key and day", "traffic", DAYS, "deleted",
             by_age("hub_fieldusage", "day")),
        Kept("operation_usage", "Requests by operation, key and day", "traffic", DAYS, "deleted",
             by_age("hub_operationusage", "day")),
        Kept("operations", "Operations that nobody asks for any more", "traffic", DAYS, "deleted",
             by_age("hub_observedoperation", "seen_at")),
        # Sealed, for it may name anybody. By the rows' own expiry.
        Kept("approval_forms", "Forms that wait for a second person", "as the form", OPEN_FOR.days,
             "emptied; that it was asked for stays", lambda _days: expire_due()),
    )  # fmt: skip
