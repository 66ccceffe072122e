"""The benchmark's PostgreSQL: thrown away, or kept in a directory for the next run.

A kept one is filled once. Each later run brings its schema up to date and measures, so that a page and
its statements can be looked at again and again.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import services
from tests.benchmarks.reads.contestants import ROOT

#: Sized for the data, and durable as in `make run`: a page may write what it showed to whom.
SETTINGS = {"shared_buffers": "2GB", "work_mem": "32MB"}
SEALED_WITH = ("HEADWATER_SECRET_KEY", "HEADWATER_ENCRYPTION_KEYS")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a directory: how many products it was made for, and what of it is done."""

    directory: Path | None
    products: int

    def start(self) -> None:
        """PostgreSQL and Valkey, up, migrated and named by the environment."""
        known = self._known()
        if self.directory is not None:
            os.environ |= known["environment"]
        services.THROW_AWAY = SETTINGS
        if self.directory is not None:
            password = known["password"]
            os.environ["DATABASE_URL"] = services.start_postgres(self.directory, password)
        services.pytest_addoption(None)  # type: ignore[arg-type]
        if self.directory is not None and not known["environment"]:
            self._know(known | {"environment": {name: os.environ[name] for name in SEALED_WITH}})
        os.environ["HEADWATER_LOG_FORMAT"] = "json"
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(migrate, cwd=ROOT, check=True)

    def has(self, part: str) -> bool:
        """Whether an earlier run has made a part of the data."""
        return part in self._known()["made"]

    def made(self, part: str) -> None:
        """It is there: the next run does not make it again."""
        known = self._known()
        self._know(known | {"made": [*known["made"], part]})

    def _known(self) -> dict[str, Any]:
        new = {"products": self.products, "password": secrets.token_hex(), "environment": {}}
        if self.directory is None or not self._file().exists():
            self._know(made := {**new, "made": []})
            return made
        known: dict[str, Any] = json.loads(self._file().read_text())
        if known["products"] != self.products:
            sys.exit(
                f"{self.directory} holds {known['products']:,} products: give --products"
                f" {known['products']}, or another directory"
            )
        return known

    def _know(self, known: dict[str, Any]) -> None:
        if self.directory is not None:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file().write_text(json.dumps(known))

    def _file(self) -> Path:
        assert self.directory is not None
        return self.directory / "kept.json"
