from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class CatalogConfig(AppConfig):
    name = "catalog"
    verbose_name = "Catalogue"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Entity tables are protected, and their past can be read, as soon as they are there."""
        from catalog.guard import protect  # noqa: PLC0415 (models are loaded by now)
        from catalog.past import views  # noqa: PLC0415 (the same)

        post_migrate.connect(protect, sender=self)
        pre_migrate.connect(views.drop, sender=self)
        post_migrate.connect(views.make, sender=self)
