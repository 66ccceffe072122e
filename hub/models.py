"""Where Django looks for this floor's tables."""

from hub.auth.approvals import Approval
from hub.auth.models import ApiKey
from hub.usage.models import FieldUsage, ObservedOperation, OperationUsage

__all__ = ["ApiKey", "Approval", "FieldUsage", "ObservedOperation", "OperationUsage"]
