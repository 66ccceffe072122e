from __future__ import annotations

from observability.alerts import AlertRule, AlertState
from observability.audit import AuditEntry
from observability.calendars import Calendar
from observability.calls import OutgoingCall
from observability.channels import Channel, Escalation, Told
from observability.field_changes import FieldChanges
from observability.freshness import StreamFreshness
from observability.incidents import Incident
from observability.metrics.store import Measurement, Series
from observability.objectives import FreshnessObjective
from observability.received import ReceivedRequest
from observability.refusals import Refusal
from observability.silences import Silence
from observability.starts import Start
from observability.uses import UseLimit

__all__ = [
    "AlertRule",
    "AlertState",
    "AuditEntry",
    "Calendar",
    "Channel",
    "Escalation",
    "FieldChanges",
    "FreshnessObjective",
    "Incident",
    "Measurement",
    "OutgoingCall",
    "ReceivedRequest",
    "Refusal",
    "Series",
    "Silence",
    "Start",
    "StreamFreshness",
    "Told",
    "UseLimit",
]
