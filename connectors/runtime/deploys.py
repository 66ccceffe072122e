"""What a start of the workers brings along: digests of the connectors' code and of settings."""

from __future__ import annotations

import sys
from pathlib import Path

from django.conf import settings

from connectors.models import Connection
from connectors.runtime.connector import connector_class
from observability import starts
from observability.errors import ConfigurationError

#: Settings that change what is served, and hold no secret.
SETTINGS = (
    "HEADWATER_LOCALES", "HEADWATER_FALLBACKS", "HEADWATER_MARKETS", "HEADWATER_TRUSTED_ONLY",
    "HEADWATER_KEEP_ANSWERS", "HEADWATER_PUBLIC_CLASSES", "HEADWATER_INTROSPECTION",
)  # fmt: skip
CODE = ("*.py", "*.json")


def note_start() -> None:
    """The workers have started."""
    said = {name: starts.digest(repr(getattr(settings, name, None))) for name in SETTINGS}
    starts.note(starts.WORKERS, settings.HEADWATER_VERSION, contracts(), said)


def note_replaced(because: str) -> None:
    """Their cluster had to be started again."""
    starts.note(starts.CLUSTER, settings.HEADWATER_VERSION, because=because)


def contracts() -> dict[str, str]:
    """{connector: digest of its folder}, of those that are connected."""
    slugs = Connection.objects.order_by().values_list("connector", flat=True).distinct()
    return {slug: digest for slug in sorted(slugs) if (digest := _of(slug))}


def _of(slug: str) -> str:
    try:
        module = sys.modules[connector_class(slug).__module__]
    except ConfigurationError:
        return ""
    folder = Path(str(module.__file__)).parent
    files = sorted({path for pattern in CODE for path in folder.glob(pattern)})
    return starts.digest(b"".join(starts.digest(path.read_bytes()).encode() for path in files))
