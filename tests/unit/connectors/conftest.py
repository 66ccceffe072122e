"""What all tests of connectors share."""

from __future__ import annotations

import pytest
from django_redis import get_redis_connection

from connectors.runtime import pacing


@pytest.fixture(autouse=True)
def no_pace_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that one test's upstream asked for is not kept in the next."""
    monkeypatch.setattr(pacing, "_pacers", {})
    connection = get_redis_connection("default")
    if kept := connection.keys("headwater:pace:*"):
        connection.delete(*kept)
