"""What was sent and what was acknowledged, kept outside of the house.

One line for each event that was first sent, and one when its 2xx came: an event is in the model
because the hub said that it has it, and for no other reason.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `number` is quantity and version; `asked` events carry no record."""

    id: str
    sku: str
    number: int
    asked: bool = False
    poison: str = ""


class Journal:
    """Thread-safe; the file is for a person, the members are for the model."""

    def __init__(self, path: Path) -> None:
        self.sent: dict[str, Event] = {}
        #: When the acknowledgement came, in seconds since 1970, by event id.
        self.acknowledged: dict[str, float] = {}
        #: How often each answer came: a status, or the name of an exception.
        self.answers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._file = path.open("w", buffering=1)

    def sending(self, event: Event) -> None:
        with self._lock:
            if event.id not in self.sent:
                self.sent[event.id] = event
                self._write({"sent": asdict(event)})

    def answered(self, event: Event, answer: str) -> None:
        """What came back. 202 makes the event one of those that must not be lost."""
        with self._lock:
            self.answers[answer] += 1
            if answer == "202" and event.id not in self.acknowledged:
                self.acknowledged[event.id] = time.time()
                self._write({"acknowledged": event.id, "at": self.acknowledged[event.id]})

    def note(self, text: str) -> None:
        """What was done to the house, for whoever reads the file."""
        with self._lock:
            self._write({"fault": text, "at": datetime.now(UTC).strftime("%H:%M:%S.%f")})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
