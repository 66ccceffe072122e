"""Headwater's settings with the benchmark's entity, whose table is made without migrations."""

from __future__ import annotations

from hub.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.benchmarks.listings"]  # noqa: F405
LOGGING = {"version": 1, "disable_existing_loggers": True, "root": {"level": "ERROR"}}
