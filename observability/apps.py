from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ObservabilityConfig(AppConfig):
    name = "observability"
    verbose_name = "Observability"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Rules are there as soon as their table is."""
        from observability.defaults import make_missing  # noqa: PLC0415 (models are loaded by now)

        post_migrate.connect(make_missing, sender=self)
