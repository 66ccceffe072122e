"""Where Django looks for this floor's tables."""

from hub.auth.models import ApiKey

__all__ = ["ApiKey"]
