"""Credentials at rest: Fernet tokens under the keys in HEADWATER_ENCRYPTION_KEYS.

The first key encrypts, all of them decrypt, so a key is rotated by putting the new one in front
and running `manage.py rotate_secrets`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from observability.errors import ConfigurationError
from observability.redaction import remember


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.HEADWATER_ENCRYPTION_KEYS])


def seal(values: Mapping[str, str]) -> str:
    """Encrypt credentials by name into one token."""
    remember(values.values())
    return _keys().encrypt(json.dumps(dict(values)).encode()).decode()


def unseal(token: str, connection: str = "") -> dict[str, str]:
    """The credentials in a token. Raises ConfigurationError when no known key fits."""
    if not token:
        return {}
    try:
        opened: dict[str, str] = json.loads(_keys().decrypt(token.encode()))
    except InvalidToken as error:
        raise ConfigurationError(
            "the stored credentials were encrypted with a key that is not among"
            " HEADWATER_ENCRYPTION_KEYS; add that key, or enter the credentials again",
            connection=connection,
        ) from error
    remember(opened.values())
    return opened


def reseal(token: str) -> str:
    """The same credentials under the first key."""
    return _keys().rotate(token.encode()).decode() if token else token
