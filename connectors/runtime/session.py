"""The one door out: every call to an upstream goes through a `HubSession`.

It is a `requests.Session`, so that a vendor's SDK takes it too. It holds to the connection's
host, leaves an upstream that is down alone (`breaker`), paces calls, carries the correlation id,
repeats what may be repeated, renews credentials once, bounds the size of what comes back, and turns
every failure into the documented errors.
"""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import structlog
from requests import Response
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import exceptions as transport

from connectors.runtime import clocks
from connectors.runtime.answers import decode
from connectors.runtime.auth import BasicAuth, BearerAuth, TokenAuth, TokenRequest
from connectors.runtime.breaker import Breaker
from connectors.runtime.noting import Noted, path_below
from connectors.runtime.pacing import Pacer, pacer_of
from connectors.runtime.retry_after import retry_after
from connectors.runtime.verdicts import BodyTooLargeError
from observability.context import correlation, current_id, outgoing_headers
from observability.errors import (
    AuthExpiredError,
    CircuitOpenError,
    GarbledError,
    PermanentError,
    RateLimitedError,
    RetryableError,
    UpstreamError,
)

__all__ = [
    "AuthBase",
    "BasicAuth",
    "BearerAuth",
    "HubSession",
    "Response",
    "TokenAuth",
    "TokenRequest",
    "decode",
    "retry_after",
]

log = structlog.get_logger(__name__)
#: Methods that RFC 9110 (9.2.2) calls idempotent: repeating one changes nothing more.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
#: A longer wait than this belongs to the queue of runs, not to a sleeping worker.
LONGEST_WAIT = 5.0
#: What is tried at all is given so long, in seconds.
SHORTEST = 0.05
CHUNK = 256 * 1024
MEBIBYTE = 1024 * 1024
#: To be met again by a repetition at once.
FINAL = (AuthExpiredError, PermanentError, BodyTooLargeError)


