"""The state directory: who runs, the generated secrets, and where the services are.

run.lock        held while a launcher, or the guard that cleans up after it, lives
secrets.json    generated once: keys and passwords, by the names of their variables
services.json   addresses of this run, by the names of their variables
processes.json  the ids of the supervised processes
card.json       what the card shows
logs/           one file for each process
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hub.env import STATE_VARIABLE
from observability.errors import ConfigurationError

LOCK_WAIT_SECONDS = 15.0

# sun_path holds 104 bytes on macOS, 108 on Linux; PostgreSQL adds /.s.PGSQL.5432.lock
LONGEST_SOCKET_DIRECTORY = 80


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


GENERATED: Mapping[str, Callable[[], str]] = {
    "HEADWATER_SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "HEADWATER_ENCRYPTION_KEYS": _fernet_key,
    "HEADWATER_DATABASE_PASSWORD": lambda: secrets.token_urlsafe(24),
    "HEADWATER_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
}


class State:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: int | None = None

    def acquire(self) -> int:
        """Create the directory and take its lock; the descriptor, for the guard to inherit."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if self.directory.stat().st_uid == os.geteuid():
                self.directory.chmod(0o700)
            descriptor = os.open(self.directory / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"{STATE_VARIABLE}: cannot write to {self.directory} ({error.strerror}). "
                f"Set {STATE_VARIABLE} to a directory of your own."
            ) from None
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        while not _locked(descriptor):
            # A killed launcher leaves its guard at work for some seconds; a living one stays.
            if _alive(_owner(descriptor)) or time.monotonic() > deadline:
                raise ConfigurationError(
                    f"Headwater already runs here (process {_owner(descriptor)}). Stop it, or set "
                    f"{STATE_VARIABLE}, PORT and SANDBOX_PORT for a second one."
                )
            time.sleep(0.2)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock = descriptor
        return descriptor

    def path(self, name: str) -> Path:
        return self.directory / name

    def log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"

    def secrets(self) -> dict[str, str]:
        """The generated secrets; what is missing is generated now."""
        known = self.read("secrets.json")
        missing = {name: make() for name, make in GENERATED.items() if name not in known}
        if missing:
            self.write("secrets.json", known | missing)
        return {name: str(value) for name, value in (known | missing).items()}

    def read(self, name: str) -> dict[str, Any]:
        """A file of the directory; empty where there is none."""
        try:
            content = json.loads(self.path(name).read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise ConfigurationError(
                f"{self.path(name)} cannot be read. Remove it, or start anew: `make clean`."
            ) from None
        return content if isinstance(content, dict) else {}

    def write(self, name: str, content: Mapping[str, object]) -> None:
        """Replace a file at once, readable by us alone: a reader sees the old one or the new."""
        descriptor, temporary = tempfile.mkstemp(dir=self.directory, prefix=f".{name}.")
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(self.path(name))

    def remove(self, *names: str) -> None:
        for name in names:
            self.path(name).unlink(missing_ok=True)


def socket_directory(wanted: Path) -> Path:
    """`wanted`, or a short private directory in its place where sockets could not be bound.

    The directory is not created. The short one has the same name for the same `wanted`.
    """
    if len(os.fsencode(wanted)) <= LONGEST_SOCKET_DIRECTORY:
        return wanted
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"headwater-{os.geteuid()}-{digest}"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> int:
    content = os.pread(descriptor, 20, 0)
    return int(content) if content.isdigit() else 0


def _alive(pid: int) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
