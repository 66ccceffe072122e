"""What is looked after now and then: endpoints that fail for days."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from connectors.models import Subscriber
from connectors.outbox.subscribers import switch_off

#: Standard Webhooks 1.0, "Operational considerations": an endpoint that fails for days is disabled.
FAILING = timedelta(days=5)


def look_after() -> None:
    """One round. Raises django.db.DatabaseError."""
    for row in Subscriber.objects.filter(enabled=True, failing_since__lt=Now() - FAILING):
        switch_off(row, f"nothing was delivered since {row.failing_since:%Y-%m-%d %H:%M} UTC")
