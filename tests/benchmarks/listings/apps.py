"""The app: its connector is known in every process once Django is set up."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class ListingsConfig(AppConfig):
    name = "tests.benchmarks.listings"

    def ready(self) -> None:
        import_module("tests.benchmarks.listings.connector")
