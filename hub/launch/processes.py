"""The supervisor: foreground children that are started again when they die, and all end with us.

Three things keep a process from outliving the launcher: an orderly stop; the kernel's death signal
(Linux); and the guard, which sees that the launcher is gone and ends what carries its mark. The
mark is an environment variable, inherited by the children of children, unique to one run.

Everything happens in the main thread: the kernel sends the death signal when the *thread* that
started a child ends.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hub.launch import marks
from hub.launch.privileges import Drop, spawn_command
from observability.errors import ConfigurationError

TICK_SECONDS = 0.1
# A child that lived this long had come up: it starts again without a pause, however often it was
# killed. One that cannot start ends sooner.
SETTLED_SECONDS = 8.0
LONGEST_PAUSE_SECONDS = 10.0
EARLY_DEATHS = 5  # this many before it was ever ready: it cannot start
LOG_LIMIT_BYTES = 10_000_000


class StopRequested(Exception):  # noqa: N818 it is a request, not an error
    """A signal asked the launcher to stop."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `log` None means: on this terminal."""

    name: str
    command: list[str]
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    drop: Drop = field(default_factory=Drop)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    restart_at: float | None = None
    once: bool = False


class Supervisor:
    """Starts, watches, restarts and stops. `tell` gets one line for a person now and then."""

    def __init__(self, tell: Callable[[str], None], on_change: Callable[[], None]) -> None:
        self.run_id = secrets.token_hex(8)
        self.stopping = False
        self._tell = tell
        self._on_change = on_change
        self._children: dict[str, _Child] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    # --- the launcher's own part
    def install(self, keep_open: tuple[int, ...] = ()) -> None:
        """Take the signals, adopt orphans of children, and start the guard."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked_to_stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asked for that
            signal.signal(signal.SIGHUP, self._asked_to_stop)
        marks.adopt_orphans()
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), self.run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=keep_open,
        )

    def pids(self) -> dict[str, int]:
        return {name: child.process.pid for name, child in self._children.items()}

    def _asked_to_stop(self, _number: int, _frame: object) -> None:
        if self.stopping:  # the second time: no patience left
            for child in self._children.values():
                with suppress(ProcessLookupError):
                    child.process.send_signal(signal.SIGKILL)
        self.stopping = True

    # --- children
    def start(self, program: Program) -> None:
        """Start a program and keep it running."""
        self._children[program.name] = _Child(program, self._spawn(program), time.monotonic())
        self._on_change()

    def wait_ready(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        """Until `ready` says so; a child that keeps dying, or is too slow, is one clear line."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.tick()
            child = self._children[name]
            if child.deaths >= EARLY_DEATHS or time.monotonic() > deadline:
                raise ConfigurationError(f"{name} does not start. {_last_words(child.program.log)}")
        self._children[name].deaths = 0

    def run(self, program: Program) -> int:
        """Run a program once, to its end, while the others are watched. Returns its exit code."""
        child = _Child(program, self._spawn(program), time.monotonic(), once=True)
        self._children[program.name] = child
        while child.process.returncode is None:
            self.tick()
        del self._children[program.name]
        return child.process.returncode

    def tick(self) -> None:
        """One look at all children. Raises `StopRequested` after a signal."""
        if self.stopping:
            raise StopRequested
        time.sleep(TICK_SECONDS)
        self._reap()
        for child in list(self._children.values()):
            if child.process.returncode is not None and not child.once:
                self._revive(child)

    def stop(self, quiet: frozenset[str] = frozenset()) -> None:
        """Stop all children, last started first, and whatever of theirs is left."""
        self.stopping = True
        for name, child in reversed(list(self._children.items())):
            if name not in quiet:
                self._tell(f"stopping {name}")
            self._end(child)
        self._children.clear()
        marks.kill(self.run_id)
        self._reap()
        if self._guard is not None and self._guard.stdin is not None:
            with suppress(BrokenPipeError):
                self._guard.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._guard.wait(timeout=10)
            self._guard = None

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        log = _open_log(program.log) if program.log else None
        try:
            process = subprocess.Popen(
                spawn_command(program.command, drop=program.drop, death_signal=program.stop_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    **program.environment,
                    marks.VARIABLE: f"{self.run_id}/{program.name}",
                },
                start_new_session=True,
            )
        finally:
            if log is not None:
                os.close(log)
        self._tell_guard(f"+{process.pid}")
        return process

    def _tell_guard(self, line: str) -> None:
        # Without a guard, the death signal and an orderly stop remain.
        if self._guard is not None and self._guard.stdin is not None:
            with suppress(BrokenPipeError):
                self._guard.stdin.write(line.encode() + b"\n")
                self._guard.stdin.flush()

    def _revive(self, child: _Child) -> None:
        now = time.monotonic()
        if child.restart_at is None:
            if now - child.started > SETTLED_SECONDS:
                child.deaths = 0
            pause = 0.0 if child.deaths == 0 else min(0.25 * 2**child.deaths, LONGEST_PAUSE_SECONDS)
            child.deaths += 1
            child.restart_at = now + pause
            self._tell(f"{child.program.name} ended ({_how(child.process)}); starting it again")
            self._clear_remains(child)
        if now >= child.restart_at:
            child.restart_at = None
            child.started = now
            child.process = self._spawn(child.program)
            self._on_change()

    def _end(self, child: _Child) -> None:
        with suppress(ProcessLookupError):
            child.process.send_signal(child.program.stop_signal)
        deadline = time.monotonic() + child.program.stop_seconds
        while child.process.returncode is None and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS / 4)
            self._reap()
        self._clear_remains(child)

    def _clear_remains(self, child: _Child) -> None:
        """End what a dead child left behind: it may still hold the port or the socket."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        marks.kill(f"{self.run_id}/{child.program.name}")
        # PostgreSQL's processes leave its group and overwrite their mark. Whose parent is dead,
        # we have adopted; a new server cannot start before they are gone.
        known = {*self.pids().values(), self._guard.pid if self._guard else 0}
        marks.send([pid for pid in marks.children() if pid not in known], signal.SIGKILL)
        self._tell_guard(f"-{child.process.pid}")

    def _reap(self) -> None:
        """Collect every ended child, adopted ones too; `Popen.poll` would only see its own."""
        by_pid = {child.process.pid: child.process for child in self._children.values()}
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in by_pid:
                    by_pid[pid].returncode = os.waitstatus_to_exitcode(status)


def _open_log(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _how(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _last_words(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"It said: {lines[-1] if lines else 'nothing'} ({log})"
