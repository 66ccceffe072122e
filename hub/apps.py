from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from connectors.contracts import actions


class HubConfig(AppConfig):
    name = "hub"
    verbose_name = "Hub"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Take part in what the floors below do."""
        # `manage.py contract impact` belongs to a command of the floor below.
        actions.add("impact", "hub.contract.impact_action.ImpactAction")
        from hub import alerting, kept, outages  # noqa: PLC0415 (its tables are there by now)
        from hub.auth import audited, roles  # noqa: PLC0415 (the same)
        from hub.console.pack import assemble  # noqa: PLC0415 (the same)
        from observability import incidents, pack, retention  # noqa: PLC0415 (the same)

        incidents.opened.connect(outages.fill_in)
        pack.wanted.connect(assemble)
        alerting.take_part()
        audited.listen()
        kept.take_part()
        retention.check()
        # The last of our apps: every permission is there by then.
        post_migrate.connect(roles.apply, sender=self)
