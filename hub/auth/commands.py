"""Which commands of `manage.py` change something: they are written into the audit log before they run.

Of a command that takes secrets or personal data only its name is told.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import django

#: Command: whether its arguments are told.
CHANGING: dict[str, bool] = {
    "api_key": True,
    "ask_run": True,
    "bootstrap": True,
    "changepassword": False,
    "connect_sandbox": True,
    "createsuperuser": False,
    "dbshell": True,
    "derived": True,
    "erase_person": False,
    "first_sync": True,
    "flush": True,
    "loaddata": True,
    "ownership": True,
    "replay": True,
    "rotate_secrets": True,
    "shell": False,
    "uncompiled": True,
}
#: Ours that change nothing that the hub keeps: they look, write files, or run the machinery.
READING = frozenset(
    {
        "api_contract",
        "architecture",
        "audit",
        "contract",
        "dead_letters",
        "reconcile_payments",
        "sdk",
        "workers",
    }
)


@contextmanager
def audited(arguments: Sequence[str]) -> Iterator[None]:
    """Run a command line (`["manage.py", "replay", …]`). Raises NotWrittenError; nothing ran then."""
    name = arguments[1] if len(arguments) > 1 else ""
    if name not in CHANGING or {"--help", "-h"} & set(arguments):
        yield
        return
    django.setup()
    from observability import audit, context  # noqa: PLC0415 (its table is known by now)

    told = " ".join(arguments[1:]) if CHANGING[name] else name
    actor, action = f"{getpass.getuser()}@manage.py", f"manage.py {name}"
    # What it sets in motion is found under its id, as what a request does is.
    with context.correlation():
        entry = audit.record(actor, action, "command", page=told)
        outcome = audit.Outcome.FAILED
        try:
            yield
            outcome = audit.Outcome.DONE
        except SystemExit as end:
            outcome = audit.Outcome.FAILED if end.code else audit.Outcome.DONE
            raise
        finally:
            audit.ended(entry, actor, action, outcome)
