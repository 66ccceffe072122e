"""One port for all simulated systems: find the system by its path, let a fault strike, answer.

Keep-alive HTTP/1.1 on the standard library; one write for each response and no Nagle delay, because
a page must leave in one piece.
"""

from __future__ import annotations

import importlib
import socket
import time
import traceback
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

import orjson

from connectors.sandbox.faults import ACTIVE, Active, Fault, FaultBoard
from connectors.sandbox.store import Store
from connectors.sandbox.webhooks import Emitter
from connectors.sandbox.wire import Headers, Request, Response, Route, Vendor
from connectors.sandbox.world import World

__all__ = ["Headers", "Request", "Response", "Route", "Sandbox", "SandboxServer", "Vendor"]

# system: (module, start of its paths, paths that give out tokens and so are never "unauthorized")
VENDORS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "sap": ("connectors.sandbox.sap", "/sap/", ()),
    "akeneo": ("connectors.sandbox.akeneo", "/api/", ("/api/oauth/v1/token",)),
    "salesforce": ("connectors.sandbox.salesforce", "/services/", ("/services/oauth2/token",)),
    "stripe": ("connectors.sandbox.stripe", "/v1/", ()),
    "wms": ("connectors.sandbox.wms", "/wms/", ()),
}
MAX_BODY = 16 * 1024 * 1024
LONGEST_LINE = 64 * 1024
_STATUS_TEXT = {
    100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
    302: "Found", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    412: "Precondition Failed", 413: "Content Too Large", 422: "Unprocessable Content",
    428: "Precondition Required", 429: "Too Many Requests", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip
#: Faults that leave the giving out of tokens alone, which is no write.
_SPARE_TOKENS = frozenset({"unauthorized", "answer_lost", "slow_writes"})
_GARBAGE = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head>"
    "<body><h1>Single sign-on</h1><p>Your session has ended.</p></body></html>"
)


class Hangup(Exception):  # not an error: the fault asked for it
    """Close the connection; ``sent`` goes out first."""

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__()
        self.sent = sent


class Sandbox:
    """Everything behind the port: the world, the store, the vendors, faults, webhooks, the log."""

    def __init__(self, products: int = 2000, seed: int = 1, state_dir: Path | None = None) -> None:
        # imported here: the control API speaks about the sandbox as a whole
        from connectors.sandbox import control  # noqa: PLC0415

        self.world = World(products, seed)
        self.store = Store(state_dir, label=f"{products} products, seed {seed}")
        self.faults = FaultBoard()
        #: Seconds that every answer of a system takes at least.
        self.latency: dict[str, float] = {}
        self.requests: deque[dict[str, Any]] = deque(maxlen=1000)
        self.vendors: dict[str, Vendor] = {}
        for system, (module, _, _) in VENDORS.items():
            vendor = cast("Vendor", importlib.import_module(module))
            self.vendors[system] = vendor
            vendor.register(self.store, self.world)
        self.store.replay()
        hooks = {s: v.WEBHOOK for s, v in self.vendors.items() if hasattr(v, "WEBHOOK")}
        self.webhooks = Emitter(hooks, state_dir / "subscriptions.json" if state_dir else None)
        self.store.listeners.append(self.webhooks.notice)
        self._control = control.routes(self)

    def close(self) -> None:
        self.webhooks.close()

    def reset(self) -> None:
        """The first day again: no changes, no faults, no tokens; subscriptions stay."""
        self.store.reset()
        self.faults.clear()
        self.latency.clear()

    # --- answering ----------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        """Raises ``Hangup`` when a fault closes the connection."""
        if request.path.startswith("/_control") or request.path == "/":
            return self._control_answer(request)
        system = next((s for s, (_, at, _) in VENDORS.items() if request.path.startswith(at)), "")
        vendor = self.vendors.get(system)
        if vendor is None:
            return Response(404, {"error": f"no simulated system answers {request.path}"})
        fault = self.faults.strike(system, request.method)
        if fault and fault.kind in _SPARE_TOKENS and request.path in VENDORS[system][2]:
            fault = None
        started, status, size = time.perf_counter(), 0, 0
        token = ACTIVE.set(Active(self.faults, request.path, fault))
        try:
            response = self._vendor_answer(vendor, request, fault)
            status, size = response.status, len(response.encoded())
            if early := self.latency.get(system, 0) - (time.perf_counter() - started):
                time.sleep(max(0, early))
            return response
        except Hangup as hangup:
            status, size = (200, len(hangup.sent)) if hangup.sent else (0, 0)
            raise
        finally:
            ACTIVE.reset(token)
            self._log(system, request, fault, (status, size, time.perf_counter() - started))

    def _control_answer(self, request: Request) -> Response:
        found = _dispatch(self._control, request)
        return found or Response(404, {"error": f"the control API has no {request.path}"})

    def _vendor_answer(self, vendor: Vendor, request: Request, fault: Fault | None) -> Response:
        if fault is not None:
            early = self._struck_early(vendor, request, fault)
            if early is not None:
                return early
        try:
            response = _dispatch(vendor.ROUTES, request)
        except orjson.JSONDecodeError as error:
            response = _error(vendor, request, 400, f"the body is not JSON: {error}")
        if response is None:
            response = _error(vendor, request, 404, f"no resource at {request.path}")
        return response if fault is None else _struck_late(response, fault)

    def _struck_early(self, vendor: Vendor, request: Request, fault: Fault) -> Response | None:
        """The answer of a fault that keeps the request from being worked on."""
        match fault.kind:
            case "down":
                raise Hangup
            case "slow" | "slow_writes":
                time.sleep(fault.seconds)
            case "garbage":
                return Response(200, _GARBAGE, {"Content-Type": "text/html; charset=utf-8"})
            case "rate_limited":
                limited = _error(vendor, request, 429, "Too many requests")
                limited.headers["Retry-After"] = str(fault.retry_after)
                return limited
            case "server_error":
                return _error(vendor, request, fault.status, "The system is not available")
            case "unauthorized":
                if hasattr(vendor, "REVOKE"):
                    vendor.REVOKE(self.store)
                return _error(vendor, request, 401, "The access token is invalid or has expired")
        return None

    def _log(
        self, system: str, request: Request, fault: Fault | None, end: tuple[int, int, float]
    ) -> None:
        status, size, seconds = end
        self.requests.append(
            {
                "at_ms": time.time_ns() // 1_000_000,
                "system": system,
                "method": request.method,
                "path": request.path,
                "query": unquote(request.query_string),
                "status": status,  # 0: the connection was closed
                "bytes": size,
                "ms": round(seconds * 1000, 1),
                "fault": fault.kind if fault else None,
                "correlation_id": request.headers.get("X-Correlation-ID"),
                "user_agent": request.headers.get("User-Agent"),
            }
        )


