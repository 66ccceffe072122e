"""The one view of every write: an operation that is declared in `connectors.commands.operations`.

    who asks, and may they          API key or token, rate limit, the operation's scope
    ─▶ Idempotency-Key              missing or none: 400
    ─▶ body and path                JSON of the operation's params; else 400 that names each member
    ─▶ If-Match                     412, 428 (hub/rest/preconditions.py)
    ─▶ accept                       committed, and leased to this process; or the same request again
    ─▶ carry out                    its answer, or 202 at the deadline: the drain goes on

Nothing is sent to an upstream, and nothing is kept, before a request is `accept`ed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from connectors.commands import Accepted, accept
from connectors.commands.declare import Operation
from connectors.models import Command
from hub import lanes, listing
from hub.auth.rights import COMMANDS, Needs
from hub.bodies import body_of, strict_object
from hub.problems import BadInputError, NotFoundError
from hub.rest import idempotency, outcomes, parameters, preconditions
from hub.rest.accepting import concluded, validated
from hub.rest.access import reader, rights
from hub.rest.describe_writes import described_command, described_write
from observability.context import ensure_id

MOST_BYTES = 64 * 1024

Method = Callable[..., HttpResponse]


def method_of(operation: Operation) -> Method:
    """What an APIView does when the operation is asked for by its HTTP method."""
    target = preconditions.target_of(operation)

    def write(_view: APIView, request: Request, **at: str) -> HttpResponse:
        granted = rights(request)
        granted.must_cover(Needs((operation.scope,)))
        parameters.refuse_unknown(request, [])
        key = idempotency.key_of(request._request)
        params = _params(operation, request, at)
        caller = reader(request).holder

        def known() -> bool:
            return Command.objects.filter(caller=caller, idempotency_key=key).exists()

        def accepted() -> Accepted:
            return accept(operation, params, caller, key, ensure_id())

        found = preconditions.guarded(request._request, target, params, known, accepted)
        return _answered(found, later=lanes.LATER in request._request.META)

    write.__name__ = operation.method.lower()
    described: Method = described_write(operation, target)(write)
    return described


def _answered(found: Accepted, *, later: bool) -> HttpResponse:
    command, replayed = concluded(found, later=later)
    answer = outcomes.answer_to(command)
    if replayed:
        answer[idempotency.REPLAYED] = "true"
    return answer


def _params(operation: Operation, request: Request, at: Mapping[str, str]) -> dict[str, Any]:
    """What the operation is asked to do, as JSON. Raises RequestError."""
    plain = request._request
    bare = plain.headers.get("Content-Length", "") in ("", "0")
    sent = {} if bare else strict_object(body_of(plain, MOST_BYTES))
    for name, value in at.items():
        if name in sent:
            raise BadInputError(f"{name} is in the address; leave it out here", parameter=name)
        if not listing.is_text(value):
            raise BadInputError(f"{listing.shown(value)} is no text", parameter=name)
    return validated(operation, {**sent, **at}, bare=bare)


class CommandView(APIView):
    """`GET /api/v1/commands/{reference}`."""

    @described_command
    def get(self, request: Request, reference: str) -> Response:
        """What became of a write, for whoever asked for it; with the scope `commands` for all."""
        parameters.refuse_unknown(request, [])
        inside = not rights(request).missing(Needs((COMMANDS,)))
        rows = Command.objects.select_related("waits_for").filter(reference=reference)
        row = rows.first() if listing.is_text(reference) else None
        # Whether others have such a command is nobody's matter.
        if row is None or not (inside or row.caller == reader(request).holder):
            raise NotFoundError(
                f"you gave no command {listing.shown(reference)}", parameter="reference"
            )
        headers = {} if row.finished_at else {"Retry-After": outcomes.AGAIN}
        return Response(outcomes.shown(row, inside=inside), headers=headers)
