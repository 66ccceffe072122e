"""The control API under ``/_control/``: look into the simulated systems, change them, break them.

Every answer is JSON, but for the page itself. An error is 400 or 404 with ``{"error": text}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson

from connectors.sandbox import edits
from connectors.sandbox.edits import BadEdit
from connectors.sandbox.faults import DATA_KINDS, WIRE_KINDS, BadFault, Fault
from connectors.sandbox.wire import Request, Response, Route

if TYPE_CHECKING:
    from connectors.sandbox.server import Sandbox

Answer = Callable[["Sandbox", Request], Response]
_SAMPLE_KEYS = 3


def routes(sandbox: Sandbox) -> list[Route]:
    """The control API's routes, bound to one sandbox."""
    return [
        (method, re.compile(pattern), _bound(sandbox, answer)) for method, pattern, answer in _TABLE
    ]


def _bound(sandbox: Sandbox, answer: Answer) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        try:
            return answer(sandbox, request)
        except orjson.JSONDecodeError as error:
            return Response(400, {"error": f"the body is not JSON: {error}"})
        except (BadFault, BadEdit, ValueError) as error:
            return Response(400, {"error": str(error)})
        except KeyError as error:
            return Response(404, {"error": f"unknown: {error.args[0]}"})

    return handler


def _system(sandbox: Sandbox, request: Request) -> str:
    system = request.match["system"]
    if system not in sandbox.vendors:
        raise KeyError(system)
    return system


# --- looking ----------------------------------------------------------------------------------


def _page(_: Sandbox, __: Request) -> Response:
    page = resources.files("connectors.sandbox").joinpath("control.html").read_bytes()
    return Response(200, page, {"Content-Type": "text/html; charset=utf-8"})


def _to_page(_: Sandbox, __: Request) -> Response:
    return Response(302, b"", {"Location": "/_control/"})


def _state(sandbox: Sandbox, _: Request) -> Response:
    faults, subscriptions = sandbox.faults.all(), sandbox.webhooks.subscriptions()
    systems = {}
    for system in sandbox.vendors:
        fault = faults.get(system)
        systems[system] = {
            "collections": {c.name: _collection(sandbox, c.name, system)
                            for c in sandbox.store.collections(system)},
            "fault": fault.to_json() if fault else None,
            "subscription": subscriptions.get(system),
        }  # fmt: skip
    return Response(
        200,
        {
            "products": sandbox.world.n_products,
            "variants": sandbox.world.variant_count(),
            "seed": sandbox.world.seed,
            "systems": systems,
            "fault_kinds": {"wire": WIRE_KINDS, "data": DATA_KINDS},
            "pending_deliveries": sandbox.webhooks.pending(),
        },
    )


def _collection(sandbox: Sandbox, name: str, system: str) -> dict[str, Any]:
    store = sandbox.store
    collection = next(c for c in store.collections(system) if c.name == name)
    return {
        "count": store.count(system, name),
        "changed": store.changed_count(system, name),
        "keys": [collection.key(i) for i in range(min(_SAMPLE_KEYS, collection.size))],
    }


def _requests(sandbox: Sandbox, request: Request) -> Response:
    system, limit = request.query.get("system"), int(request.query.get("limit", 200))
    wanted = [r for r in list(sandbox.requests) if system is None or r["system"] == system]
    return Response(200, {"requests": wanted[::-1][:limit]})


def _deliveries(sandbox: Sandbox, request: Request) -> Response:
    system, limit = request.query.get("system"), int(request.query.get("limit", 200))
    log = [d.to_json() for d in list(sandbox.webhooks.log) if system in {None, d.system}]
    return Response(200, {"deliveries": log[::-1][:limit]})


def _hold(sandbox: Sandbox, request: Request) -> Response:
    """`{}`: keep what is to be delivered from now on until it is released."""
    sandbox.webhooks.hold(_system(sandbox, request))
    return Response(200, {"held": True})


def _release(sandbox: Sandbox, request: Request) -> Response:
    """`{"order": "newest_first", "times": 2}`: deliver what was held, and hold no longer."""
    given = request.json()
    if not isinstance(given, dict) or given.keys() - {"order", "times"}:
        raise BadEdit('send {"order": "newest_first", "times": 2}')
    sent = sandbox.webhooks.release(_system(sandbox, request), **given)
    return Response(200, {"deliveries": sent})


# --- records ----------------------------------------------------------------------------------


def _show(sandbox: Sandbox, request: Request) -> Response:
    name, key = request.match["collection"], request.match["key"]
    doc = sandbox.store.get(_system(sandbox, request), name, key)
    if doc is None:
        raise KeyError(key)
    return Response(200, doc)


def _patch(sandbox: Sandbox, request: Request) -> Response:
    patch = request.json()
    if not isinstance(patch, dict):
        raise BadEdit("send a JSON object: a merge patch (RFC 7396)")
    name, key = request.match["collection"], request.match["key"]
    system = _system(sandbox, request)
    doc = sandbox.store.patch(system, name, key, patch)
    if doc is not None:
        return Response(200, doc)
    return Response(201, sandbox.store.put(system, name, key, patch))


