from __future__ import annotations

from django.apps import AppConfig

from connectors.contracts import actions


class HubConfig(AppConfig):
    name = "hub"
    verbose_name = "Hub"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Take part in what the floors below do."""
        # `manage.py contract impact` belongs to a command of the floor below.
        actions.add("impact", "hub.contract.impact_action.ImpactAction")
        from hub import outages  # noqa: PLC0415 (its tables are there by now)
        from hub.console.pack import assemble  # noqa: PLC0415 (the same)
        from observability import incidents, pack  # noqa: PLC0415 (the same)

        incidents.opened.connect(outages.fill_in)
        pack.wanted.connect(assemble)
