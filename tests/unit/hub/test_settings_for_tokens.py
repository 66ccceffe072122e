"""What a server that takes tokens has to be told is asked for when it starts, not at the first token."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ISSUER = {"HEADWATER_JWT_ISSUER": "https://id.example"}
WHOLE = ISSUER | {"HEADWATER_JWT_AUDIENCE": "headwater", "HEADWATER_JWT_JWKS": "/nowhere.json"}


def read_settings(**set_: str) -> subprocess.CompletedProcess[str]:
    """`hub.settings` read by a process of its own."""
    command = [sys.executable, "-c", "import hub.settings"]
    return subprocess.run(
        command, env=os.environ | set_, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("missing", ["HEADWATER_JWT_AUDIENCE", "HEADWATER_JWT_JWKS"])
def test_half_of_an_issuer_is_refused_by_name(missing: str) -> None:
    told = {name: value for name, value in WHOLE.items() if name != missing}
    ended = read_settings(**told)
    assert ended.returncode != 0
    assert f"{missing} is not set. HEADWATER_JWT_ISSUER is" in ended.stderr
    assert read_settings(**WHOLE).returncode == 0
