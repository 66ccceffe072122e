"""A frontend that has the package installed, and programs that run in it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent / "scripts"


def install(built: Path, node_modules: Path, folder: Path) -> None:
    """As npm would: the packed package in a place of its own, beside what it depends on."""
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    (folder / "node_modules").mkdir()
    for package in node_modules.iterdir():
        (folder / "node_modules" / package.name).symlink_to(package)
    pack = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
    subprocess.run(pack, cwd=built / "typescript", check=True, capture_output=True, timeout=60)
    (packed,) = folder.glob("*.tgz")
    shutil.unpack_archive(packed, folder)
    packed.unlink()
    (folder / "package").rename(folder / "node_modules" / "headwater")


def told(frontend: Path, script: str, *words: str) -> Any:
    """What a script of ours prints, as JSON."""
    shutil.copy(SCRIPTS / script, frontend)
    done = subprocess.run(
        ["node", script, *words], cwd=frontend, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compiled(frontend: Path) -> list[str]:
    """What `tsc` has against the frontend: `page.ts(12,3): error TS2339: ...`."""
    tsc = frontend / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        ["node", tsc, "-p", "."], cwd=frontend, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert bool(lines) == bool(done.returncode), done.stderr
    return lines


def line_of(code: str, text: str) -> int:
    """The number of the only line that has some code in it."""
    (number,) = (at for at, line in enumerate(text.splitlines(), 1) if code in line)
    return number
