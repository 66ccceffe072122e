from __future__ import annotations

from observability.freshness import StreamFreshness

__all__ = ["StreamFreshness"]
