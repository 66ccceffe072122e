from __future__ import annotations

from django.apps import AppConfig


class ConnectorsConfig(AppConfig):
    name = "connectors"
    verbose_name = "Connectors"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Say what of this floor is worth an alert."""
        from connectors import alerting  # noqa: PLC0415 (models are loaded by now)

        alerting.take_part()
