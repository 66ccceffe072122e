"""Actions of `manage.py contract` that floors above add: they know who reads what streams feed."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from django.utils.module_loading import import_string

from connectors.contracts.diff import Change

#: {(connector, stream): what changed since the commit}
Changes = Mapping[tuple[str, str], list[Change]]


class Action(Protocol):
    """One action. Bad input raises HubError, for which the command ends with 2."""

    help: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Beside connectors, --from, --connection and --to, which all actions have."""

    def run(
        self,
        options: Mapping[str, Any],
        changes: Callable[[], Changes],
        write: Callable[[str], Any],
    ) -> int:
        """Do it; the exit code."""


_added: dict[str, str] = {}


def add(name: str, path: str) -> None:
    """Add an action by the path of its class, which is imported when the command runs."""
    _added[name] = path


def added() -> dict[str, Action]:
    """The added actions by name."""
    return {name: import_string(path)() for name, path in _added.items()}
