"""How old a value may be by what it is used for: a listing serves what there is, a checkout refuses.

A use exists as soon as one row names it. Rows are set in the admin; the migration makes two uses.
"""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models


class UseLimit(models.Model):
    """The maximum age of one data class (`Declaration.class_of`) for one use."""

    use = models.TextField(
        validators=[
            RegexValidator(r"^[a-z][a-z0-9_-]{0,62}$", "lower-case letters, digits, - and _")
        ],
        help_text="Named by callers in the header Headwater-Use, for example checkout.",
    )
    data_class = models.TextField(help_text="For example price or stock.")
    max_age_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Older values are refused (503). Empty: any age is served."
    )

    class Meta:
        verbose_name = "maximum age by use"
        verbose_name_plural = "maximum ages by use"
        ordering: ClassVar = ["use", "data_class"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["use", "data_class"], name="use_limit_once")
        ]

    def __str__(self) -> str:
        limit = "any age" if self.max_age_seconds is None else f"{self.max_age_seconds} s"
        return f"{self.use}: {self.data_class} up to {limit}"
