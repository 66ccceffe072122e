"""What a caller is told of a command: its answer, or that there is none yet; and what became of it.

The answer is made of what is stored with the command, so it is the same, byte for byte, however often
and by whichever process it is given.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
from django.http import HttpResponse
from django.urls import reverse

from connectors.commands.declare import operations
from connectors.models import Command
from hub.problems import CONTENT_TYPE, problem_body

#: The header that names the command that a request made.
COMMAND = "Headwater-Command"
#: When to ask for a command that is not done; in seconds.
AGAIN = "1"


def answer_to(command: Command) -> HttpResponse:
    """The answer to a request that made this command: 2xx, a problem, or 202 while it has none."""
    if not command.answered:
        body = {"command": command.reference, "links": {"command": address(command)}}
        return _json(202, body, command, {"Location": address(command), "Retry-After": AGAIN})
    if command.problem is None:
        return _json(int(command.status or 200), command.result, command, {})
    headers = {"Content-Type": CONTENT_TYPE}
    if wait := command.problem.get("retry_after"):
        headers["Retry-After"] = f"{math.ceil(wait)}"
    return _json(int(command.status or 500), problem_of(command), command, headers)


def address(command: Command) -> str:
    """Where a command can be followed."""
    return reverse("rest-command", args=[command.reference])


def problem_of(command: Command) -> dict[str, Any] | None:
    """Why it did not come about, as a problem document."""
    if command.problem is None:
        return None
    members = {"command": command.reference, **command.problem}
    code, detail = str(members.pop("code")), str(members.pop("detail"))
    # A step names the member of the body that it refuses, which is told as all others are.
    if parameter := members.pop("parameter", ""):
        members["errors"] = [{"parameter": parameter, "detail": detail}]
    status = int(command.status or 500)
    return problem_body(status, code, detail, command.correlation_id, members)


def shown(command: Command, *, inside: bool) -> dict[str, Any]:
    """A command and its trace; `inside`: for those who run the hub, with what upstreams said."""
    operation = operations().get(command.operation)
    return {
        "reference": command.reference,
        "operation": command.operation,
        "title": operation.title if operation else command.operation,
        "state": command.state,
        "accepted_at": command.accepted_at,
        "sent_at": command.sent_at,
        "acknowledged_at": command.acknowledged_at,
        "confirmed_at": command.confirmed_at,
        "finished_at": command.finished_at,
        "deadline_at": command.deadline_at,
        "attempts": command.attempts,
        "next_attempt_at": None if command.finished_at else command.next_attempt_at,
        "waits_for": command.waits_for.slug if command.waits_for else None,
        "status": command.status,
        "result": command.result,
        "problem": problem_of(command),
        "correlation_id": command.correlation_id,
        "steps": [
            _step(step, inside=inside) for step in command.steps.select_related("connection")
        ],
        "links": {"self": address(command)},
    }


def _step(step: Any, *, inside: bool) -> dict[str, Any]:
    return {
        "name": step.name,
        "kind": step.kind,
        "state": step.state,
        "system": step.connection.slug if step.connection else None,
        "record": step.record_key or None,
        "started_at": step.started_at,
        "sent_at": step.sent_at,
        "finished_at": step.finished_at,
        "read_back_at": step.read_back_at,
        "attempts": step.attempts,
        "error_code": step.error_code or None,
        "error": (step.error or None) if inside else None,
    }


def _json(status: int, body: Any, command: Command, headers: dict[str, str]) -> HttpResponse:
    # jsonb forgets the order of members: sorted, the first answer is as all later ones.
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    told = {"Content-Type": "application/json", COMMAND: command.reference, **headers}
    return HttpResponse(text, status=status, headers=told)
