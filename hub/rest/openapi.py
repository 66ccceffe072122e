"""The OpenAPI document: made once a process, because making it is slow and not thread-safe.

https://github.com/tfranzel/drf-spectacular/issues/1368
"""

from __future__ import annotations

import hashlib
import json
import threading
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

_ONE_AT_A_TIME = threading.Lock()


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """`/api/v1/openapi.json`; the description is no secret, the data behind it is."""
    with _ONE_AT_A_TIME:
        text, tag = document()
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers={"ETag": tag})
    headers = {"ETag": tag, "Cache-Control": "public, max-age=60"}
    return HttpResponse(text, headers=headers, content_type="application/vnd.oai.openapi+json")


@lru_cache(maxsize=1)
def document() -> tuple[bytes, str]:
    """The document as bytes, and its entity tag."""
    generator: Any = SchemaGenerator
    made = generator().get_schema(request=None, public=True)
    text = json.dumps(made, ensure_ascii=False).encode()
    return text, f'"{hashlib.sha256(text).hexdigest()[:16]}"'
