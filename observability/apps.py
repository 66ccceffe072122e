from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class ObservabilityConfig(AppConfig):
    name = "observability"
    verbose_name = "Observability"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Statements say what they are run for, calls are measured, and rules are there as soon as
        their table is.
        """
        from observability import calls, comments, kept, metrics  # noqa: PLC0415 (no sooner than Django is set up)
        from observability.defaults import make_missing  # noqa: PLC0415 (the same)

        kept.take_part()
        calls.LISTENERS.append(metrics.call)
        connection_created.connect(comments.comment)
        post_migrate.connect(make_missing, sender=self)
