"""The JavaScript tools that build the package: installed once for each lock file, then reused."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from observability.errors import ConfigurationError

INSTALL_SECONDS = 600
STEP_SECONDS = 300
NEEDS = "`manage.py sdk build` needs Node.js 20 or later with npm on the PATH, or --only python"
LISTED = ("package.json", "package-lock.json")


def installed(template: Path, cache: Path) -> Path:
    """`node_modules` with exactly what the template's lock file names. Raises ConfigurationError."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise ConfigurationError(NEEDS)
    digest = hashlib.sha256(b"".join((template / name).read_bytes() for name in LISTED)).hexdigest()
    home = cache / digest[:16]
    if not home.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Made beside it and moved in whole, so that a build that was stopped leaves no half of it.
        made = Path(tempfile.mkdtemp(dir=cache, prefix="installing-"))
        try:
            for name in LISTED:
                shutil.copy(template / name, made)
            # No package's own scripts: none of ours needs one, and they could run anything.
            quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
            run(["npm", "ci", *quiet], made, seconds=INSTALL_SECONDS)
            with contextlib.suppress(OSError):  # another build was quicker
                made.rename(home)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return home / "node_modules"


def together(commands: list[list[str]], folder: Path) -> None:
    """Run independent steps at the same time. Raises ConfigurationError for the first that fails."""
    with ThreadPoolExecutor(len(commands)) as pool:
        for step in [pool.submit(run, command, folder) for command in commands]:
            step.result()


def run(command: list[str], folder: Path, *, seconds: int = STEP_SECONDS) -> str:
    """One step, its output. Raises ConfigurationError with what it printed."""
    environment = {**os.environ, "NO_COLOR": "1", "NPM_CONFIG_UPDATE_NOTIFIER": "false"}
    try:
        done = subprocess.run(  # noqa: S603 (a list of our own making, no shell)
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=seconds, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise ConfigurationError(f"{Path(command[0]).name} failed:\n{said}")
    return done.stdout
