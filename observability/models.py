from __future__ import annotations

from observability.calendars import Calendar
from observability.calls import OutgoingCall
from observability.freshness import StreamFreshness
from observability.incidents import Incident
from observability.metrics.store import Measurement, Series
from observability.objectives import FreshnessObjective
from observability.received import ReceivedRequest
from observability.uses import UseLimit

__all__ = [
    "Calendar",
    "FreshnessObjective",
    "Incident",
    "Measurement",
    "OutgoingCall",
    "ReceivedRequest",
    "Series",
    "StreamFreshness",
    "UseLimit",
]
