"""Examples for the OpenAPI page, made from the components: no entity needs one of its own."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

#: By name, where a name says more than a type.
NAMED: dict[str, Any] = {
    "sku": "P-000123",
    "code": "cat_12",
    "number": "10000001",
    "slug": "trail-tent-2",
    "name": "Trail tent for two",
    "description": "Stands in every wind.",
    "brand": "Alpina",
    "product": "P-000123",
    "variant": "P-000123-01",
    "gtin": "4006381333931",
    "market": "DE",
    "currency": "EUR",
    "country": "DE",
    "warehouse": "AMS",
    "system": "sap",
    "stream": "prices",
    "field": "name",
    "locales": {"name": "en_US"},
    "email": "ada@example.com",
    "status": "open",
    "rating": 5,
    "average": 4.5,
    "next": "azpQLTAwMDAyMA",
    "correlation_id": "4bf92f3577b34da6a3ce929d0e0e4736",
}
TYPED: tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], Any], ...] = (
    (serializers.DecimalField, "129.90"),
    (serializers.IntegerField, 10),
    (serializers.FloatField, 12.5),
    (serializers.BooleanField, False),
    (serializers.DateTimeField, "2026-02-01T09:30:00Z"),
    (serializers.DateField, "2026-01-01"),
    (serializers.DictField, {}),
)


def example(component: Any) -> dict[str, Any]:
    """A record as the component describes it; members that come on request are left out."""
    return {
        name: _value(name, field) for name, field in component().fields.items() if field.required
    }


def _value(name: str, field: Any) -> Any:
    if isinstance(field, serializers.ListSerializer):
        return [example(type(field.child))]
    if isinstance(field, serializers.Serializer):
        return example(type(field))
    if name in NAMED:
        return NAMED[name]
    return next((value for kind, value in TYPED if isinstance(field, kind)), "text")
