"""Documents known by their hash: automatic persisted queries, and documents that are trusted.

A client sends `extensions.persistedQuery.sha256Hash` (Apollo's protocol) or `documentId` in place
of the text. One that nobody knows is answered PERSISTED_QUERY_NOT_FOUND; sent again with its text
it is known from then on, in every process by way of Redis, without which each asks for itself.
https://www.apollographql.com/docs/apollo-server/performance/apq

With HEADWATER_TRUSTED_DOCUMENTS, a manifest of {sha256: text}, those are known from the start; with
HEADWATER_TRUSTED_ONLY no others run for holders of an API key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.cache import cache
from graphql import DocumentNode, GraphQLError

from hub.graphql.documents import checked
from observability.errors import ConfigurationError

NOT_FOUND, MISMATCH, UNTRUSTED = (
    "PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_HASH_MISMATCH", "untrusted_document",
)  # fmt: skip
_HASH = re.compile(r"[0-9a-f]{64}")
#: What a process remembers, and for how long Redis does.
MOST, LONGEST, SECONDS = 512, 32 * 1024, 24 * 3600

_known: dict[str, str] = {}


def text_of(body: Mapping[str, Any], *, trusted_only: bool) -> str | None:
    """The document that a request names; None where it names none. Raises GraphQLError."""
    text, wished = body.get("query"), _hash(body)
    if wished is None:
        if trusted_only and isinstance(text, str) and text not in trusted_texts():
            raise _untrusted()
        return text if isinstance(text, str) else None
    if text is None:
        found = trusted().get(wished) or (None if trusted_only else _registered(wished))
        if found is None:
            raise _untrusted() if trusted_only else _error("PersistedQueryNotFound", NOT_FOUND)
        return found
    if not isinstance(text, str):
        return None
    if trusted_only and text not in trusted_texts():
        raise _untrusted()
    if _sha256(text) != wished:
        raise _error("the hash is not the SHA-256 of the document", MISMATCH)
    _register(wished, text)
    return text


@lru_cache(maxsize=1)
def trusted() -> Mapping[str, str]:
    """The manifest: {sha256: text}, or Apollo's form with a list of `operations`."""
    path = settings.HEADWATER_TRUSTED_DOCUMENTS
    if not path:
        return {}
    try:
        manifest = orjson.loads(Path(path).read_bytes())
        listed = manifest.get("operations") if isinstance(manifest, dict) else None
        if isinstance(listed, list):
            return {str(entry["id"]): str(entry["body"]) for entry in listed}
        return {str(known): str(text) for known, text in manifest.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"HEADWATER_TRUSTED_DOCUMENTS: {path} is no manifest of documents ({error}). "
            'Write {"sha256 of a document": "its text"}.'
        ) from error


@lru_cache(maxsize=1)
def trusted_texts() -> frozenset[str]:
    """The texts of the manifest."""
    return frozenset(trusted().values())


def _hash(body: Mapping[str, Any]) -> str | None:
    extensions = body.get("extensions")
    persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
    wished = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if wished is None:
        wished = body.get("documentId")
        wished = wished.removeprefix("sha256:") if isinstance(wished, str) else wished
    if wished is None:
        return None
    # An id of a manifest may have any form; only hashes are looked for elsewhere.
    return wished if isinstance(wished, str) else ""


def _registered(wished: str) -> str | None:
    if not _HASH.fullmatch(wished):
        return None
    text = _known.get(wished)
    if text is None:
        text = cache.get(f"persisted:{wished}")
        if not isinstance(text, str) or _sha256(text) != wished:
            return None
        _keep(wished, text)
    return text


def _register(wished: str, text: str) -> None:
    if wished in _known or len(text) > LONGEST or not isinstance(checked(text), DocumentNode):
        return
    _keep(wished, text)
    cache.set(f"persisted:{wished}", text, SECONDS)


def _keep(wished: str, text: str) -> None:
    if len(_known) >= MOST:
        _known.clear()
    _known[wished] = text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _untrusted() -> GraphQLError:
    return _error("only trusted documents are answered here", UNTRUSTED)


def _error(message: str, code: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})
