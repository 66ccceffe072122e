from __future__ import annotations

from django.apps import AppConfig


class ConnectorsConfig(AppConfig):
    name = "connectors"
    verbose_name = "Connectors"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Say what of this floor is worth an alert, and what of a payload anybody may see."""
        from catalog import masking  # noqa: PLC0415 (models are loaded by now)
        from connectors import alerting, erased, retention  # noqa: PLC0415 (the same)
        from connectors.runtime.lineage import open_to_all  # noqa: PLC0415 (the same)

        alerting.take_part()
        erased.take_part()
        retention.take_part()
        masking.declared_by(open_to_all)
