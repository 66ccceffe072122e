from __future__ import annotations

from django.apps import AppConfig


class HubConfig(AppConfig):
    name = "hub"
    verbose_name = "Hub"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to what the floors below report."""
        from hub import impact  # noqa: PLC0415 (its tables are there by now)
        from observability import incidents  # noqa: PLC0415 (the same)

        incidents.opened.connect(impact.fill_in)
