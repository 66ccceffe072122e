"""Processes that tests and benchmarks start and wait for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def children(pid: int) -> list[int]:
    """The processes that a process has started, by whichever of its threads."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.extend(int(child) for child in listing.read_text().split())
        except OSError:
            continue
    return found


def until(what: str, ready: Callable[[], Any], seconds: float, pause: float = 0.05) -> float:
    """Wait; the seconds that it took. Raises TimeoutError."""
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"no {what} within {seconds:g} s")
        time.sleep(pause)
    return time.monotonic() - began
