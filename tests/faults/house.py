"""The house under test: PostgreSQL and Valkey that we stop and start, and the launcher with the rest.

The launcher is what `make run` starts: it restarts its web server and its workers by itself. The
services are ours, so that a scenario decides for how long they are away. Everything is started
from the thread that calls, and ends with it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psycopg
import redis

from hub.launch import binaries, privileges
from hub.launch.postgres import Postgres
from hub.launch.privileges import Engine, spawn_command
from hub.launch.valkey import Valkey
from tests.faults import points
from tests.faults.upstream import Upstream
from tests.processes import children, free_port, until

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_" + base64.b64encode(b"the secret of the fault tests").decode()
#: A machine that does other things too takes minutes for what takes a quiet one half of one.
START_SECONDS = 300.0


class Service:
    """One embedded server, in the foreground."""

    def __init__(
        self, server: Postgres | Valkey, engine: Engine, stop: signal.Signals, log: Path
    ) -> None:
        self.server, self._engine, self._stop, self._log = server, engine, stop, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                spawn_command(
                    self.server.command(), drop=self._engine.drop, death_signal=self._stop
                ),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        process = self.process
        until(f"{self._log.stem} that answers", lambda: self._answers(process), 60)

    def end(self, number: signal.Signals) -> None:
        """Send a signal that ends it, and wait until it is gone."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"it does not start: {self._log.read_text()[-2000:]}")
        return self.server.ready()


class House:
    """A context manager. Scenarios find addresses, process ids and signals here."""

    #: Of every process of it.
    settings = "tests.faults.settings"

    def __init__(self, products: int = 20, directory: Path | None = None) -> None:
        self._kept = directory
        self._products = products
        self.directory = Path(tempfile.mkdtemp(prefix="headwater-faults-"))
        self.state = self.directory / "state"
        self.points = self.directory / "points"
        self.port, self.sandbox_port = free_port(), free_port()
        self.upstream: Upstream = Upstream()
        self._launcher: subprocess.Popen[bytes] | None = None
        self._database: psycopg.Connection[Any] | None = None
        self._api_key = ""

    def __enter__(self) -> Self:
        try:
            self.points.mkdir()
            self.postgres = self._make_postgres()
            self.valkey = self._make_valkey()
            self.postgres.start()
            self.valkey.start()
            self._launch()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything, and leave nothing; the logs go where the caller wanted them."""
        if self._launcher is not None:
            self._launcher.send_signal(signal.SIGINT)
            try:
                self._launcher.wait(60)
            except subprocess.TimeoutExpired:
                # Its guard ends what it leaves.
                self._launcher.kill()
                self._launcher.wait()
        if self._database is not None:
            self._database.close()
        for service, number in (("valkey", signal.SIGTERM), ("postgres", signal.SIGINT)):
            if hasattr(self, service):
                getattr(self, service).end(number)
        self.upstream.close()
        if self._kept is not None:
            shutil.copytree(self.state / "logs", self._kept, dirs_exist_ok=True)
            for log in (*self.directory.glob("*.log"), *self.directory.glob("*.jsonl")):
                shutil.copy(log, self._kept)
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- what is where --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def api_key(self) -> str:
        return self._api_key

    @property
    def environment(self) -> dict[str, str]:
        """For processes of the house, whoever starts them."""
        ours = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
        plain = {
            name: value
            for name, value in os.environ.items()
            if name not in ours and not name.startswith("HEADWATER_")
        }
        return plain | {
            "DATABASE_URL": self.postgres.server.url,
            "REDIS_URL": self.valkey.server.url,
            "DJANGO_SETTINGS_MODULE": self.settings,
            "HEADWATER_STATE": str(self.state),
            "HEADWATER_SANDBOX_PRODUCTS": str(self._products),
            "PORT": str(self.port),
            "SANDBOX_PORT": str(self.sandbox_port),
            points.VARIABLE: str(self.points),
        }

    def database(self) -> psycopg.Connection[Any]:
        """A connection in autocommit; a new one where the former broke."""
        known = self._database
        if known is not None and not known.closed:
            try:
                known.execute("SELECT 1")
            except psycopg.OperationalError:
                known.close()
            else:
                return known
        self._database = psycopg.connect(self.postgres.server.url, autocommit=True)
        return self._database

    def pid(self, name: str) -> int | None:
        """The launcher's own child of this name, as it runs now."""
        try:
            found = json.loads((self.state / "processes.json").read_text()).get(name)
        except (FileNotFoundError, ValueError):
            return None
        return int(found) if found and alive(int(found)) else None

    def qcluster(self) -> int | None:
        """The main process of the task cluster: the supervisor's only child, leader of its group."""
        supervisor = self.pid("workers")
        below = children(supervisor) if supervisor else []
        return below[0] if below else None

    def pool(self) -> list[int]:
        """The cluster's workers, with its pusher and its monitor."""
        main = self.qcluster()
        sentinels = children(main) if main else []
        return [pid for sentinel in sentinels for pid in children(sentinel)]

    def ours(self) -> list[int]:
        """Every process of the workers and of the web server."""
        roots = [pid for pid in (self.pid("workers"), self.pid("web")) if pid]
        return [*roots, *(pid for root in roots for pid in descendants(root))]

    # --- beginning ------------------------------------------------------------------------------

    def _make_postgres(self) -> Service:
        found = binaries.find_postgres()
        engine = privileges.choose(self.directory, found.server)
        server = Postgres(found, engine, engine.directory("run"), secrets.token_hex())
        server.prepare()
        return Service(server, engine, signal.SIGINT, self.directory / "postgres.log")

    def _make_valkey(self) -> Service:
        found = binaries.find_valkey()
        engine = privileges.choose(self.directory, found)
        server = Valkey(found, engine, engine.directory("run"))
        return Service(server, engine, signal.SIGTERM, self.directory / "valkey.log")

    def _launch(self) -> None:
        log = self.directory / "launcher.log"
        with log.open("wb") as output:
            self._launcher = launcher = subprocess.Popen(
                [sys.executable, "-m", "hub.launch", "run", "--stop-with-parent"],
                cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

        def ready() -> bool:
            if launcher.poll() is not None:
                raise RuntimeError(f"the launcher ended: {log.read_text()[-2000:]}")
            return (self.state / "card.json").exists()

        until("card of the launcher", ready, START_SECONDS)
        self._api_key = json.loads((self.state / "secrets.json").read_text())["HEADWATER_API_KEY"]
        self.furnish()

    def furnish(self) -> None:
        """Once it runs: connect what is the harness's own."""
        self.run("-m", "tests.faults.connect", self.upstream.url, SECRET)

    def run(self, *arguments: str) -> str:
        """Python in the house, to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT, env=self.environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
        return done.stdout

    # --- what a scenario does to it -------------------------------------------------------------

    def flush_valkey(self) -> None:
        """As an operator might: all of it, at once."""
        assert isinstance(self.valkey.server, Valkey)
        client = redis.Redis(unix_socket_path=str(self.valkey.server.socket), socket_timeout=3)
        with suppress(redis.RedisError):
            client.flushall()
        client.close()


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return [*below, *(deeper for child in below for deeper in descendants(child))]


def alive(pid: int) -> bool:
    """Whether a process runs, or at least is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal to a process that may be gone; whether it was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
