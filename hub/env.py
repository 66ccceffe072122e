"""Typed readers of the environment. What is missing or wrong stops the start with one line.

A variable is looked up in the process's environment, then in the state directory that
`make run` keeps (`services.json` and `secrets.json`, keyed by the same names), so that
`manage.py` in another shell finds the same database and the same keys. Then comes the default;
a reader without one raises `ConfigurationError`, which names the variable and the remedy.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from observability.errors import ConfigurationError

STATE_VARIABLE = "HEADWATER_STATE"
STATE_FILES = ("services.json", "secrets.json")


class _Required:
    """The default of a variable that has none."""


REQUIRED: Final = _Required()

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def text(name: str, default: str | _Required = REQUIRED, *, remedy: str = "") -> str:
    """The variable as it stands. An empty one counts as not set."""
    value = _find(name)
    if value is not None:
        return value
    if isinstance(default, _Required):
        raise ConfigurationError(f"{name} is not set. {remedy or f'Set {name}.'}")
    return default


def integer(
    name: str, default: int | _Required = REQUIRED, *, minimum: int = 0, maximum: int = 2**31 - 1
) -> int:
    """A whole number in [minimum, maximum]."""
    value = _find(name)
    if value is None and not isinstance(default, _Required):
        return default
    given = text(name)
    # int() alone would take "1_000" and " 7 ", and isdigit() alone would take "²".
    if not (given.isascii() and given.isdigit() and minimum <= int(given) <= maximum):
        raise _wrong(name, given, f"a whole number from {minimum} to {maximum}")
    return int(given)


def port(name: str, default: int) -> int:
    """A TCP port."""
    return integer(name, default, minimum=1, maximum=65535)


def flag(name: str, *, default: bool) -> bool:
    """A switch: 1/true/yes/on or 0/false/no/off, in any case."""
    value = _find(name)
    if value is None:
        return default
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise _wrong(name, value, "1 or 0")


def choice(name: str, options: Iterable[str], default: str) -> str:
    """One of a few words."""
    allowed = tuple(options)
    value = text(name, default)
    if value not in allowed:
        raise _wrong(name, value, " or ".join(allowed))
    return value


def names(name: str, default: Iterable[str] = ()) -> list[str]:
    """A comma-separated list; blanks around the items and empty items are dropped."""
    value = _find(name)
    if value is None:
        return list(default)
    return [item.strip() for item in value.split(",") if item.strip()]


def table(name: str, default: Mapping[str, tuple[str, ...] | None]) -> dict[str, Any]:
    """Names, some with names of their own: `DE=AT+CH,US` is {"DE": ("AT", "CH"), "US": None}."""
    if _find(name) is None:
        return dict(default)
    found: dict[str, tuple[str, ...] | None] = {}
    for item in names(name):
        key, given, rest = item.partition("=")
        told = tuple(part.strip() for part in rest.split("+") if part.strip()) if given else None
        if not key.strip() or key.strip() in found:
            raise _wrong(name, item, "a list of different names, as in `DE=AT+CH,US`")
        found[key.strip()] = told
    return found


def numbers(name: str) -> dict[str, int]:
    """`a=1,b=2` as whole numbers by name."""
    found = {}
    for item in names(name):
        key, _, given = item.partition("=")
        if not key or not given.isdecimal():
            raise _wrong(name, item, "whole numbers by name, as in `personal_history=365`")
        found[key] = int(given)
    return found


def must_name(name: str, table: Mapping[str, Iterable[str]], known: Iterable[str]) -> None:
    """Whatever the table's entries name must be known. Raises ConfigurationError."""
    allowed = tuple(known)
    if not allowed:
        raise _wrong(name, "", "a list of names")
    for told in table.values():
        for one in told:
            if one not in allowed:
                raise _wrong(name, one, f"one of {', '.join(allowed)}")


def origins(name: str) -> list[str]:
    """A comma-separated list of web origins, `https://shop.example`; `*` is every origin."""
    found = names(name)
    for origin in found:
        url = urlsplit(origin)
        alone = url.netloc and url.netloc == origin.partition("//")[2]
        if origin != "*" and not (url.scheme in {"http", "https"} and alone):
            raise _wrong(name, origin, "origins such as https://shop.example, without a path")
    return found


