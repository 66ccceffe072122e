"""Akeneo's writes: PATCH of one record, PATCH of many (a status for each line), POST, DELETE.

A PATCH merges: `values` attribute by attribute and, within one, by locale and scope. Source: Akeneo
REST API, "Update behavior" and "Update several products".
"""

from __future__ import annotations

import json
import time
from typing import Any

from connectors.sandbox import akeneo_documents as documents
from connectors.sandbox.akeneo_access import SYSTEM, USER, AkeneoError
from connectors.sandbox.akeneo_events import AUTHOR
from connectors.sandbox.akeneo_reading import RESOURCES, Resource, missing
from connectors.sandbox.akeneo_search import Record
from connectors.sandbox.store import Store
from connectors.sandbox.wire import Request, Response

MAX_LINES = 100
COLLECTION_TYPE = "application/vnd.akeneo.collection+json"

# what a caller may set; created and updated are accepted and ignored, as by the real server
_WRITABLE = {
    "products": "identifier uuid enabled family categories groups parent values associations "
    "quantified_associations created updated metadata _links",
    "product_models": "code family family_variant parent categories values associations "
    "quantified_associations created updated metadata _links",
    "categories": "code parent labels position updated _links",
}
_IGNORED = frozenset({"created", "updated", "metadata", "_links", "uuid"})


def patch_many(request: Request) -> Response:
    """Newline-delimited JSON in and out; the answer is 200 even when every line fails."""
    resource = _writable(request)
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip()
    if kind != COLLECTION_TYPE:
        message = f'"{kind}" in "Content-Type" header is not valid. '
        raise AkeneoError(415, message + f'Only "{COLLECTION_TYPE}" is allowed.')
    lines = [line for line in request.body.split(b"\n") if line.strip()]
    if len(lines) > MAX_LINES:
        message = f"Too many resources to process, {MAX_LINES} is the maximum allowed."
        raise AkeneoError(413, message)
    answers = [
        {"line": number, **_patch_line(request, resource, line)}
        for number, line in enumerate(lines, start=1)
    ]
    body = "\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    return Response(200, body.encode(), {"Content-Type": COLLECTION_TYPE})


def _patch_line(request: Request, resource: Resource, line: bytes) -> Record:
    try:
        given = json.loads(line)
    except ValueError:
        return {"status_code": 400, "message": "Invalid json message received"}
    key = given.get(resource.key) if isinstance(given, dict) else None
    if not isinstance(key, str) or not key:
        label = resource.key.capitalize()
        return {"status_code": 422, "message": f"{label} is missing."}
    try:
        return {
            resource.key: key,
            "status_code": 204 if _apply(request, resource, key, given) else 201,
        }
    except AkeneoError as refusal:
        told = {k: v for k, v in refusal.body().items() if k != "code"}
        return {resource.key: key, "status_code": refusal.status, **told}


def patch_one(request: Request) -> Response:
    resource, key = _writable(request), request.match["key"]
    given = _object(request)
    if given.get(resource.key, key) != key:
        message = (
            f'The {resource.key} "{given[resource.key]}" provided in the request body must match '
            f'the {resource.key} "{key}" provided in the url.'
        )
        raise AkeneoError(422, message)
    existed = _apply(request, resource, key, given)
    return Response(204 if existed else 201, b"", _location(request, resource, key))


def post(request: Request) -> Response:
    resource = _writable(request)
    given = _object(request)
    key = given.get(resource.key)
    if not isinstance(key, str) or not key:
        raise _invalid(resource.key, "This value should not be blank.")
    if request.store.get(SYSTEM, resource.name, key) is not None:
        message = f"The {key} {resource.key} is already used for another {resource.label.lower()}."
        raise _invalid(resource.key, message)
    _apply(request, resource, key, given)
    return Response(201, b"", _location(request, resource, key))


def delete(request: Request) -> Response:
    resource, key = _writable(request), request.match["key"]
    token = AUTHOR.set((USER[0], "api"))
    try:
        if not request.store.delete(SYSTEM, resource.name, key):
            raise missing(resource, key)
    finally:
        AUTHOR.reset(token)
    return Response(204)


def _writable(request: Request) -> Resource:
    resource = RESOURCES[request.match["resource"]]
    if resource.name not in _WRITABLE:
        raise AkeneoError(405, f"No route found for {request.method} {request.path}")
    return resource


def _object(request: Request) -> Record:
    try:
        given = request.json()
    except ValueError:
        raise AkeneoError(400, "Invalid json message received") from None
    if not isinstance(given, dict):
        raise AkeneoError(400, "Invalid json message received")
    return given


