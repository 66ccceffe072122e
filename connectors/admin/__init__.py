"""Connections, streams, sync runs, quarantine and dead letters in the admin; one module each."""

from connectors.admin.connections import ConnectionAdmin
from connectors.admin.inbox import InboxEventAdmin
from connectors.admin.quarantine import QuarantineAdmin
from connectors.admin.runs import SyncRunAdmin
from connectors.admin.streams import StreamAdmin

__all__ = ["ConnectionAdmin", "InboxEventAdmin", "QuarantineAdmin", "StreamAdmin", "SyncRunAdmin"]