def web_address(name: str) -> str:
    """An address of http or https; empty where the variable is not set."""
    given = text(name, "")
    url = urlsplit(given)
    if given and not (url.scheme in {"http", "https"} and url.netloc):
        raise _wrong_url(name, "http://host:port")
    return given


def some_of(name: str, options: Iterable[str], default: Iterable[str]) -> list[str]:
    """A comma-separated list of some of a few words, at least one."""
    allowed, found = tuple(options), names(name, default)
    for value in found or [""]:
        if value not in allowed:
            raise _wrong(name, value, f"some of {', '.join(allowed)}")
    return found


def fernet_keys(name: str, *, remedy: str) -> tuple[str, ...]:
    """Comma-separated Fernet keys, newest first: the first encrypts, all of them decrypt.

    A wrong key is never repeated in the message: it may be a right key with a blank in it.
    """
    keys = tuple(item.strip() for item in text(name, remedy=remedy).split(",") if item.strip())
    for position, key in enumerate(keys, start=1):
        if not _is_fernet_key(key):
            raise ConfigurationError(
                f"{name}: key {position} is not a Fernet key "
                f"(32 bytes in URL-safe base64, 44 characters). {remedy}"
            )
    return keys


def state_directory() -> Path:
    """Where `make run` keeps its state; relative paths are relative to the repository."""
    root = Path(__file__).resolve().parent.parent
    return root / Path(os.environ.get(STATE_VARIABLE) or ".headwater").expanduser()


def database(name: str, *, remedy: str) -> dict[str, Any]:
    """A PostgreSQL URL as an entry of Django's `DATABASES`.

    `postgresql://user:password@host:port/name?option=value`; a Unix socket is given as libpq
    does, `postgresql://user@/name?host=/directory`. Other options go to the driver.
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    given = text(name, remedy=remedy)
    form = "postgresql://user:password@host:port/name"
    try:
        url = urlsplit(given)
        address, number = url.hostname, url.port
    except ValueError:
        raise _wrong_url(name, form) from None
    database_name = unquote(url.path.lstrip("/"))
    if url.scheme not in {"postgresql", "postgres"} or not database_name:
        raise _wrong_url(name, form)
    options = dict(parse_qsl(url.query))
    return {
        "ENGINE": "observability.postgres",
        "NAME": database_name,
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": options.pop("host", "") or unquote(address or ""),
        "PORT": options.pop("port", "") or str(number or ""),
        "OPTIONS": options,
    }


def redis_url(name: str, *, remedy: str) -> str:
    """The URL of a Redis or Valkey server."""
    given = text(name, remedy=remedy)
    if urlsplit(given).scheme not in {"redis", "rediss", "unix"}:
        raise _wrong_url(name, "redis://host:port/0 or unix:///path/of/socket?db=0")
    return given


def smtp(name: str) -> SplitResult:
    """The URL of a mail server: smtp:// (plain), smtp+tls:// (STARTTLS) or smtps://; or nothing."""
    parts = urlsplit(text(name, ""))
    if parts.geturl() and not (
        parts.scheme in {"smtp", "smtp+tls", "smtps"} and parts.hostname and _port_of(parts)
    ):
        raise _wrong_url(name, "smtp+tls://user:password@host:587")
    return parts


def _port_of(parts: SplitResult) -> bool:
    """Whether its port, if there is one, is a number."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _find(name: str) -> str | None:
    return os.environ.get(name, "").strip() or _from_state(state_directory()).get(name)


@lru_cache(maxsize=4)
def _from_state(directory: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in STATE_FILES:
        path = directory / file
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            continue
        except PermissionError:
            raise ConfigurationError(
                f"{STATE_VARIABLE}: {path} belongs to another user. Run as that user, or set "
                f"{STATE_VARIABLE} to a directory of your own."
            ) from None
        except (OSError, ValueError):
            raise ConfigurationError(
                f"{STATE_VARIABLE}: {path} cannot be read. Remove it and start again: `make run`."
            ) from None
        found.update({key: value for key, value in content.items() if isinstance(value, str)})
    return found


forget_state: Callable[[], None] = _from_state.cache_clear


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
    except ValueError:
        return False


def _wrong(name: str, given: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is {given[:80]!r}; set it to {expected}.")


def _wrong_url(name: str, form: str) -> ConfigurationError:
    # The value may hold a password, so it is not shown.
    return ConfigurationError(f"{name} does not have the form {form}; correct it.")
