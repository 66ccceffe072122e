"""The version of a record, and the entity tags that carry it (RFC 9110, 8.8.3 and 13.1.1).

    ETag: "b4f1…c0-6511c0a9d3f80"
            │        └ version: when a value of the record last changed, in microseconds since 1970
            └ digest of this very answer: locale, `fields`, parts and provenance are in it

So a tag is strong, as each answer has one of its own; and whichever answer a caller holds, a single
record's `If-Match` is held against the record, not against the answer. What is nested in an answer has
versions of its own.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

from catalog.entities import Entity

ANY = "*"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')


def version_of(row: Entity) -> str:
    """The version of a record that was read."""
    return f"{(row.changed_at - EPOCH) // timedelta(microseconds=1):x}"


def version_sql(alias: str) -> str:
    """SQL of the same, for the row of this alias."""
    return f"to_hex((extract(epoch FROM {alias}.changed_at) * 1000000)::bigint)"


def etag(body: bytes, version: str = "") -> str:
    """The entity tag of an answer; of a single record's with its version."""
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    return f'"{digest}-{version}"' if version else f'"{digest}"'


def matches(if_match: str, version: str) -> bool:
    """Whether one of the tags is of this version of the record, compared strongly.

    Raises ValueError for what is no list of entity tags.
    """
    if if_match.strip() == ANY:
        return True
    found = False
    for part in if_match.split(","):
        tag = _TAG.fullmatch(part.strip())
        if tag is None:
            raise ValueError(part.strip()[:80])
        found = found or (not tag[1] and tag[2].rpartition("-")[2] == version)
    return found
