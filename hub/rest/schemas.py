"""JSON Schema as pydantic writes it (2020-12), in the older form that OpenAPI 3.0 speaks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from pydantic import BaseModel

from connectors.commands.declare import Operation

PLACE = "#/components/schemas/"
#: What 3.0 has no word for, or says elsewhere.
DROPPED = ("title", "default", "examples", "$defs", "propertyNames")


def name_of(operation: Operation, what: Literal["Request", "Answer"]) -> str:
    """The component of an operation's body: `PaymentCaptureRequest`."""
    return "".join(part.capitalize() for part in operation.slug.replace(".", "_").split("_")) + what


def reference(name: str) -> dict[str, Any]:
    """A reference to a component."""
    return {"$ref": f"{PLACE}{name}"}


def schemas_of(
    model: type[BaseModel],
    name: str,
    mode: Literal["validation", "serialization"] = "validation",
    leave_out: Collection[str] = (),
) -> dict[str, Any]:
    """The model as a component of that name, and the models in it, named after it."""
    made = model.model_json_schema(ref_template=f"{PLACE}{name}{{model}}", mode=mode)
    found = {f"{name}{inner}": _older(schema) for inner, schema in made.get("$defs", {}).items()}
    own = _older(made)
    for member in leave_out:
        own["properties"].pop(member, None)
    own["required"] = [member for member in own.get("required", ()) if member not in leave_out]
    if not own["required"]:
        del own["required"]
    return {name: own, **found}


def _older(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_older(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word == "properties":
            made[word] = {member: _older(inner) for member, inner in value.items()}
        elif word not in DROPPED:
            made[word] = _older(value)
    if "const" in made:
        made["enum"] = [made.pop("const")]
    for word, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if word in made:
            made[limit], made[word] = made[word], True
    return _nullable(made)


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf")
    if not choices or {"type": "null"} not in choices:
        return schema
    rest = [choice for choice in choices if choice != {"type": "null"}]
    others = {word: value for word, value in schema.items() if word != "anyOf"}
    if len(rest) > 1:
        return {**others, "anyOf": rest, "nullable": True}
    inner = {"allOf": rest} if "$ref" in rest[0] else rest[0]
    return {**inner, **others, "nullable": True}
