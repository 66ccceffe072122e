"""One embedded Valkey (or Redis): a cache on a Unix socket, that keeps nothing on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis

from hub.launch.privileges import Engine

OPTIONS: dict[str, str] = {
    "port": "0",  # no port: only the socket
    "unixsocketperm": "700",
    "daemonize": "no",
    # Disposable: PostgreSQL is the only truth, so nothing is saved and anything may be evicted.
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lru",
}


@dataclass(frozen=True, slots=True)
class Valkey:
    binary: Path
    engine: Engine
    socket_directory: Path

    @property
    def socket(self) -> Path:
        return self.socket_directory / "valkey.sock"

    @property
    def url(self) -> str:
        """For `REDIS_URL`."""
        return f"unix://{quote(str(self.socket))}?db=0"

    def command(self) -> list[str]:
        """The server in the foreground; for `spawn`."""
        options = {**OPTIONS, "unixsocket": str(self.socket), "dir": str(self.socket_directory)}
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [str(self.binary), *flags]

    def ready(self) -> bool:
        """Does it answer?"""
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=3)
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()
