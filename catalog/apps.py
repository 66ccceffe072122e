from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate

from observability.redaction import declare_personal


class CatalogConfig(AppConfig):
    name = "catalog"
    verbose_name = "Catalogue"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Entity tables are protected, searched and read in their past as soon as they are there."""
        from catalog.entities import entities  # noqa: PLC0415 (models are loaded by now)
        from catalog.guard import protect  # noqa: PLC0415 (the same)
        from catalog.labels import index  # noqa: PLC0415 (the same)
        from catalog.past import views  # noqa: PLC0415 (the same)

        post_migrate.connect(protect, sender=self)
        pre_migrate.connect(views.drop, sender=self)
        post_migrate.connect(views.make, sender=self)
        post_migrate.connect(index, sender=self)
        for cls in entities().values():
            guarded = cls.declaration.guarded.items()
            declare_personal(name for name, who in guarded if who.field_class == "personal")
        from catalog import retention  # noqa: PLC0415 (the same)

        retention.take_part()
