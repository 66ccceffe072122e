from __future__ import annotations

from observability.calls import OutgoingCall
from observability.freshness import StreamFreshness
from observability.incidents import Incident
from observability.received import ReceivedRequest
from observability.uses import UseLimit

__all__ = ["Incident", "OutgoingCall", "ReceivedRequest", "StreamFreshness", "UseLimit"]
