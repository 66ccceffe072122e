"""The steps of a command, from wherever it stands, to an end or the deadline."""

from __future__ import annotations

from connectors.models import Command


def carry_out(command: Command) -> Command:
    """Run what is left of a command that this process has leased; the command as it is then.

    `command.answered`: the caller's answer is fixed (`status`, `result` or `problem`). Otherwise the
    deadline came, or an upstream is away: 202, and the drain goes on. Never raises UpstreamError.
    Must not be called inside a transaction. Raises django.db.DatabaseError.
    """
    raise NotImplementedError
