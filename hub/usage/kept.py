"""How long it is known who read what: longer than a quarter, after which a field may be called unread."""

from __future__ import annotations

from observability import retention
from observability.retention import Kept, by_age

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
    )  # fmt: skip
