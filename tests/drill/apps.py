"""Loads the connector of the drill from where it is deployed: a folder that the drill writes to."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from django.apps import AppConfig

#: Names the folder.
DEPLOYED = "DRILL_DEPLOYED"


class DrillConfig(AppConfig):
    name = "tests.drill"
    label = "drill"

    def ready(self) -> None:
        if folder := os.environ.get(DEPLOYED):
            spec = spec_from_file_location("drill_shelf", Path(folder) / "shelf.py")
            assert spec is not None
            assert spec.loader is not None
            module = sys.modules["drill_shelf"] = module_from_spec(spec)
            spec.loader.exec_module(module)
