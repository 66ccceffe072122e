"""The inbox's dead letters, for `connectors.replay`."""

from __future__ import annotations

from connectors.inbox.rehearse import rehearse
from connectors.models import InboxEvent
from connectors.replay.letters import Letters
from connectors.runtime import wake

INBOX = Letters(
    name="inbox",
    model=InboxEvent,
    places={"connection": "connection__slug", "stream": "stream"},
    searched=("record_key", "event_id", "correlation_id"),
    bells=(wake.INBOX, wake.UPSTREAM),
    rehearse=rehearse,
)
