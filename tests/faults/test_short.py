"""The short ones of the fault tests: a bit of every fault, over events and over writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: It takes two minutes on two cores; a machine that does other things too has some more.
PATIENCE_SECONDS = 900


def _played(scenario: str, logs: Path, *options: str) -> dict[str, Any]:
    """In a process of its own, because this one has a database of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--only", scenario, "--logs", str(logs), *options],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["scenarios"][scenario]
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of the house in /proc")
def test_ten_thousand_events_under_every_fault(tmp_path: Path) -> None:
    found = _played("mix", tmp_path / "logs")
    assert found["Z"]
    assert found["figures"]["acknowledged"] == found["figures"]["events"] >= 9_500


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of the house in /proc")
def test_three_hundred_writes_each_arrive_exactly_once(tmp_path: Path) -> None:
    found = _played("writes", tmp_path / "logs", "--events", "300", "--times", "1")
    assert found["against"] == []
    assert found["figures"]["events"] == 300
    assert set(found["figures"]["states"]) == {"confirmed", "refused"}
