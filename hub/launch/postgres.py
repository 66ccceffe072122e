"""One embedded PostgreSQL: created once, then run in the foreground as a child of ours.

It listens on a Unix socket in a directory of mode 0700 and on no port: nothing to collide with,
the same address after every restart, out of reach for other users and for whatever runs in a
browser, and cheaper than loopback. It asks for a password as well (scram), since the embedding
user may be `nobody`, who is shared.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg

from hub.launch.binaries import PostgresBinaries
from hub.launch.privileges import Engine, spawn_command
from observability.errors import ConfigurationError

USER = "headwater"
DATABASE = "headwater"

TUNING: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    # A commit that was acknowledged survives the power cut.
    "synchronous_commit": "on",
    # Compressing page images took a fifth off a first sync's rate (`make bench-sync`).
    "wal_compression": "off",
    # A first sync writes gigabytes: few checkpoints, spread out.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Else each new log file is written twice: once with zeros.
    "wal_init_zero": "off",
    "random_page_cost": "1.1",  # solid state
    # Statements here take milliseconds; compiling one takes longer than running it.
    "jit": "off",
    # Two cores, many connections. It also keeps /dev/shm small, which is 64 MB inside Docker.
    "max_parallel_workers_per_gather": "0",
    "idle_in_transaction_session_timeout": "10min",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
}

# For data that nobody will miss: tests.
THROW_AWAY: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """`socket_directory` must be short: a socket's path has at most 103 bytes (macOS)."""

    binaries: PostgresBinaries
    engine: Engine
    socket_directory: Path
    password: str = field(repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.engine.root / "postgres"

    @property
    def url(self) -> str:
        """For `DATABASE_URL`; psql and every libpq driver take it too."""
        where = urlencode({"host": str(self.socket_directory)})
        return f"postgresql://{USER}:{quote(self.password, safe='')}@/{DATABASE}?{where}"

    def prepare(self) -> None:
        """Create the cluster unless it is there. One that was cut short is made anew."""
        version = self.data / "PG_VERSION"
        if version.exists():
            self._check_version(version.read_text().strip())
            self.engine.own(self.data)
            return
        unfinished = self.engine.root / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self.engine.directory("postgres.new")
        self._initdb(unfinished)
        unfinished.rename(self.data)  # only a complete cluster ever has the name

    def command(self) -> list[str]:
        """The server in the foreground; for `spawn`."""
        options = {
            **TUNING,
            "unix_socket_directories": str(self.socket_directory),
            **self.settings,
        }
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return [str(self.binaries.server), "-D", str(self.data), *flags]

    def ready(self) -> bool:
        """Does it answer? Creates our database the first time it does."""
        try:
            with self._connect("postgres") as connection:
                known = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
                ).fetchone()
                if known is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.socket_directory),
            user=USER,
            password=self.password,
            dbname=database,
            autocommit=True,
            connect_timeout=3,
        )

    def _initdb(self, directory: Path) -> None:
        # The builtin provider sorts the same on every system and needs no locale installed.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if self.binaries.major >= 17
            else ["--locale=C"]
        )
        with _password_file(self.engine, self.password) as password_file:
            command = [
                str(self.binaries.initdb),
                f"--pgdata={directory}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                *locale,
                "--no-instructions",
            ]
            result = subprocess.run(
                spawn_command(command, drop=self.engine.drop),
                capture_output=True,
                text=True,
                check=False,
                cwd=self.engine.root,
                env={**os.environ, "LC_ALL": "C"},
            )
        if result.returncode != 0:
            reason = (result.stderr or result.stdout).strip().splitlines()
            raise ConfigurationError(
                f"PostgreSQL could not be set up in {self.engine.root}: "
                f"{reason[-1] if reason else 'initdb gave no reason'}"
            )

    def _check_version(self, found: str) -> None:
        if found != str(self.binaries.major):
            raise ConfigurationError(
                f"{self.data} was made by PostgreSQL {found}, and {self.binaries.major} is "
                "installed. Install that version, or start anew: `make clean`."
            )


@contextlib.contextmanager
def _password_file(engine: Engine, password: str) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(dir=engine.root)
    path = Path(name)
    try:
        os.write(descriptor, password.encode())
        os.close(descriptor)
        engine.own(path)
        yield path
    finally:
        path.unlink(missing_ok=True)
