"""What all tests of connectors share."""

from __future__ import annotations

import pytest
from django_redis import get_redis_connection

from connectors.runtime import breaker, pacing


@pytest.fixture(autouse=True)
def no_pace_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's upstream asked for, or failed at, is not kept in the next."""
    monkeypatch.setattr(pacing, "_pacers", {})
    connection = get_redis_connection("default")
    monkeypatch.setattr(breaker, "_breakers", {})
    for kind in ("pace", "outcomes"):
        if kept := connection.keys(f"headwater:{kind}:*"):
            connection.delete(*kept)
