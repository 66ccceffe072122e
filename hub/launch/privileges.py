"""How a launcher that runs as root gives that up for PostgreSQL, which refuses to run as root.

Two ways, in this order:

* a user namespace: the process stays root's for the file system, without root's powers, and
  sees itself as `nobody`. Nothing has to be reachable for another user.
* setuid to `nobody`, where namespaces are forbidden (the default of Docker). The data then has to
  live where `nobody` can get to.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from observability.errors import ConfigurationError

SPAWN = Path(__file__).with_name("spawn.py")

# Where data goes that `nobody` cannot reach in the state directory. Not /var/tmp: that is cleaned.
ELSEWHERE = Path("/var/lib/headwater")


@dataclass(frozen=True, slots=True)
class Drop:
    """How a child gives up privileges: options of `spawn`, and the owner its files must have."""

    options: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def takes(self, directory: Path, binary: Path) -> bool:
        """Can the child write to the directory and execute the binary? Tries it."""
        command = spawn_command([str(binary), "--version"], drop=self, writable=directory)
        result = subprocess.run(command, capture_output=True, check=False)
        return result.returncode == 0


@dataclass(frozen=True, slots=True)
class Engine:
    """Where embedded services keep their data, and as whom they run."""

    root: Path
    drop: Drop

    @property
    def uid(self) -> int:
        """The owner of what the services write, as the file system sees it."""
        return self.drop.owner[0] if self.drop.owner else os.geteuid()

    def directory(self, name: str) -> Path:
        """A directory of its own for one service, 0700, with the right owner."""
        path = self.root / name
        path.mkdir(mode=0o700, exist_ok=True)
        self.own(path)
        return path

    def own(self, path: Path) -> None:
        """Give a file, or a directory and all inside it, to whom the child runs as."""
        if self.drop.owner is None or (path.stat().st_uid, path.stat().st_gid) == self.drop.owner:
            return
        inside = [path, *path.rglob("*")] if path.is_dir() else [path]
        # The top last: a walk that was interrupted is then done again.
        for item in reversed(inside):
            os.chown(item, *self.drop.owner, follow_symlinks=False)


def spawn_command(
    command: list[str], *, drop: Drop, death_signal: int = 0, writable: Path | None = None
) -> list[str]:
    """The command as `spawn` runs it, for a child of this process."""
    options = [f"--parent={os.getpid()}", f"--death-signal={int(death_signal)}", *drop.options]
    if writable is not None:
        options.append(f"--writable={writable}")
    return [sys.executable, "-I", "-S", str(SPAWN), *options, "--", *command]


def choose(state: Path, binary: Path) -> Engine:
    """The way that works here, found by trying. `state` exists; `binary` is PostgreSQL's."""
    if os.geteuid() != 0:
        return Engine(state, Drop())
    nobody = _nobody()
    ids = (str(nobody[0]), str(nobody[1]))
    # Inside the namespace root's files look like nobody's, so they must be root's outside.
    namespace = Engine(state, Drop(("--namespace", *ids), owner=(0, os.getegid())))
    if sys.platform == "linux" and namespace.drop.takes(namespace.directory("trial"), binary):
        return namespace
    plain = Drop(("--user", *ids), owner=nobody)
    if os.access(state, os.X_OK):
        state.chmod(0o711)  # the files in it keep 0600
    for root in (state, elsewhere(state)):
        root.mkdir(mode=0o711, parents=True, exist_ok=True)
        engine = Engine(root, plain)
        if plain.takes(engine.directory("trial"), binary):
            return engine
    raise ConfigurationError(
        f"PostgreSQL cannot run as root, and the user `nobody` cannot reach {binary}. "
        "Run as an ordinary user, move this directory, or set DATABASE_URL."
    )


def elsewhere(state: Path) -> Path:
    """Where the data of this state directory goes when it cannot stay inside it."""
    return ELSEWHERE / hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]


def forget(state: Path) -> None:
    """Remove data that was kept elsewhere."""
    if os.geteuid() == 0:
        shutil.rmtree(elsewhere(state), ignore_errors=True)


def _nobody() -> tuple[int, int]:
    # initdb looks its user up by number, so it must be one that has an entry.
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid
