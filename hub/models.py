"""Where Django looks for this floor's tables."""

from hub.auth.approvals import Approval
from hub.auth.models import ApiKey
from hub.erasure.models import Erasure
from hub.usage.models import FieldUsage, ObservedOperation, OperationUsage

__all__ = ["ApiKey", "Approval", "Erasure", "FieldUsage", "ObservedOperation", "OperationUsage"]
