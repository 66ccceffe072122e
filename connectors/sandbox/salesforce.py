"""Simulated Salesforce: log-in, SOQL, sobjects (`/services/…`), change events as webhooks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from connectors.sandbox import faults, salesforce_access, soql
from connectors.sandbox import salesforce_records as records
from connectors.sandbox import salesforce_writes as writes
from connectors.sandbox.salesforce_access import DAILY_REQUESTS, USER_ID, error
from connectors.sandbox.salesforce_query import BATCH, LEAST_BATCH, SYSTEM, Org, attributes
from connectors.sandbox.salesforce_records import Record, WriteError
from connectors.sandbox.salesforce_schema import API_VERSIONS, SCHEMA, Field, SObject, id_18
from connectors.sandbox.signing import standard_webhook
from connectors.sandbox.soql import SoqlError
from connectors.sandbox.store import Change, Store
from connectors.sandbox.wire import Handler, Request, Response, Route
from connectors.sandbox.world import World

REVOKE = salesforce_access.revoke

_ORGS: WeakKeyDictionary[Store, Org] = WeakKeyDictionary()


def register(store: Store, world: World) -> None:
    collections = records.collections(world)
    for collection in collections:
        store.register(collection)
    _ORGS[store] = Org(store, world, collections)


# -- queries


def _query(request: Request) -> Response:
    text = request.query.get("q")
    if text is None:
        return error(400, "MALFORMED_QUERY", "SOQL statement cannot be empty/null")
    options = request.headers.get("Sforce-Query-Options", "")
    asked = re.search(r"batchSize=(\d+)", options)
    batch = min(BATCH, max(LEAST_BATCH, int(asked[1]))) if asked else BATCH
    deleted_too = request.match["verb"] == "queryAll"
    org, version = _ORGS[request.store], request.match["version"]
    return Response(200, org.start(soql.parse(text), version, batch, deleted_too=deleted_too))


def _query_more(request: Request) -> Response:
    org = _ORGS[request.store]
    return Response(200, org.more(request.match["locator"], request.match["version"]))


# -- what there is


def _versions(_request: Request) -> Response:
    return Response(
        200,
        [
            {"label": label, "url": f"/services/data/v{version}", "version": version}
            for version, label in API_VERSIONS.items()
        ],
    )


def _resources(request: Request) -> Response:
    root = f"/services/data/v{request.match['version']}"
    return Response(200, {n: f"{root}/{n}" for n in ("sobjects", "query", "queryAll", "limits")})


def _limits(request: Request) -> Response:
    used = request.store.memory(SYSTEM).get("requests", 0)
    limit = {"Max": DAILY_REQUESTS, "Remaining": DAILY_REQUESTS - used}
    return Response(200, {"DailyApiRequests": limit})


def _describe_all(request: Request) -> Response:
    found = [sobject.summary(request.match["version"]) for sobject in SCHEMA.values()]
    return Response(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": found})


def _summary(request: Request) -> Response:
    summary = _sobject(request).summary(request.match["version"])
    return Response(200, {"objectDescribe": summary, "recentItems": []})


def _describe(request: Request) -> Response:
    return Response(200, _sobject(request).describe(request.match["version"]))


class _NotFoundError(Exception):
    """No such type or record."""


def _sobject(request: Request) -> SObject:
    found = SCHEMA.get(request.match["type"].lower())
    if found is None:
        raise _NotFoundError("The requested resource does not exist")
    return found


# -- one record


def _key(request: Request, sobject: SObject) -> str:
    key = id_18(request.match["id"])
    if len(key) != 18 or not key.startswith(sobject.prefix):
        raise _NotFoundError(
            "Provided external ID field does not exist or is not accessible: " + key
        )
    return key


def _found(request: Request, sobject: SObject, key: str) -> Record:
    record = request.store.get(SYSTEM, sobject.name, key)
    if record is None:
        if request.store.changed_ms(SYSTEM, sobject.name, key) is not None:
            raise WriteError("ENTITY_IS_DELETED", "entity is deleted", [])
        raise _NotFoundError("The requested resource does not exist")
    return record


def _get(request: Request) -> Response:
    sobject = _sobject(request)
    return _shown(request, sobject, _found(request, sobject, _key(request, sobject)))


def _shown(request: Request, sobject: SObject, record: Record) -> Response:
    names = [field.name for field in sobject.fields.values()]
    if "fields" in request.query:
        asked = request.query["fields"].split(",")
        unknown = [name for name in asked if sobject.field(name.strip()) is None]
        if unknown:
            message = f"No such column '{unknown[0]}' on sobject of type {sobject.name}"
            raise WriteError("INVALID_FIELD", message, [])
        names = [field.name for name in asked if (field := sobject.field(name.strip()))]
    shown = attributes(sobject.name, record["Id"], request.match["version"])
    body = {"attributes": shown, **{name: record.get(name) for name in names}}
    return Response(200, faults.transform(SYSTEM, [body])[0])


def _given(request: Request) -> Record:
    try:
        given = request.json()
    except ValueError as broken:
        raise WriteError("JSON_PARSER_ERROR", f"Unexpected character: {broken}", []) from None
    if not isinstance(given, dict):
        raise WriteError("JSON_PARSER_ERROR", "Cannot deserialize instance of object", [])
    return given


def _create(request: Request) -> Response:
    sobject, store = _sobject(request), request.store
    record = records.created(sobject, _given(request), time.time_ns() // 1_000_000)
    records.check_parents(store, sobject, record)
    store.put(SYSTEM, sobject.name, record["Id"], record)
    return Response(201, {"id": record["Id"], "success": True, "errors": []})


def _update(request: Request) -> Response:
    sobject, store = _sobject(request), request.store
    key, given = _key(request, sobject), _given(request)
    with store.lock:
        before = _found(request, sobject, key)
        if not writes.unmodified(request, before):
            return Response(412)
        record = records.updated(sobject, before, given)
        records.check_parents(store, sobject, record)
        store.put(SYSTEM, sobject.name, key, record)
    return Response(204)


def _delete(request: Request) -> Response:
    sobject = _sobject(request)
    key = _key(request, sobject)
    with request.store.lock:
        record = _found(request, sobject, key)
        # queryAll shows what was deleted, and says so
        request.store.delete(SYSTEM, sobject.name, record["Id"])
    return Response(204)


def _addressed(request: Request) -> tuple[SObject, Field, str]:
    """(type, field, value) of `sobjects/Order/ErpNumber__c/0000000001`."""
    sobject, name = _sobject(request), request.match["field"]
    field = writes.external_id(sobject, name)
    if field is None:
        raise _NotFoundError(
            "Provided external ID field does not exist or is not accessible: " + name
        )
    return sobject, field, request.match["value"]


def _get_by_external_id(request: Request) -> Response:
    sobject, field, value = _addressed(request)
    record = writes.by_external_id(request.store, sobject, field, value)
    if record is None:
        raise _NotFoundError("The requested resource does not exist")
    return _shown(request, sobject, record)


def _upsert(request: Request) -> Response:
    sobject, field, value = _addressed(request)
    return writes.upsert(request, sobject, field, value, _given(request))


def _replicated(request: Request) -> Response:
    """`…/deleted/?start=&end=` and `…/updated/…`: ids in a time span."""
    sobject, what = _sobject(request), request.match["what"]
    try:
        start, end = (soql.milliseconds(request.query[name]) for name in ("start", "end"))
    except (KeyError, ValueError):
        return error(400, "INVALID_REPLICATION_DATE", "start and end must be ISO 8601 date-times")
    rows = request.store.scan(
        SYSTEM, sobject.name, changed_from_ms=start, limit=600_000, include_deleted=True
    )
    rows = [row for row in rows if row.changed_ms <= end and row.deleted == (what == "deleted")]
    covered = records.moment(end)
    if what == "updated":
        return Response(200, {"ids": [row.key for row in rows], "latestDateCovered": covered})
    gone = [{"id": row.key, "deletedDate": records.moment(row.changed_ms)} for row in rows]
    first = request.world.customer(0).created_ms
    earliest = {"earliestDateAvailable": records.moment(first), "latestDateCovered": covered}
    return Response(200, {"deletedRecords": gone, **earliest})


# -- answering


def _guarded(handler: Handler) -> Handler:
    def answer(request: Request) -> Response:
        named = re.search(
            r"(?:^|,)\s*client=([^,;]+)", request.headers.get("Sforce-Call-Options", "")
        )
        caller = CALLER.set(f";client={named[1].strip()}" if named else "")
        try:
            response = salesforce_access.authenticate(request) or _answered(handler, request)
        finally:
            CALLER.reset(caller)
        response.headers["Sforce-Limit-Info"] = salesforce_access.count_request(request.store)
        return response

    return answer


def _answered(handler: Handler, request: Request) -> Response:
    try:
        return handler(request)
    except SoqlError as refusal:
        return error(400, refusal.code, refusal.message)
    except _NotFoundError as missing:
        return error(404, "NOT_FOUND", str(missing))
    except writes.AmbiguousError as several:
        root = f"/services/data/v{request.match['version']}/sobjects/{request.match['type']}"
        return Response(300, [f"{root}/{key}" for key in several.ids])
    except WriteError as refusal:
        status = 404 if refusal.code == "ENTITY_IS_DELETED" else 400
        return error(status, refusal.code, str(refusal), refusal.fields)


def ERROR(_request: Request, status: int, message: str) -> Response:
    """Scripted faults and unknown paths, in Salesforce's words."""
    known: dict[int, Callable[[], Response]] = {
        401: lambda: error(401, "INVALID_SESSION_ID", "Session expired or invalid"),
        404: lambda: error(404, "NOT_FOUND", "The requested resource does not exist"),
        # the daily allowance is answered with 403; a 429 has the same code and a Retry-After
        429: lambda: error(429, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        503: lambda: error(503, "SERVER_UNAVAILABLE", message),
    }
    return known.get(status, lambda: error(status, "UNKNOWN_EXCEPTION", message))()


# -- change events


#: What the caller calls itself (`Sforce-Call-Options`), as a change event shows it.
CALLER: ContextVar[str] = ContextVar("salesforce_caller", default="")
_CHANGE_TYPES = {"created": "CREATE", "updated": "UPDATE", "deleted": "DELETE"}


def WEBHOOK(change: Change) -> tuple[dict[str, str], bytes] | None:
    """A Change Data Capture event, as a relay between Salesforce's event bus and HTTP sends it.

    An update carries the whole record: the relay does not know what it was before.
    """
    body_fields = {
        name: value
        for name, value in change.doc.items()
        if name not in {"Id", "IsDeleted", "SystemModstamp"} and value is not None
    }
    header: dict[str, Any] = {
        "entityName": change.collection,
        "recordIds": [change.key],
        "changeType": _CHANGE_TYPES[change.kind],
        "changeOrigin": f"com/salesforce/api/rest/60.0{CALLER.get()}",
        "transactionKey": f"{change.at_ms:08x}-0000-4000-8000-000000000000",
        "sequenceNumber": 1,
        "commitTimestamp": change.at_ms,
        "commitNumber": change.at_ms * 1000,
        "commitUser": USER_ID,
        "nulledFields": [],
        "diffFields": [],
        "changedFields": sorted(body_fields) if change.kind == "updated" else [],
    }
    payload = {"ChangeEventHeader": header, **(body_fields if change.kind != "deleted" else {})}
    event = {"schema": "headwaterSandboxSchemaId", "payload": payload,
             "event": {"replayId": change.at_ms}}  # fmt: skip
    body = orjson.dumps(event)
    signed = standard_webhook(f"msg_sf_{change.at_ms}", int(time.time()), body)
    return {"Content-Type": "application/json", **signed}, body


_DATA = r"/services/data/v(?P<version>\d+\.\d)"
_TYPE = rf"{_DATA}/sobjects/(?P<type>\w+)"
_TABLE: list[tuple[str, str, Handler]] = [
    ("GET", rf"{_DATA}/?", _resources),
    ("GET", rf"{_DATA}/(?P<verb>query|queryAll)/?", _query),
    ("GET", rf"{_DATA}/(?:query|queryAll)/(?P<locator>[\w-]+)", _query_more),
    ("GET", rf"{_DATA}/limits/?", _limits),
    ("GET", rf"{_DATA}/sobjects/?", _describe_all),
    ("GET", rf"{_TYPE}/describe/?", _describe),
    ("GET", rf"{_TYPE}/(?P<what>deleted|updated)/?", _replicated),
    ("GET", rf"{_TYPE}/?", _summary),
    ("POST", rf"{_TYPE}/?", _create),
    ("GET", rf"{_TYPE}/(?P<id>\w+)", _get),
    ("PATCH", rf"{_TYPE}/(?P<id>\w+)", _update),
    ("DELETE", rf"{_TYPE}/(?P<id>\w+)", _delete),
    ("GET", rf"{_TYPE}/(?P<field>\w+)/(?P<value>.+)", _get_by_external_id),
    ("PATCH", rf"{_TYPE}/(?P<field>\w+)/(?P<value>.+)", _upsert),
    ("PATCH", rf"{_DATA}/composite/sobjects/?", writes.update_many),
]
ROUTES: list[Route] = [
    ("POST", re.compile(r"/services/oauth2/token"), salesforce_access.token),
    ("POST", re.compile(r"/services/Soap/u/(?P<version>[\d.]+)/?"), salesforce_access.soap_login),
    ("GET", re.compile(r"/services/data/?"), _versions),
    *((method, re.compile(path), _guarded(handler)) for method, path, handler in _TABLE),
]
