from __future__ import annotations

from django.apps import AppConfig

from connectors.contracts import actions


class HubConfig(AppConfig):
    name = "hub"
    verbose_name = "Hub"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """`manage.py contract impact` belongs to a command of the floor below."""
        actions.add("impact", "hub.contract.impact_action.ImpactAction")
