"""`manage.py rotate_secrets`: all stored credentials under the first encryption key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from connectors.models import Connection, Subscriber
from connectors.secrets import reseal
from observability.channels import Channel


class Command(BaseCommand):
    help = "Encrypt every stored credential again under the first of HEADWATER_ENCRYPTION_KEYS."

    def handle(self, **_options: Any) -> None:
        with transaction.atomic():
            connections = list(Connection.objects.select_for_update())
            subscribers = list(Subscriber.objects.select_for_update())
            channels = list(Channel.objects.select_for_update())
            rows: list[Connection | Subscriber | Channel] = [
                *connections, *subscribers, *channels,
            ]  # fmt: skip
            for row in rows:
                row.secrets = reseal(row.secrets)
                row.save(update_fields=["secrets"])
        self.stdout.write(
            f"{len(connections)} connections, {len(subscribers)} subscribers and {len(channels)}"
            " channels now use the first key"
        )
