from __future__ import annotations

from observability.freshness import StreamFreshness
from observability.incidents import Incident
from observability.uses import UseLimit

__all__ = ["Incident", "StreamFreshness", "UseLimit"]
