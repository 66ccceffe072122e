"""Writes beyond one record by its id: upsert by an external id, collections, conditional requests.

Sources: REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID", "Update
Multiple Records with sObject Collections", "Conditional Requests".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from connectors.sandbox import salesforce_records as records
from connectors.sandbox import soql
from connectors.sandbox.salesforce_records import Record, WriteError
from connectors.sandbox.salesforce_schema import SCHEMA, Field, SObject, id_18
from connectors.sandbox.store import Store
from connectors.sandbox.wire import Request, Response

SYSTEM = "salesforce"
MOST_RECORDS = 200


class AmbiguousError(Exception):
    """An external id that several records have; `ids` names them."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__()
        self.ids = ids


def external_id(sobject: SObject, name: str) -> Field | None:
    """The field, where records may be addressed by it."""
    field = sobject.field(name)
    return field if field is not None and field.external_id else None


def by_external_id(store: Store, sobject: SObject, field: Field, value: str) -> Record | None:
    """Records of the first day have no external ids. Raises AmbiguousError."""
    found = [r for _, r in store.overlay(SYSTEM, sobject.name) if r.get(field.name) == value]
    if len(found) > 1:
        raise AmbiguousError([record["Id"] for record in found])
    return found[0] if found else None


def upsert(request: Request, sobject: SObject, field: Field, value: str, given: Record) -> Response:
    """Create or update by external id. The value counts as the caller's reference."""
    if any(name.lower() == field.name.lower() for name in given):
        message = f"The {field.name} field should not be specified in the sobject data."
        raise WriteError("INVALID_FIELD", message, [])
    store = request.store
    with store.together():
        record = by_external_id(store, sobject, field, value)
        if record is None:
            now = time.time_ns() // 1_000_000
            made = records.created(sobject, {**given, field.name: value}, now)
        else:
            made = records.updated(sobject, record, given)
        records.check_parents(store, sobject, made)
        store.put(SYSTEM, sobject.name, made["Id"], made, reference=value)
    body = {"id": made["Id"], "success": True, "errors": [], "created": record is None}
    return Response(200 if record else 201, body)


def update_many(request: Request) -> Response:
    """PATCH composite/sobjects: 200 with a result for each record, also where all were refused."""
    given = request.json()
    wanted = given.get("records") if isinstance(given, dict) else None
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise WriteError("JSON_PARSER_ERROR", "records: a list of objects is expected", [])
    if len(wanted) > MOST_RECORDS:
        message = f"record limit reached. cannot submit more than {MOST_RECORDS} records"
        raise WriteError("EXCEEDED_ID_LIMIT", message, [])
    with request.store.together():
        made = list(_changed(request.store, wanted))
        failed = any(isinstance(one, WriteError) for _, one in made)
        rolled_back = failed and given.get("allOrNone") is True
        results = [_result(key, one, rolled_back) for key, one in made]
        for (_, one), result in zip(made, results, strict=True):
            if result["success"] and not isinstance(one, WriteError):
                sobject, record = one
                request.store.put(SYSTEM, sobject.name, record["Id"], record)
    return Response(200, results)


def unmodified(request: Request, record: Record) -> bool:
    """Whether `If-Unmodified-Since` lets a change through. A date that is none is not looked at
    (RFC 9110, 13.1.4); HTTP knows whole seconds only.
    """
    try:
        since = parsedate_to_datetime(request.headers.get("If-Unmodified-Since") or "")
    except ValueError:
        return True
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return soql.milliseconds(record["LastModifiedDate"]) // 1000 <= int(since.timestamp())


Made = tuple[SObject, Record] | WriteError


def _changed(store: Store, wanted: list[Record]) -> Iterator[tuple[str, Made]]:
    for one in wanted:
        key = id_18(str(one.get("id") or one.get("Id") or ""))
        yield key, _one_changed(store, one, key)


def _one_changed(store: Store, one: Record, key: str) -> Made:
    attributes = one.get("attributes")
    name = str(attributes.get("type", "")) if isinstance(attributes, dict) else ""
    sobject = SCHEMA.get(name.lower())
    if sobject is None:
        return WriteError("INVALID_TYPE", f"sObject type '{name}' is not supported.", [])
    record = store.get(SYSTEM, sobject.name, key)
    if record is None:
        return WriteError("ENTITY_IS_DELETED", "entity is deleted", [])
    try:
        given = {n: v for n, v in one.items() if n.lower() not in {"id", "attributes"}}
        record = records.updated(sobject, record, given)
        records.check_parents(store, sobject, record)
    except WriteError as refusal:
        return refusal
    return sobject, record


def _result(key: str, one: Made, rolled_back: bool) -> dict[str, Any]:  # noqa: FBT001
    if isinstance(one, WriteError):
        error = {"statusCode": one.code, "message": str(one), "fields": one.fields}
        return {"id": key or None, "success": False, "errors": [error]}
    if rolled_back:
        message = (
            "Record rolled back because not all records were valid and the request was using"
            " AllOrNone header"
        )
        error = {"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "message": message}
        return {"id": key, "success": False, "errors": [{**error, "fields": []}]}
    return {"id": key, "success": True, "errors": []}
