"""The order of a start and of a stop."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from hub import env
from hub.lanes import THREADS
from hub.launch import binaries, preflight, privileges
from hub.launch.card import Card
from hub.launch.postgres import Postgres
from hub.launch.privileges import Engine
from hub.launch.processes import Program, StopRequested, Supervisor
from hub.launch.state import State, socket_directory
from hub.launch.valkey import Valkey
from observability.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
ADMIN_USER = "admin"

# A proxy in the environment must not stand between us and our own loopback.
_LOCAL = build_opener(ProxyHandler({}))


class Launch:
    """One `make run`, from the first check to the last process."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.state = State(env.state_directory())
        self.port = env.port("PORT", 8000)
        self.sandbox_port = env.port("SANDBOX_PORT", 8100)
        self.products = env.integer("HEADWATER_SANDBOX_PRODUCTS", 2000, minimum=1)
        self.seed = env.integer("HEADWATER_SANDBOX_SEED", 1)
        self.supervisor = Supervisor(tell, self._note_processes)
        self.secrets: dict[str, str] = {}

    def run(self) -> None:
        """Until a signal asks for the end. Raises `ConfigurationError` where it cannot start."""
        preflight.check_python()
        lock = self.state.acquire()
        preflight.check_ports({"PORT": self.port, "SANDBOX_PORT": self.sandbox_port})
        self.state.remove("card.json", "services.json", "processes.json")
        self.secrets = self.state.secrets()
        self.supervisor.install(keep_open=(lock,))
        try:
            self._start()
            while True:
                self.supervisor.tick()
        except StopRequested:
            self.tell("stopping")
        finally:
            self.supervisor.stop()
            self.state.remove("card.json", "services.json", "processes.json")

    def _start(self) -> None:
        self._start_services()
        self._start_sandbox()
        self._manage("migrate", "--no-input", doing="preparing the database")
        bootstrap = self._manage("bootstrap", doing="connecting the sandbox", secret=True)
        self._start_web()
        self._subscribe()
        self._start_workers()
        self._first_sync()
        self._show_card(self._api_key(bootstrap))

    # --- services
    def _start_services(self) -> None:
        services = {name: os.environ.get(name, "") for name in ("DATABASE_URL", "REDIS_URL")}
        if not all(services.values()):
            self.tell("starting the embedded services")
        if not services["DATABASE_URL"]:
            services["DATABASE_URL"] = self._start_postgres()
        if not services["REDIS_URL"]:
            services["REDIS_URL"] = self._start_valkey()
        self.state.write("services.json", services)
        env.forget_state()

    def _start_postgres(self) -> str:
        found = binaries.find_postgres()
        engine = privileges.choose(self.state.directory, found.server)
        postgres = Postgres(
            found, engine, _sockets(engine), self.secrets["HEADWATER_DATABASE_PASSWORD"]
        )
        postgres.prepare()
        # SIGINT is the fast shutdown: sessions are rolled back, and it does not wait for them.
        self._serve(
            "postgres", postgres.command(), postgres.ready, engine=engine, stop=signal.SIGINT
        )
        return postgres.url

    def _start_valkey(self) -> str:
        found = binaries.find_valkey()
        engine = privileges.choose(self.state.directory, found)
        valkey = Valkey(found, engine, _sockets(engine))
        self._serve("valkey", valkey.command(), valkey.ready, engine=engine)
        return valkey.url

    # --- our own processes
    def _start_sandbox(self) -> None:
        state = self.state.path("sandbox")
        state.mkdir(exist_ok=True)
        command = _python("connectors.sandbox", f"--port={self.sandbox_port}", f"--state={state}")
        command += [f"--products={self.products}", f"--seed={self.seed}"]
        address = f"http://{preflight.HOST}:{self.sandbox_port}/_control/state"
        self._serve("sandbox", command, lambda: _answers(address))

    def _start_web(self) -> None:
        command = _python(
            "granian",
            "--interface=wsgi",
            f"--host={preflight.HOST}",
            f"--port={self.port}",
            "--workers=2",
            f"--blocking-threads={THREADS}",
            "--respawn-failed-workers",
            "--workers-kill-timeout=5",
            "--no-ws",
            "hub.wsgi:application",
        )
        address = f"http://{preflight.HOST}:{self.port}/healthz"
        self._serve("web", command, lambda: _answers(address))

    def _subscribe(self) -> None:
        """Have the simulated systems send their webhooks to the hub."""
        control = f"http://{preflight.HOST}:{self.sandbox_port}/_control"
        with _LOCAL.open(f"{control}/state", timeout=5) as response:
            systems = json.load(response)["systems"]
        for system in systems:
            hook = {"url": f"http://{preflight.HOST}:{self.port}/hooks/{system}/"}
            address = f"{control}/subscriptions/{system}"
            request = Request(address, json.dumps(hook).encode(), method="PUT")  # noqa: S310 (our own)
            _LOCAL.open(request, timeout=5).close()

    def _start_workers(self) -> None:
        command = [sys.executable, "manage.py", "workers"]
        self._serve("workers", command, lambda: True)

    def _first_sync(self) -> None:
        """Shows its own progress on this terminal."""
        program = Program(
            "first sync",
            [sys.executable, "manage.py", "first_sync"],
            environment={"HEADWATER_LOG_FORMAT": "console"},
        )
        code = self.supervisor.run(program)
        if code != 0:
            self.tell(
                f"the first sync did not finish (exit code {code}); the workers go on with it. "
                "The admin shows what happened."
            )

    # --- the card
    def _api_key(self, bootstrap: str) -> str:
        """From what `bootstrap` printed; a later start finds it among the secrets."""
        printed = re.search(r'"api_key":\s*"([^"]+)"', bootstrap)
        if printed:
            self.secrets["HEADWATER_API_KEY"] = printed[1]
            self.state.write("secrets.json", self.secrets)
        return self.secrets.get("HEADWATER_API_KEY", "")

    def _show_card(self, api_key: str) -> None:
        card = Card(
            port=self.port,
            sandbox_port=self.sandbox_port,
            admin_user=ADMIN_USER,
            admin_password=self.secrets["HEADWATER_ADMIN_PASSWORD"],
            api_key=api_key,
        )
        self.state.write("card.json", card.as_json())
        print(card.as_text(), flush=True)

    # --- shared
    def _serve(
        self,
        name: str,
        command: list[str],
        ready: Callable[[], bool],
        *,
        engine: Engine | None = None,
        stop: signal.Signals = signal.SIGTERM,
    ) -> None:
        program = Program(
            name,
            command,
            log=self.state.log(name),
            environment=self._environment(),
            drop=engine.drop if engine else privileges.Drop(),
            stop_signal=stop,
            stop_seconds=20.0 if name == "postgres" else 10.0,
        )
        self.supervisor.start(program)
        self.supervisor.wait_ready(name, ready, seconds=60.0)

    def _manage(self, command: str, *options: str, doing: str, secret: bool = False) -> str:
        """Run a management command to its end and return what it printed."""
        self.tell(doing)
        log = self.state.log(command)
        log.unlink(missing_ok=True)
        program = Program(
            command,
            [sys.executable, "manage.py", command, *options],
            log=log,
            environment=self._environment(),
        )
        code = self.supervisor.run(program)
        output = log.read_text(errors="replace")
        if code != 0:
            last = output.strip().splitlines()[-1:] or ["it said nothing"]
            raise ConfigurationError(f"`manage.py {command}` failed: {last[0]} ({log})")
        if secret:
            log.unlink()
        return output

    def _environment(self) -> dict[str, str]:
        return {
            "HEADWATER_STATE": str(self.state.directory),
            "PYTHONUNBUFFERED": "1",
        }

    def _note_processes(self) -> None:
        self.state.write("processes.json", self.supervisor.pids())


def clean(directory: Path) -> None:
    """Remove the state directory, and data of it that had to live elsewhere."""
    if directory.exists():
        State(directory).acquire()
        privileges.forget(directory)
        shutil.rmtree(directory)


def _sockets(engine: Engine) -> Path:
    directory = socket_directory(engine.root / "run")
    if directory.parent == engine.root:
        return engine.directory("run")
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid not in {0, os.geteuid(), engine.uid}:
        raise ConfigurationError(f"{directory} belongs to another user. Set HEADWATER_STATE.")
    engine.own(directory)
    return directory


def _python(module: str, *options: str) -> list[str]:
    return [sys.executable, "-m", module, *options]


def _answers(address: str) -> bool:
    try:
        with _LOCAL.open(address, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