class HubSession(requests.Session):
    """A session bound to one connection. Timeouts are (connect, read) in seconds."""

    def __init__(
        self,
        connection: str,
        base_url: str,
        *,
        auth: AuthBase | None = None,
        requests_per_second: float | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        max_body_bytes: int = 32 * MEBIBYTE,
        retries: int = 3,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__()
        self.connection = connection
        self.base_url = base_url.rstrip("/") + "/"
        self.auth = auth
        self.trust_env = False  # no proxy or .netrc of the machine's between us and the upstream
        self.max_redirects = 3
        self._timeout, self._limit, self._retries = timeout, max_body_bytes, retries
        self._breaker = breaker
        self._pacer = pacer_of(connection, requests_per_second)
        self._own_pacer: Pacer | None = None
        self._until: float | None = None
        adapter = HTTPAdapter(pool_maxsize=8)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    # --- addresses --------------------------------------------------------------------------

    def address(self, url: str) -> str:
        """An absolute URL on the connection's host. Raises PermanentError for another host."""
        full = urljoin(self.base_url, url.lstrip("/") if not urlsplit(url).scheme else url)
        if urlsplit(full)[:2] != urlsplit(self.base_url)[:2]:
            raise PermanentError(
                f"refused to leave the connection's host for {urlsplit(full).netloc.rpartition('@')[2]!r}",
                connection=self.connection,
                correlation_id=current_id(),
            )
        return full

    def relative(self, url: str) -> str:
        """Path and query of a link that an upstream gave, to be asked of the connection's host."""
        parts, prefix = urlsplit(url), urlsplit(self.base_url).path
        path = parts.path.removeprefix(prefix) if len(prefix) > 1 else parts.path
        return path.lstrip("/") + (f"?{parts.query}" if parts.query else "")

    def slow_down(self, requests_per_second: float) -> None:
        """Ask no faster than this in this session, beside the connection's own limit."""
        self._own_pacer = Pacer(f"{self.connection}:slow", requests_per_second)

    def hurry(self, until: float | None) -> None:
        """Somebody waits: no call lasts beyond this (time.monotonic seconds), or is repeated then."""
        self._until = until

    # --- calls ------------------------------------------------------------------------------

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> Response:
        """One call with retries. Raises UpstreamError when no answer could be had; at once
        CircuitOpenError while the upstream is known to be down.

        An answer with an error status is returned, except 401 after a renewal, 429 and 5xx.
        """
        # What has no id yet gets one for this request alone, and not for all that its thread does.
        with correlation(current_id()):
            return self._repeated(method, url, *args, **options)

    def _repeated(self, method: Any, url: Any, *args: Any, **options: Any) -> Response:
        url = self.address(str(url))
        # None means "for ever" to requests, and "no wish" to its callers.
        wished = options.get("timeout") or self._timeout
        # Forced: `Session.get` asks for redirects, and they may lead to any host.
        options["allow_redirects"] = False
        options["stream"] = True
        headers = dict(options.get("headers") or {})
        verb, renewed, attempt = str(method).upper(), False, 0
        met: UpstreamError | None = None
        while True:
            attempt += 1
            self._depart(verb, url)
            options["timeout"] = self._in_time(wished)
            answers: list[Response] = []
            try:
                with self._breaker.call() if self._breaker else nullcontext():
                    return self._exchange(verb, url, args, {**options, "headers": headers}, answers)
            except CircuitOpenError as error:
                log.warning("outgoing call failed", attempt=attempt, **error.details())
                # Opened by this very request's failures: those are what its work has met.
                raise met or error  # noqa: B904 (the error itself keeps its cause)
            except UpstreamError as error:
                met = problem = error
            # Refused by the upstream itself, and not while a token was fetched on the way.
            refused = answers and isinstance(problem, AuthExpiredError)
            if refused and not renewed and "auth" not in options and self._renew():
                renewed = True
                attempt -= 1
                continue
            log.warning("outgoing call failed", attempt=attempt, **problem.details())
            wait = self._pause(problem, attempt)
            if verb not in REPEATABLE or attempt > self._retries or wait is None:
                raise problem
            if self._until is not None and time.monotonic() + wait >= self._until:
                raise problem
            time.sleep(wait)

    def _exchange(
        self,
        verb: str,
        url: str,
        args: tuple[Any, ...],
        options: dict[str, Any],
        answers: list[Response],
    ) -> Response:
        """One call. `answers` takes what came, also where it is an error, which is raised."""
        with Noted(self.connection, self.base_url, verb, url) as noted:
            options["headers"] = {**outgoing_headers(), **options["headers"]}
            try:
                noted.response = response = super().request(verb, url, *args, **options)
                self._read(response)
            except requests.RequestException as error:
                raise RetryableError(
                    f"{verb} {self._path(url)}: {_why(error)}", **self._place()
                ) from error
            clocks.note(self.connection, response.headers.get("Date"))
            answers.append(response)
            problem = self._problem(response)
            if problem is not None:
                raise problem
        return response

    def _in_time(self, wished: Any) -> Any:
        """The time-outs, shortened to what is left."""
        if self._until is None:
            return wished
        left = max(self._until - time.monotonic(), SHORTEST)
        if isinstance(wished, tuple):
            return tuple(left if part is None else min(part, left) for part in wished)
        return min(wished, left)

    def get_bytes(self, url: str, **options: Any) -> bytes:
        """The body of a successful GET. Raises UpstreamError for any other status."""
        return self.checked(self.get(url, **options)).content

    def checked(self, response: Response) -> Response:
        """The response, if it is a success. Raises PermanentError otherwise, with what came."""
        if response.ok and response.status_code < 300:
            return response
        raise PermanentError(
            f"{response.request.method} {self._path(response.url)} was refused",
            status=response.status_code,
            excerpt=response.content,
            **self._place(),
        )

    def _depart(self, verb: str, url: str) -> None:
        """Wait for this call's turn. Raises RateLimitedError where that would be long."""
        if self._own_pacer is not None:
            self._own_pacer.wait()
        left = self._pacer.wait(LONGEST_WAIT)
        if left:
            raise RateLimitedError(
                f"{verb} {self._path(url)}: the upstream asked to be left alone",
                retry_after=left,
                **self._place(),
            )

    # --- what came --------------------------------------------------------------------------

    def _read(self, response: Response) -> None:
        """Read the (decoded) body up to the limit, so that no answer can exhaust the memory."""
        body = bytearray()
        declared = response.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > self._limit:
            response.close()
            raise self._too_large(response, int(declared))
        try:
            # Piece by piece as they come, so that what came before a break can be shown.
            while piece := response.raw.read1(CHUNK, decode_content=True):
                body += piece
                if len(body) > self._limit:
                    response.close()
                    raise self._too_large(response, len(body))
                if self._until is not None and time.monotonic() > self._until:
                    response.close()
                    raise requests.ReadTimeout("its answer comes too slowly")
        except (transport.ProtocolError, transport.DecodeError) as e:
            response.close()
            raise GarbledError(
                f"the answer of {self._path(response.url)} was cut short: {_why(e)}",
                status=response.status_code,
                excerpt=bytes(body),
                **self._place(),
            ) from e
        except transport.HTTPError as e:
            response.close()
            raise requests.ConnectionError(e) from e
        response._content = bytes(body)
        response._content_consumed = True  # type: ignore[attr-defined]

    def _too_large(self, response: Response, size: int) -> GarbledError:
        return BodyTooLargeError(
            f"the answer of {self._path(response.url)} has {size / MEBIBYTE:.1f} MiB or more;"
            f" the connection's limit (max_body_bytes) is {self._limit / MEBIBYTE:.1f} MiB."
            " Ask for smaller pages, or raise the limit",
            status=response.status_code,
            **self._place(),
        )

    def _problem(self, response: Response) -> UpstreamError | None:
        status, place = response.status_code, self._place()
        what = f"{response.request.method} {self._path(response.url)}"
        given: dict[str, Any] = {"status": status, "excerpt": response.content, **place}
        if status == 401:
            return AuthExpiredError(f"{what}: the credentials were not accepted", **given)
        if status == 429:
            wait = retry_after(response.headers)
            return RateLimitedError(f"{what}: too many requests", retry_after=wait, **given)
        if status >= 500:
            wait = retry_after(response.headers)
            return RetryableError(f"{what}: the upstream failed", retry_after=wait, **given)
        if 300 <= status < 400 and status != 304:
            # Without its query, which may hold a token.
            target = response.headers.get("Location", "").split("?")[0]
            return PermanentError(f"{what}: redirects to {target!r}; not followed", **given)
        return None

    def _renew(self) -> bool:
        renew = getattr(self.auth, "renew", None)
        if renew is None:
            return False
        renew(self)
        return True

    def _pause(self, problem: UpstreamError, attempt: int) -> float | None:
        """Seconds to wait before a repetition; None where there must be none."""
        if isinstance(problem, FINAL):
            return None
        if problem.retry_after is not None:
            if isinstance(problem, RateLimitedError):
                # Whoever else asks this upstream, in any process, has to wait too.
                self._pacer.pause(problem.retry_after)
            return problem.retry_after if problem.retry_after <= LONGEST_WAIT else None
        return random.uniform(0, min(LONGEST_WAIT, 0.2 * 2**attempt))  # noqa: S311 (jitter)

    def _path(self, url: str) -> str:
        """What messages name a call by: neither its query nor the connection's own address."""
        return path_below(self.base_url, url)

    def _place(self) -> dict[str, Any]:
        return {"connection": self.connection, "correlation_id": current_id()}


def _why(error: BaseException) -> str:
    """The innermost cause: urllib3 wraps it three times and repeats the URL with its query."""
    cause: Any = error
    while isinstance(
        inner := getattr(cause, "reason", None) or next(iter(cause.args), None), Exception
    ):
        cause = inner
    return f"{type(cause).__name__}: {str(cause)[:300]}"
