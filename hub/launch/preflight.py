"""What can be known to fail before anything is started: one line each."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping

from observability.errors import ConfigurationError

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)
HOST = "127.0.0.1"


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        raise ConfigurationError(
            f"Python {version[0]}.{version[1]} is not supported; "
            "use Python 3.11, 3.12 or 3.13: `make run PYTHON=python3.13`."
        )


def check_ports(ports: Mapping[str, int]) -> None:
    """`ports`: by the variable that moves each."""
    numbers = list(ports.values())
    if len(set(numbers)) != len(numbers):
        raise ConfigurationError(f"{' and '.join(ports)} must differ; both are {numbers[0]}.")
    for variable, port in ports.items():
        if not _free(port):
            raise ConfigurationError(
                f"Port {port} is taken. Stop what uses it, or move us: "
                f"`make run {variable}={_next_free(port)}`."
            )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: a connection in TIME_WAIT is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _next_free(port: int) -> int:
    return next((other for other in range(port + 1, min(port + 100, 65536)) if _free(other)), 0)
