"""Named points of the pipeline at which a process can be killed, or frozen.

Nothing of this is in the product: the app of the harness wraps the functions at whose borders the
points lie, in every process of the house. A point strikes once for each time it is armed:

    arm(directory, "apply.merged", SIGKILL)     the next process that gets there takes the file
                                                away and sends itself the signal

A process that freezes leaves its id in the directory, so that it can be thawed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

#: Names the directory of armed points. Read once, when a process starts.
VARIABLE = "HEADWATER_FAULT_POINTS"

#: name: (module, function or Class.function, whether the point lies behind its return)
EVENT_POINTS: dict[str, tuple[str, str, bool]] = {
    "receive.verified": ("connectors.inbox.arrive", "Inlet.put", False),
    "receive.committed": ("connectors.inbox.arrive", "_insert", True),
    "receive.answering": ("connectors.inbox.arrive", "Inlet.put", True),
    "claim.begin": ("connectors.runtime.box", "Box.claim", False),
    "claim.committed": ("connectors.runtime.box", "Box.claim", True),
    "apply.read": ("connectors.inbox.sentences", "Target.read", True),
    "apply.fenced": ("connectors.runtime.box", "Box.finish", True),
    "apply.compared": ("connectors.inbox.apply", "_compare", True),
    "apply.staged": ("catalog.stage", "merge_touched", False),
    "apply.merged": ("connectors.inbox.apply", "_store", True),
    "apply.committed": ("connectors.inbox.apply", "commit", True),
    "fail.begin": ("connectors.runtime.box", "Box.fail", False),
    "fail.committed": ("connectors.runtime.box", "Box.fail", True),
    "sweep.begin": ("connectors.runtime.box", "Box.release_expired", False),
    "sweep.committed": ("connectors.runtime.box", "Box.release_expired", True),
    "fetch.asking": ("tests.faults.connector", "FaultyConnector.record", False),
    "fetch.answered": ("tests.faults.connector", "FaultyConnector.record", True),
    "fetch.committed": ("connectors.inbox.fetch", "_answered", True),
}
PULL_POINTS: dict[str, tuple[str, str, bool]] = {
    "pull.claimed": ("connectors.runtime.queue", "claim", True),
    "pull.fetched": ("tests.faults.connector", "FaultyConnector.page", True),
    "pull.written": ("connectors.runtime.pull", "Pull._commit_page", True),
    "pull.committed": ("connectors.runtime.pull", "Pull._transact", True),
    "pull.finishing": ("connectors.runtime.pull", "Pull._finish", True),
}
#: In a request, or in the drain that goes on with what a request left.
COMMAND_POINTS: dict[str, tuple[str, str, bool]] = {
    "command.accepted": ("connectors.commands", "accept", True),
    "command.sending": ("connectors.commands.sending", "send", False),
    "command.sent": ("connectors.commands.sending", "_Sending._done", False),
    "command.finding": ("connectors.commands.sending", "_Sending._found", True),
    "command.acknowledging": ("connectors.commands.progress", "Progress.acknowledging", True),
    "command.acknowledged": ("connectors.commands.carrying", "_Run._told", False),
    "command.undoing": ("connectors.commands.backward", "Backward._undone", False),
    "command.claimed": ("connectors.commands.ledger", "claim_all", True),
    "command.confirming": ("connectors.outbox.readback", "tell_inbox", True),
}
POINTS = {**EVENT_POINTS, **PULL_POINTS, **COMMAND_POINTS}


def arm(directory: Path, name: str, what: signal.Signals) -> None:
    """Have the next process that comes to the point send itself a signal."""
    assert name in POINTS, name
    fresh = directory / f".{name}"
    fresh.write_text(str(int(what)))
    # At once and as a whole: a process may look for it this very moment.
    fresh.rename(directory / name)


def struck(directory: Path, name: str) -> bool:
    """Whether nobody has the point before him any more."""
    return not (directory / name).exists()


def disarm(directory: Path, name: str) -> bool:
    """Take a point back; False where it has struck meanwhile."""
    try:
        (directory / name).unlink()
    except FileNotFoundError:
        return False
    return True


def frozen(directory: Path, name: str) -> int | None:
    """The process that froze at the point, told once."""
    told = directory / f"{name}.pid"
    try:
        pid = int(told.read_text())
    except (FileNotFoundError, ValueError):
        return None
    told.unlink()
    return pid


def install(directory: Path) -> None:
    """Wrap the functions, in this process. A name that is gone is an AttributeError."""
    for name, (module, path, behind) in POINTS.items():
        owner: Any = import_module(module)
        *outer, attribute = path.split(".")
        for step in outer:
            owner = getattr(owner, step)
        setattr(owner, attribute, _with_point(getattr(owner, attribute), directory / name, behind))


def _with_point(function: Callable[..., Any], armed: Path, behind: bool) -> Callable[..., Any]:  # noqa: FBT001
    if behind:

        @wraps(function)
        def after(*args: Any, **options: Any) -> Any:
            result = function(*args, **options)
            _strike(armed)
            return result

        return after

    @wraps(function)
    def before(*args: Any, **options: Any) -> Any:
        _strike(armed)
        return function(*args, **options)

    return before


def _strike(armed: Path) -> None:
    try:
        what = signal.Signals(int(armed.read_text()))
        armed.unlink()
    except FileNotFoundError:
        # Not armed, or another process was first.
        return
    if what == signal.SIGSTOP:
        armed.with_name(f"{armed.name}.pid").write_text(str(os.getpid()))
    os.kill(os.getpid(), what)
