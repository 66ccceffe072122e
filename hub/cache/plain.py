"""How Django's cache is written: as JSON, and dataclasses as the objects that they are.

The admin's search keeps its results there, which are dataclasses; they come back as dictionaries,
which its templates read the same way.
"""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django_redis.serializers.json import JSONSerializer


class Encoder(DjangoJSONEncoder):
    """Knows dataclasses too."""

    def default(self, o: Any) -> Any:
        if is_dataclass(o) and not isinstance(o, type):
            return asdict(o)
        return super().default(o)


class PlainSerializer(JSONSerializer):  # type: ignore[misc]
    """Never pickle: whoever can write to the cache could run code."""

    encoder_class = Encoder
