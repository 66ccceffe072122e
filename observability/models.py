from __future__ import annotations

from observability.alerts import AlertRule, AlertState
from observability.channels import Channel, Escalation, Told
from observability.freshness import StreamFreshness
from observability.incidents import Incident
from observability.silences import Silence
from observability.uses import UseLimit

__all__ = [
    "AlertRule",
    "AlertState",
    "Channel",
    "Escalation",
    "Incident",
    "Silence",
    "StreamFreshness",
    "Told",
    "UseLimit",
]
