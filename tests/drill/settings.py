"""Headwater's settings with the two systems of the drill in every process."""

from __future__ import annotations

from hub.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.drill"]  # noqa: F405
