from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class ObservabilityConfig(AppConfig):
    name = "observability"
    verbose_name = "Observability"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Statements say from now on what they are run for."""
        from observability import comments  # noqa: PLC0415 (no sooner than Django is set up)

        connection_created.connect(comments.comment)
