"""Akeneo's Events API: what changed, with the whole record and who changed it, signed.

Categories and the structure have no events. Source: Akeneo Events API, "Security" and "Events".
"""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from contextvars import ContextVar

import orjson

from connectors.sandbox.akeneo_documents import moment
from connectors.sandbox.signing import AKENEO_SECRET, hex_hmac
from connectors.sandbox.store import Change

# (user, "api" or "ui") behind the change being made: a subscriber knows its own echoes by it
AUTHOR: ContextVar[tuple[str, str]] = ContextVar("akeneo_author", default=("julia", "ui"))
_REMEMBERED = 10_000
_authors: OrderedDict[int, tuple[str, str]] = OrderedDict()
_NAMES = {"products": ("product", "identifier"), "product_models": ("product_model", "code")}
_ACTIONS = {"created": "created", "updated": "updated", "deleted": "removed"}


def remember_author(change: Change) -> None:
    """Deliveries are signed by another thread, and perhaps later: keep who it was."""
    if change.system == "akeneo":
        _authors[change.at_ms] = AUTHOR.get()
        if len(_authors) > _REMEMBERED:
            _authors.popitem(last=False)


def webhook(change: Change) -> tuple[dict[str, str], bytes] | None:
    if change.collection not in _NAMES:
        return None
    name, key = _NAMES[change.collection]
    author, author_type = _authors.get(change.at_ms, AUTHOR.get())
    removed = {key: change.key, "categories": change.doc.get("categories", [])}
    event = {
        "action": f"{name}.{_ACTIONS[change.kind]}",
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"akeneo:{change.at_ms}:{change.key}")),
        "event_datetime": moment(change.at_ms),
        "author": author,
        "author_type": author_type,
        "pim_source": "https://akeneo.sandbox.example",
        "data": {"resource": removed if change.kind == "deleted" else change.doc},
    }
    body, now = orjson.dumps({"events": [event]}), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "X-Akeneo-Request-Timestamp": str(now),
        "X-Akeneo-Request-Signature": hex_hmac(AKENEO_SECRET, now, body),
        "X-Akeneo-Request-Algorithm": "HmacSHA256",
    }
    return headers, body
