"""A fake Stripe that nobody here wrote (localstripe), on a port of its own.

It is started by `upstreams/ups stripe start` of the folder that `HEADWATER_SHARED` names, or
`../shared`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).resolve().parents[1]
UPS = Path(os.environ.get("HEADWATER_SHARED") or ROOT.parent / "shared") / "upstreams" / "ups"
KEY = ("sk_test_headwater", "")
INSTALL_SECONDS = 180

needs_localstripe = pytest.mark.skipif(
    not UPS.is_file() or shutil.which("bash") is None,
    reason=f"no third-party servers: {UPS} is absent (HEADWATER_SHARED names its folder)",
)


@contextmanager
def localstripe(home: Path) -> Iterator[str]:
    """Its address. Own folder, own port; what others have started stays as it is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {**os.environ, "UPS_HOME": str(home), "PORT": port}
    # Its output stays open with the server it leaves behind, so it goes to a file.
    log = home / "ups.log"
    try:
        with log.open("wb") as out:
            started = subprocess.run(
                [str(UPS), "stripe", "start"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        if started.returncode:
            pytest.skip(f"ups stripe start failed: {log.read_text('utf-8', 'replace')[-300:]}")
        address = f"http://127.0.0.1:{port}"
        _wait_for(address)
        yield address
    finally:
        subprocess.run([str(UPS), "stripe", "stop"], env=environment, timeout=30, check=False)


def _wait_for(address: str) -> None:
    for _ in range(40):
        try:
            requests.get(f"{address}/v1/customers", auth=KEY, timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.25)
    pytest.skip(f"the server does not answer at {address}")


def post(url: str, path: str, **form: Any) -> Any:
    answer = requests.post(f"{url}/v1/{path}", data=form, auth=KEY, timeout=10)
    answer.raise_for_status()
    return answer.json()


def card(url: str, customer: str, number: str = "4242424242424242") -> str:
    """The id of a payment method of the customer's."""
    told = {"card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2040"}
    made: str = post(url, "payment_methods", type="card", **told, **{"card[cvc]": "123"})["id"]
    post(url, f"payment_methods/{made}/attach", customer=customer)
    return made
