"""The hub behind a real port, served as `make run` serves it, on the database of the tests."""

from __future__ import annotations

import http.client
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit
from wsgiref.util import setup_testing_defaults

from django.db import connection as database

from hub.lanes import THREADS
from tests.processes import free_port

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Web:
    port: int
    #: Of the process whose children are the workers.
    pid: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        return self.request("POST", path, body, headers)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One exchange over a connection of its own."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            link.request(method, path, body, dict(headers or {}))
            response = link.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            link.close()


class Inside(Web):
    """The same application in this process, for tests that need no second one."""

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One exchange by WSGI."""
        from hub.wsgi import application

        path, _, query = path.partition("?")
        told = {f"HTTP_{n.upper().replace('-', '_')}": v for n, v in (headers or {}).items()}
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": told.pop("HTTP_CONTENT_TYPE", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": "localhost",
            "wsgi.input": io.BytesIO(body),
            **told,
        }
        setup_testing_defaults(environ)
        began: list[tuple[str, list[tuple[str, str]]]] = []
        pieces = application(environ, lambda status, given, _=None: began.append((status, given)))
        ((status, given),) = began
        named = {name.lower(): value for name, value in given}
        return Answer(int(status[:3]), named, b"".join(pieces))


@contextmanager
def serving(log: Path) -> Iterator[Web]:
    """Web workers on the database of the tests, which must exist."""
    port = free_port()
    command = [
        sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={port}",
        "--workers=2", f"--blocking-threads={THREADS}", "--no-ws", "--log-level=warning",
        "hub.wsgi:application",
    ]  # fmt: skip
    with started(command, log) as process:
        _wait(port, process, log)
        yield Web(port, process.pid)


@contextmanager
def started(
    command: Sequence[str], log: Path, *, cwd: Path = ROOT, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on the database of the tests, which must exist; `more`: its environment, besides."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    name = database.settings_dict["NAME"]
    told = {**os.environ, "DATABASE_URL": urlunsplit(parts._replace(path=f"/{name}")), **more}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=told, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if Web(port).request("GET", "/healthz").status == 200:
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the web workers do not start: {log.read_text()}") from None
        time.sleep(0.1)
