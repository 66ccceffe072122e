"""Headwater's settings with the connector of the harness in every process."""

from __future__ import annotations

from hub.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults"]  # noqa: F405
