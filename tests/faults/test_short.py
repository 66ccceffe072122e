"""The short one of the fault tests: ten thousand events, a bit of every fault, and Z in the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: It takes two minutes on two cores; a machine that does other things too has some more.
PATIENCE_SECONDS = 900


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of the house in /proc")
def test_ten_thousand_events_under_every_fault(tmp_path: Path) -> None:
    """In a process of its own, because this one has a database of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--only", "mix", "--logs", str(tmp_path / "logs")],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    found = json.loads(done.stdout.splitlines()[-1])["scenarios"]["mix"]
    assert found["Z"]
    assert found["figures"]["acknowledged"] == found["figures"]["events"] >= 9_500
