"""Writes as GraphQL mutations: the same commands as over REST, for what shops do in one go.

`placeOrder` and `placeBid` take what their REST operations take, typed, and an idempotency key: the
argument, or the header `Idempotency-Key` of a request with one mutation. What comes of it is data: the command that
was made, and either its result, or the problem with the code that REST has for it, or neither yet
(REST's 202). An error of GraphQL's own is left for who may not write at all, and for what is no
valid document.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import graphene
from graphene.utils.str_converters import to_camel_case
from graphql import GraphQLError
from pydantic import BaseModel

from connectors.commands import accept
from connectors.commands.declare import Operation, operations
from hub import lanes
from hub.graphql.lineage import JSON, listed
from hub.problems import RequestError, problem_body
from hub.rest import idempotency, outcomes
from hub.rest.accepting import concluded, validated
from observability.context import current_id, ensure_id

#: Those that make sense here; the others are steps of somebody's back office, over REST.
OFFERED = ("order.place", "bid.place")
SCALARS: Mapping[Any, Any] = {
    str: graphene.String, int: graphene.Int, bool: graphene.Boolean, float: graphene.Float,
}  # fmt: skip
ROOT = "Mutation"
#: Where a request keeps who writes.
WRITER = "writer"
#: Members that every problem has; the others are its code's own.
PLAIN = frozenset(
    {"type", "title", "status", "code", "detail", "correlation_id", "command", "errors"}
)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who sent a mutation: a command's caller, and the header `Idempotency-Key`, if there was one."""

    holder: str
    header: str


class WriteProblemError(graphene.ObjectType):  # type: ignore[misc]
    """What is wrong with one member of the input."""

    parameter = graphene.NonNull(graphene.String)
    detail = graphene.NonNull(graphene.String)


class WriteProblem(graphene.ObjectType):  # type: ignore[misc]
    """Why it did not come about. `code` is stable, and the one that REST has for it."""

    code = graphene.NonNull(graphene.String)
    detail = graphene.NonNull(graphene.String)
    status = graphene.NonNull(graphene.Int, description="As REST answers it.")
    errors = listed(WriteProblemError)
    members = graphene.Field(
        JSON, description="What else the code says: `current_price`, `next_allowed` …"
    )


class WriteCommand(graphene.ObjectType):  # type: ignore[misc]
    """One accepted write. Followed at `GET /api/v1/commands/{reference}`."""

    reference = graphene.NonNull(graphene.String)
    state = graphene.NonNull(
        graphene.String,
        description="accepted, sent, acknowledged, confirmed, refused or failed.",
    )
    link = graphene.NonNull(graphene.String)
    replayed = graphene.NonNull(
        graphene.Boolean, description="This very mutation came before, under the same key."
    )


def offered() -> list[Operation]:
    """The operations that are mutations."""
    return [operations()[slug] for slug in OFFERED]


def name_of(operation: Operation) -> str:
    """`order.place` as `place_order`, which the schema calls `placeOrder`."""
    what, _, verb = operation.slug.partition(".")
    return f"{verb}_{what}"


def scope_of(field: str) -> str:
    """The scope that a field of the root type takes."""
    return next(one.scope for one in offered() if to_camel_case(name_of(one)) == field)


def mutation() -> type[graphene.ObjectType]:
    """The root type."""
    inputs: dict[type[BaseModel], Any] = {}
    members: dict[str, Any] = {"__doc__": "Writes, each done once for one idempotency key."}
    for operation in offered():
        members[name_of(operation)] = graphene.Field(
            graphene.NonNull(_payload(operation)),
            description=operation.description,
            input=graphene.Argument(graphene.NonNull(_input(operation.params, inputs))),
            idempotency_key=graphene.String(
                description="Yours, for this write; else the header `Idempotency-Key`."
            ),
            resolver=_resolver(operation),
        )
    return type(ROOT, (graphene.ObjectType,), members)


