"""Connections, streams, sync runs and quarantine in the admin; one module each."""

from connectors.admin.connections import ConnectionAdmin
from connectors.admin.quarantine import QuarantineAdmin
from connectors.admin.runs import SyncRunAdmin
from connectors.admin.streams import StreamAdmin

__all__ = ["ConnectionAdmin", "QuarantineAdmin", "StreamAdmin", "SyncRunAdmin"]
