"""Connections, streams, runs, quarantine, drift, boxes and subscribers in the admin; one module each."""

from connectors.admin.auctions import AuctionBidAdmin, MandateAdmin
from connectors.admin.channels import ChannelAdmin
from connectors.admin.commands import CommandAdmin
from connectors.admin.connections import ConnectionAdmin
from connectors.admin.drift import (
    DriftIncidentAdmin,
    DriftPolicyAdmin,
    FieldAliasAdmin,
    MemberChangeAdmin,
)
from connectors.admin.inbox import InboxEventAdmin
from connectors.admin.outbox import OutboxAdmin
from connectors.admin.quarantine import QuarantineAdmin
from connectors.admin.receipts import PurgeReceiptAdmin
from connectors.admin.runs import SyncRunAdmin
from connectors.admin.streams import StreamAdmin
from connectors.admin.subscribers import SubscriberAdmin

__all__ = [
    "AuctionBidAdmin",
    "ChannelAdmin",
    "CommandAdmin",
    "ConnectionAdmin",
    "DriftIncidentAdmin",
    "DriftPolicyAdmin",
    "FieldAliasAdmin",
    "InboxEventAdmin",
    "MandateAdmin",
    "MemberChangeAdmin",
    "OutboxAdmin",
    "PurgeReceiptAdmin",
    "QuarantineAdmin",
    "StreamAdmin",
    "SubscriberAdmin",
    "SyncRunAdmin",
]