def _resolver(operation: Operation) -> Callable[..., dict[str, Any]]:
    def resolve(
        _root: Any,
        info: Any,
        input: dict[str, Any],  # noqa: A002 (the argument's name in the schema)
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        writer: Writer | None = info.context.get(WRITER)
        if writer is None:
            raise GraphQLError("send a mutation by POST")
        try:
            key = idempotency.checked(writer.header if idempotency_key is None else idempotency_key)
            params = validated(operation, _plain(input))
            found = accept(operation, params, writer.holder, key, ensure_id())
            with lanes.turn() as mine:
                command, replayed = concluded(found, later=not mine)
        except RequestError as error:
            return {"problem": _problem(_refused(error))}
        said = {
            "reference": command.reference, "state": command.state,
            "link": outcomes.address(command), "replayed": replayed,
        }  # fmt: skip
        problem = outcomes.problem_of(command) if command.answered else None
        result = command.result if command.answered and problem is None else None
        return {"command": said, "result": result, "problem": problem and _problem(problem)}

    return resolve


def _refused(error: RequestError) -> dict[str, Any]:
    """What is wrong with the request itself, as REST's document says it."""
    members = {"errors": [{"parameter": error.parameter, "detail": error.message}]}
    return problem_body(
        error.http_status, error.code, error.message, current_id() or "", members | error.members
    )


def _problem(said: Mapping[str, Any]) -> dict[str, Any]:
    more = {name: value for name, value in said.items() if name not in PLAIN}
    plain = {name: said[name] for name in ("code", "detail", "status")}
    errors = [
        {**one, "parameter": ".".join(map(to_camel_case, one["parameter"].split(".")))}
        for one in said.get("errors", ())
        if one["parameter"]
    ]
    return {**plain, "errors": errors, "members": more or None}


def _payload(operation: Operation) -> type[graphene.ObjectType]:
    title = _title(operation)
    result = type(
        f"{title}Result", (graphene.ObjectType,),
        {"__doc__": operation.title, **_members(operation.result_model)},
    )  # fmt: skip
    return type(
        f"{title}Payload", (graphene.ObjectType,),
        {
            "__doc__": "The command, and what has come of it by now.",
            "command": graphene.Field(
                WriteCommand, description="None where nothing was accepted: see `problem`."
            ),
            "result": graphene.Field(result),
            "problem": graphene.Field(WriteProblem),
        },
    )  # fmt: skip


def _title(operation: Operation) -> str:
    return "".join(word.capitalize() for word in name_of(operation).split("_"))


def _members(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: graphene.Field(
            _scalar(field.annotation), required=field.is_required(), description=field.description
        )
        for name, field in model.model_fields.items()
    }


def _input(model: type[BaseModel], known: dict[type[BaseModel], Any]) -> Any:
    if model not in known:
        members = {
            name: graphene.InputField(
                _scalar(field.annotation, known),
                required=field.is_required(),
                description=field.description,
            )
            for name, field in model.model_fields.items()
        }
        known[model] = type(f"{model.__name__}Input", (graphene.InputObjectType,), members)
    return known[model]


def _scalar(annotation: Any, known: dict[type[BaseModel], Any] | None = None) -> Any:
    """The GraphQL type of a pydantic annotation. Raises TypeError for one that has none here."""
    origin, within = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _scalar(within[0], known)
    if origin in (Union, types.UnionType):
        (only,) = (one for one in within if one is not type(None))
        return _scalar(only, known)
    if origin is list:
        return graphene.List(graphene.NonNull(_scalar(within[0], known)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and known is not None:
        return _input(annotation, known)
    if annotation in SCALARS:
        return SCALARS[annotation]
    raise TypeError(f"{annotation!r} has no GraphQL type yet; add it to hub.graphql.mutations")


def _plain(value: Any) -> Any:
    """An input as JSON has it: graphene's own containers are dictionaries."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