def _dispatch(routes: list[Route], request: Request) -> Response | None:
    """The first route whose method and pattern match; 405 when only the method does not."""
    allowed: list[str] = []
    for method, pattern, handler in routes:
        match = pattern.fullmatch(request.path)
        if match is None:
            continue
        if method == request.method or (method == "GET" and request.method == "HEAD"):
            request.match = match
            return handler(request)
        allowed.append(method)
    if not allowed:
        return None
    return Response(405, {"error": "method not allowed"}, {"Allow": ", ".join(allowed)})


def _error(vendor: Vendor, request: Request, status: int, message: str) -> Response:
    error: Callable[[Request, int, str], Response] | None = getattr(vendor, "ERROR", None)
    return error(request, status, message) if error else Response(status, {"error": message})


def _struck_late(response: Response, fault: Fault) -> Response:
    """A fault that spoils a finished answer."""
    if fault.kind == "truncated":
        body = response.encoded()
        raise Hangup(_head(response, len(body), close=False) + body[: len(body) // 2])
    if fault.kind == "answer_lost":
        if not fault.seconds:
            raise Hangup
        time.sleep(fault.seconds)
    if fault.kind == "oversized":
        response.body = response.encoded() + b" " * (fault.megabytes * 1024 * 1024)
    return response


def _head(response: Response, length: int, *, close: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_STATUS_TEXT.get(response.status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += [f"Content-Length: {length}", *(["Connection: close"] if close else []), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


class SandboxServer(ThreadingHTTPServer):
    """Serve ``sandbox`` on loopback; port 0 takes a free one (``server_port`` says which)."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox, port: int = 0, host: str = "127.0.0.1") -> None:
        self.sandbox = sandbox
        super().__init__((host, port), _Connection)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def server_close(self) -> None:
        super().server_close()
        self.sandbox.close()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SandboxServer
    raw_requestline: bytes

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def parse_request(self) -> bool:
        """The base class's, for requests as HTTP clients write them: its parser is one for e-mails."""
        self.command, self.requestline = "", str(self.raw_requestline, "latin-1").rstrip()
        words = self.requestline.split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            self.close_connection = True
            self._send(Response(400, {"error": "this is no request of HTTP/1.1"}))
            return False
        pairs: list[tuple[str, str]] = []
        while (line := self.rfile.readline(LONGEST_LINE)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            pairs.append((name, value.strip()))
        self.command, self.path, self.request_version = words
        headers = Headers(pairs)
        self.headers = cast("Any", headers)
        said = headers.get("Connection", "").lower()
        self.close_connection = said == "close" or (words[2] == "HTTP/1.0" and said != "keep-alive")
        if headers.get("Expect", "").lower() == "100-continue":
            return self.handle_expect_100()
        return True

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY or "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            self.close_connection = True
            self._send(Response(413, {"error": "send a Content-Length of at most 16 MB"}))
            return
        try:
            self._send(self.server.sandbox.answer(self._request(self.rfile.read(length))))
        except Hangup as hangup:
            self.close_connection = True
            self.wfile.write(hangup.sent)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception:  # noqa: BLE001 - one bad request must not take the connection along
            traceback.print_exc()
            self._send(Response(500, {"error": "the sandbox failed; its output says where"}))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_MERGE = _serve

    def _request(self, body: bytes) -> Request:
        path, _, query = self.path.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True) if query else []
        headers = cast("Headers", self.headers)
        sandbox = self.server.sandbox
        return Request(
            method=self.command,
            path=unquote(path),
            query=dict(pairs),
            query_list=pairs,
            query_string=query,
            headers=headers,
            body=body,
            match=cast("Any", None),
            store=sandbox.store,
            world=sandbox.world,
            faults=sandbox.faults,
            base_url=f"http://{headers.get('Host', f'127.0.0.1:{self.server.server_port}')}",
        )

    def _send(self, response: Response) -> None:
        body = response.encoded()
        head = _head(response, len(body), close=self.close_connection)
        self.wfile.write(head if self.command == "HEAD" else head + body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The request log of the control page takes the place of lines on stderr."""
