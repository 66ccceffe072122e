"""How long this floor keeps what it writes down."""

from __future__ import annotations

from observability import audit, retention
from observability.metrics import rolling
from observability.metrics.store import DAY, HOUR, MINUTE, TEN
from observability.retention import Kept, by_age, deleting, of_a_journal

STEPS = {MINUTE: "minute", TEN: "ten minutes", HOUR: "hour", DAY: "day"}

# With what was told of them. What they caused, and is younger, stands for itself then.
INCIDENTS = """
WITH old AS (
    SELECT id FROM observability_incident WHERE resolved_at < now() - make_interval(days => %(days)s)
    LIMIT %(piece)s
), told AS (
    DELETE FROM observability_told USING old WHERE incident_id = old.id
), parts AS (
    UPDATE observability_incident SET part_of_id = NULL
    WHERE part_of_id IN (SELECT id FROM old) AND id NOT IN (SELECT id FROM old)
)
DELETE FROM observability_incident i USING old WHERE i.id = old.id"""

LINES = (
    Kept("audit_log", "The audit log", "who did what", 800, "deleted; that is an entry",
         audit.prune, can_be_set=True, least=30),
    Kept("calls", "Outgoing calls, the last 5 million", "traffic", 7, "deleted",
         of_a_journal("observability_outgoingcall", 5_000_000)),
    Kept("received", "Received requests that changed something or failed, the last 2 million", "traffic",
         7, "deleted", of_a_journal("observability_receivedrequest", 2_000_000)),
    Kept("refusals", "Who was turned away, by minute", "traffic", 7, "deleted",
         by_age("observability_refusal", "minute")),
    Kept("incidents", "Incidents that are over", "operation", 400, "deleted",
         deleting(INCIDENTS)),
    Kept("starts", "Starts and deploys", "operation", 400, "deleted",
         by_age("observability_start", "at")),
    # Alerts compare with what the last five weeks were like.
    Kept("field_changes", "Changed values by field and hour", "numbers", 35, "deleted",
         by_age("observability_fieldchanges", "hour")),
    *(Kept(f"metrics_by_{name.replace(' ', '_')}", f"Measurements by {name}", "numbers",
           rolling.KEPT_DAYS[step], "deleted; longer steps have them",
           by_age("observability_measurement", "at", f"m.step = {step}"))
      for step, name in STEPS.items()),
    Kept("metrics_series", "What was measured at all, and its sums", "numbers",
         rolling.KEPT_DAYS[DAY], "deleted with its days", rolling.prune_series),
)  # fmt: skip


def take_part() -> None:
    """Declare them."""
    retention.declare(*LINES)
