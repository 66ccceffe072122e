"""A value that a person states, checked by the type of its field and spelled as systems spell it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from catalog.entities import Entity, LocalizedField, Reference, spelled, value_fields

_LOCALE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")


def stated(cls: type[Entity], field: str, value: Any) -> Any:
    """The value in JSON types. Raises ValidationError (parameter: field or value)."""
    name = cls.declaration.name
    declared = {f.name: f for f in value_fields(cls)}
    if field not in declared:
        known = ", ".join(declared)
        raise ValidationError({"field": f"{name} has no field {field!r}. It has: {known}."})
    if value is None or value in ("", {}):
        raise ValidationError(
            {"value": f"Say a value for {name}.{field}: an override cannot say nothing."}
        )
    if isinstance(declared[field], LocalizedField):
        return _texts(f"{name}.{field}", value)
    if isinstance(declared[field], Reference):
        return _reference(declared[field], value)
    return _plain(f"{name}.{field}", declared[field], value)


def _texts(what: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        _LOCALE.fullmatch(locale) and isinstance(text, str) for locale, text in value.items()
    ):
        raise ValidationError(
            {"value": f'{what} takes a text for each locale, {{"en_US": "Tent"}}; came {value!r}.'}
        )
    said = {locale: text for locale, text in value.items() if text.strip()}
    if not said:
        raise ValidationError({"value": f"Say a text for {what} in one locale at least."})
    return said


def _reference(field: Any, value: Any) -> str:
    target: type[Entity] = field.related_model
    name = target.declaration.name
    if not target._default_manager.filter(pk=str(value), deleted_at=None).exists():
        raise ValidationError({"value": f"There is no live {name} {value!r} to refer to."})
    return str(value)


def _plain(what: str, field: models.Field[Any, Any], value: Any) -> Any:
    try:
        clean: Any = field.clean(value, None)
    except ValidationError as error:
        said = " ".join(error.messages)
        raise ValidationError({"value": f"{what} cannot be {value!r}. {said}"}) from error
    if isinstance(clean, Decimal):
        return spelled(clean, field)
    if hasattr(clean, "isoformat"):
        return clean.isoformat()
    return clean
