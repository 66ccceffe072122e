"""What is looked after now and then: endpoints that fail for days, and what is long done."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from catalog.notices import prune_notices
from connectors.models import Subscriber
from connectors.outbox.subscribers import switch_off

#: Standard Webhooks 1.0, "Operational considerations": an endpoint that fails for days is disabled.
FAILING = timedelta(days=5)
KEPT_DAYS = 30
PRUNED_AT_ONCE = 5000

PRUNE = f"""
DELETE FROM connectors_outboxcommand WHERE id IN (
    SELECT id FROM connectors_outboxcommand
    WHERE state IN ('applied', 'superseded') AND received_at < now() - interval '{KEPT_DAYS} days'
    ORDER BY id LIMIT {PRUNED_AT_ONCE})"""  # noqa: S608 (our own constants)


def look_after() -> None:
    """One round. Raises django.db.DatabaseError."""
    for row in Subscriber.objects.filter(enabled=True, failing_since__lt=Now() - FAILING):
        switch_off(row, f"nothing was delivered since {row.failing_since:%Y-%m-%d %H:%M} UTC")
    with connection.cursor() as cursor:
        cursor.execute(PRUNE)
    prune_notices()
