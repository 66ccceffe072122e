"""`manage.py rotate_secrets`: all stored credentials under the first encryption key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from connectors.models import Connection, Subscriber
from connectors.secrets import reseal


class Command(BaseCommand):
    help = "Encrypt every stored credential again under the first of HEADWATER_ENCRYPTION_KEYS."

    def handle(self, **_options: Any) -> None:
        with transaction.atomic():
            connections = list(Connection.objects.select_for_update())
            subscribers = list(Subscriber.objects.select_for_update())
            rows: list[Connection | Subscriber] = [*connections, *subscribers]
            for row in rows:
                row.secrets = reseal(row.secrets)
                row.save(update_fields=["secrets"])
        self.stdout.write(
            f"{len(connections)} connections and {len(subscribers)} subscribers now use the first key"
        )
