"""The harness in the processes of the house: its connector, and the points where they may die."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from django.apps import AppConfig


class FaultsConfig(AppConfig):
    name = "tests.faults"
    label = "faults"

    def ready(self) -> None:
        import_module("tests.faults.connector")
        import_module("tests.faults.operations")
        points = import_module("tests.faults.points")
        if armed := os.environ.get(points.VARIABLE):
            points.install(Path(armed))
