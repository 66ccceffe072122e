"""The boxes whose dead letters can be replayed, by name."""

from __future__ import annotations

from connectors.inbox.letters import INBOX
from connectors.outbox.letters import OUTBOX
from connectors.replay.letters import Letters

BOXES: dict[str, Letters] = {box.name: box for box in (INBOX, OUTBOX)}