def _delete(sandbox: Sandbox, request: Request) -> Response:
    name, key = request.match["collection"], request.match["key"]
    if not sandbox.store.delete(_system(sandbox, request), name, key):
        raise KeyError(key)
    return Response(204)


def _edit(edit: Callable[[Any, Any, Any], dict[str, Any]]) -> Answer:
    def answer(sandbox: Sandbox, request: Request) -> Response:
        return Response(200, edit(sandbox.store, sandbox.world, request.json()))

    return answer


def _reset(sandbox: Sandbox, _: Request) -> Response:
    sandbox.reset()
    return Response(200, {"reset": True})


def _references(sandbox: Sandbox, request: Request) -> Response:
    """How many records each reference of a caller's made, by collection. `?reference=` asks for one,
    `?many` for those that made more than one.
    """
    made = sandbox.store.references(_system(sandbox, request))
    wanted, many = request.query.get("reference"), "many" in request.query
    found = {
        name: {
            reference: count
            for reference, count in counts.items()
            if wanted in (None, reference) and (count > 1 or not many)
        }
        for name, counts in made.items()
    }
    return Response(200, {"references": {name: c for name, c in found.items() if c}})


# --- latency, faults and subscriptions -----------------------------------------------------------------


def _latency(sandbox: Sandbox, _: Request) -> Response:
    return Response(200, {s: seconds * 1000 for s, seconds in sandbox.latency.items()})


def _set_latency(sandbox: Sandbox, request: Request) -> Response:
    """`{"milliseconds": 20}`: what every answer of the system takes at least; 0: no longer."""
    system, given = _system(sandbox, request), request.json()
    value = given.get("milliseconds") if isinstance(given, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 60_000:
        raise BadEdit('send {"milliseconds": 20}, a number from 0 to 60000')
    sandbox.latency[system] = value / 1000
    return Response(200, {"milliseconds": value})


def _faults(sandbox: Sandbox, _: Request) -> Response:
    return Response(200, {s: f.to_json() for s, f in sandbox.faults.all().items()})


def _set_fault(sandbox: Sandbox, request: Request) -> Response:
    system, fault = _system(sandbox, request), Fault.parse(request.json())
    sandbox.faults.set(system, fault)
    return Response(200, fault.to_json())


def _clear_fault(sandbox: Sandbox, request: Request) -> Response:
    sandbox.faults.clear(_system(sandbox, request))
    return Response(204)


def _clear_faults(sandbox: Sandbox, _: Request) -> Response:
    sandbox.faults.clear()
    return Response(204)


def _subscriptions(sandbox: Sandbox, _: Request) -> Response:
    return Response(200, sandbox.webhooks.subscriptions())


def _subscribe(sandbox: Sandbox, request: Request) -> Response:
    given = request.json()
    url = given.get("url") if isinstance(given, dict) else None
    if not isinstance(url, str):
        raise BadEdit('send {"url": "http://…"}')
    sandbox.webhooks.subscribe(_system(sandbox, request), url)
    return Response(200, {"url": url})


def _unsubscribe(sandbox: Sandbox, request: Request) -> Response:
    sandbox.webhooks.subscribe(_system(sandbox, request), None)
    return Response(204)


_RECORD = r"/_control/(?P<system>[a-z]+)/(?P<collection>\w+)/(?P<key>.+)"
_TABLE: list[tuple[str, str, Answer]] = [
    ("GET", r"/|/_control", _to_page),
    ("GET", r"/_control/", _page),
    ("GET", r"/_control/state", _state),
    ("GET", r"/_control/requests", _requests),
    ("GET", r"/_control/deliveries", _deliveries),
    ("PUT", r"/_control/deliveries/(?P<system>\w+)", _hold),
    ("POST", r"/_control/deliveries/(?P<system>\w+)", _release),
    ("GET", r"/_control/references/(?P<system>\w+)", _references),
    ("GET", r"/_control/latency", _latency),
    ("PUT", r"/_control/latency/(?P<system>\w+)", _set_latency),
    ("GET", r"/_control/faults", _faults),
    ("DELETE", r"/_control/faults", _clear_faults),
    ("PUT", r"/_control/faults/(?P<system>\w+)", _set_fault),
    ("DELETE", r"/_control/faults/(?P<system>\w+)", _clear_fault),
    ("GET", r"/_control/subscriptions", _subscriptions),
    ("PUT", r"/_control/subscriptions/(?P<system>\w+)", _subscribe),
    ("DELETE", r"/_control/subscriptions/(?P<system>\w+)", _unsubscribe),
    ("POST", r"/_control/price", _edit(edits.price)),
    ("POST", r"/_control/stock", _edit(edits.stock)),
    ("POST", r"/_control/text", _edit(edits.product_text)),
    ("POST", r"/_control/touch", _edit(edits.touch)),
    ("POST", r"/_control/payouts", _edit(edits.payouts)),
    ("POST", r"/_control/reset", _reset),
    ("GET", _RECORD, _show),
    ("POST", _RECORD, _patch),
    ("DELETE", _RECORD, _delete),
]
