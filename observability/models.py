from __future__ import annotations

from observability.alerts import AlertRule, AlertState
from observability.channels import Channel, Escalation, Told
from observability.field_changes import FieldChanges
from observability.freshness import StreamFreshness
from observability.incidents import Incident
from observability.refusals import Refusal
from observability.silences import Silence
from observability.starts import Start
from observability.uses import UseLimit

__all__ = [
    "AlertRule",
    "AlertState",
    "Channel",
    "Escalation",
    "FieldChanges",
    "Incident",
    "Refusal",
    "Silence",
    "Start",
    "StreamFreshness",
    "Told",
    "UseLimit",
]