def _location(request: Request, resource: Resource, key: str) -> dict[str, str]:
    return {"Location": f"{request.base_url}/api/rest/v1/{resource.path}/{key}"}


def _invalid(name: str, message: str) -> AkeneoError:
    return AkeneoError(422, "Validation failed.", [{"property": name, "message": message}])


def _apply(request: Request, resource: Resource, key: str, given: Record) -> bool:
    """Store the merged record; True when there was one before."""
    _check(request.store, resource, given)
    token = AUTHOR.set((USER[0], "api"))
    try:
        with request.store.lock:
            before = request.store.get(SYSTEM, resource.name, key)
            record = dict(before) if before is not None else _new(resource, key)
            record |= {k: v for k, v in given.items() if k not in _IGNORED | {"values", "labels"}}
            for name, merge in (("values", _merged_values), ("labels", _merged_labels)):
                if given.get(name):
                    record[name] = merge(record.get(name) or {}, given[name])
            request.store.put(SYSTEM, resource.name, key, record)
        return before is not None
    finally:
        AUTHOR.reset(token)


def _new(resource: Resource, key: str) -> Record:
    now = documents.moment(time.time_ns() // 1_000_000)
    if resource.name == "products":
        return documents.new_product(key, now, now)
    if resource.name == "product_models":
        return documents.new_product_model(key, now, now)
    return {"code": key, "parent": None, "updated": now, "position": 1, "labels": {}}


def _merged_labels(before: Record, given: Record) -> Record:
    return {locale: text for locale, text in {**before, **given}.items() if text}


def _merged_values(before: Record, given: Record) -> Record:
    """An empty or null value removes what stood there, as clearing a field in the PIM does."""
    merged = dict(before)
    for code, values in given.items():
        kept = {(v["locale"], v["scope"]): v for v in merged.get(code, [])}
        for value in values:
            place = (value.get("locale"), value.get("scope"))
            kept.pop(place, None)
            if value["data"] not in (None, ""):
                kept[place] = {"locale": place[0], "scope": place[1], "data": value["data"]}
        if kept:
            merged[code] = list(kept.values())
        else:
            merged.pop(code, None)
    return merged


_HINT = "Check the expected format on the API documentation."


def _check(store: Store, resource: Resource, given: Record) -> None:
    for name in given:
        if name not in _WRITABLE[resource.name].split():
            raise AkeneoError(422, f'Property "{name}" does not exist. {_HINT}')
    for code in given.get("categories") or []:
        if store.get(SYSTEM, "categories", code) is None:
            raise _no_such("categories", "category code", "category", code)
    parent = given.get("parent")
    parents = "categories" if resource.name == "categories" else "product_models"
    if parent and store.get(SYSTEM, parents, parent) is None:
        label = "category" if parents == "categories" else "parent product model"
        raise _no_such("parent", f"{label} code", label, parent)
    family = given.get("family")
    if family and store.get(SYSTEM, "families", family) is None:
        raise _no_such("family", "family code", "family", family)
    values = given.get("values", {})
    if not isinstance(values, dict):
        raise AkeneoError(422, f'Property "values" expects an array as data. {_HINT}')
    for code, items in values.items():
        _check_value(code, items)


def _no_such(name: str, kind: str, label: str, code: str) -> AkeneoError:
    message = (
        f'Property "{name}" expects a valid {kind}. The {label} does not exist, "{code}" given. '
    )
    return AkeneoError(422, message + _HINT)


def _check_value(code: str, items: Any) -> None:
    if code not in documents.ATTRIBUTES:
        raise AkeneoError(422, f"The {code} attribute does not exist in your PIM. {_HINT}")
    if not isinstance(items, list) or not all(isinstance(i, dict) and "data" in i for i in items):
        message = f'Property "{code}" expects an array of objects with locale, scope and data. '
        raise AkeneoError(422, message + _HINT)
    localizable = documents.ATTRIBUTES[code][1]
    for item in items:
        locale = item.get("locale")
        if localizable and locale is None:
            raise _invalid(code, f"The {code} attribute requires a locale.")
        if not localizable and locale is not None:
            raise _invalid(code, f"The {code} attribute does not require a locale.")
        if locale is not None and locale not in documents.LOCALES:
            message = f"The {code} attribute requires a valid locale. "
            raise _invalid(code, message + f"The {locale} locale does not exist.")
        if item["data"] is not None and not isinstance(item["data"], str):
            raise AkeneoError(422, f"The {code} attribute requires a string, other given. {_HINT}")
