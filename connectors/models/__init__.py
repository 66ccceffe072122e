"""Every table of the floor; one module a matter."""

from connectors.models.auctions import AuctionBid, AuctionLot, Mandate
from connectors.models.breaker import Breaker
from connectors.models.commands import Command, CommandStep
from connectors.models.connection import SLUG, Connection, Stream
from connectors.models.drift import DriftIncident, DriftPolicy, FieldAlias, MemberChange
from connectors.models.messages import EventPosition, InboxEvent, Message
from connectors.models.outbox import OutboxCommand, PurgeReceipt, Subscriber
from connectors.models.quarantine import QuarantinedRecord
from connectors.models.runs import Checkpoint, SeenPage, SyncRun

__all__ = [
    "SLUG",
    "AuctionBid",
    "AuctionLot",
    "Breaker",
    "Checkpoint",
    "Command",
    "CommandStep",
    "Connection",
    "DriftIncident",
    "DriftPolicy",
    "EventPosition",
    "FieldAlias",
    "InboxEvent",
    "Mandate",
    "MemberChange",
    "Message",
    "OutboxCommand",
    "PurgeReceipt",
    "QuarantinedRecord",
    "SeenPage",
    "Stream",
    "Subscriber",
    "SyncRun",
]
