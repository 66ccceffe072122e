"""How calls become HTTP, and answers become models."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import requests
from pydantic import ValidationError

from headwater_client.errors import HeadwaterError
from headwater_client.wire import Model
from headwater_client.writing import Written

M = TypeVar("M", bound=Model)
TIMEOUT = 30.0
#: A write whose answer is not known is sent again, which does nothing twice: so often, after seconds.
TRIES, PAUSE = 3, 1.0
AGAIN = {"unreachable", "idempotency_key_in_flight"}


class Transport:
    """One connection pool. Not to be shared between threads."""

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        locale: str | None = None,
        market: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._usual = {"locale": locale, "market": market}
        self._timeout = timeout
        self._session = requests.Session()
        if api_key:
            self._session.headers["Authorization"] = f"Bearer {api_key}"

    def query(self, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A GraphQL document's data. Raises HeadwaterError with the first error's code."""
        sent = {"query": document, "variables": dict(variables or {})}
        response = self._reached("POST", f"{self._base}/graphql", json=sent)
        body = self._json(response)
        for error in body.get("errors") or ():
            code = error.get("extensions", {}).get("code", "garbled")
            raise HeadwaterError(
                error["message"], code=code, status=response.status_code,
                correlation_id=response.headers.get("X-Correlation-ID", ""),
            )  # fmt: skip
        if not isinstance(body.get("data"), dict):
            raise _refused(body, response)
        data: dict[str, Any] = body["data"]
        return data

    def _one(self, model: type[M], path: str, given: Mapping[str, Any]) -> M:
        body, response = self._get(path, given)
        found = _read(model, body)
        found._etag = response.headers.get("ETag", "")
        return found

    def _many(self, model: type[M], path: str, given: Mapping[str, Any]) -> list[M]:
        return [_read(model, one) for one in self._get(path, given)[0]]

    def _each(self, model: type[M], path: str, given: Mapping[str, Any]) -> Iterator[Any]:
        """Every record of a list, page after page."""
        cursor = given.get("cursor")
        while True:
            page: Any = self._one(model, path, {**given, "cursor": cursor})
            yield from page.items
            if (cursor := page.next) is None:
                return

    def _write(
        self,
        model: type[M],
        address: str,
        given: Mapping[str, Any],
        body: Model | None,
        headers: Mapping[str, str | None],
    ) -> Written[M]:
        """`POST /payments`, under one key, however often it has to be sent."""
        method, _, path = address.partition(" ")
        told = {name: value for name, value in headers.items() if value is not None}
        told.setdefault("Idempotency-Key", f'"{uuid4()}"')
        for name, value in given.items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        sent = None if body is None else body.model_dump(mode="json", exclude_unset=True)
        for left in reversed(range(TRIES)):
            try:
                response = self._reached(method, f"{self._base}{path}", json=sent, headers=told)
                answer = self._json(response)
                if response.ok:
                    break
                raise _refused(answer, response)
            except HeadwaterError as error:
                if error.code not in AGAIN or not left:
                    raise
                time.sleep(PAUSE)
        done = response.status_code != 202
        return Written(
            command=response.headers["Headwater-Command"],
            result=_read(model, answer) if done else None,
            replayed=response.headers.get("Idempotent-Replayed") == "true",
        )

    def _get(self, path: str, given: Mapping[str, Any]) -> tuple[Any, requests.Response]:
        query: dict[str, str] = {}
        address = path
        for name, value in given.items():
            said = self._usual.get(name) if value is None else value
            if f"{{{name}}}" in path:
                address = address.replace(f"{{{name}}}", quote(str(said), safe=""))
            elif said is not None:
                query[name] = _text(said)
        response = self._reached("GET", f"{self._base}{address}", params=query)
        body = self._json(response)
        if not response.ok:
            raise _refused(body, response)
        return body, response

    def _reached(self, method: str, address: str, **sent: Any) -> requests.Response:
        try:
            return self._session.request(method, address, timeout=self._timeout, **sent)
        except requests.RequestException as error:
            raise HeadwaterError("the hub cannot be reached", code="unreachable") from error

    def _json(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except requests.JSONDecodeError:
            raise _refused(None, response) from None


def etag_of(record: Model) -> str:
    """What a change of a record that was read says it is a change of: `if_match`."""
    return record._etag


def _text(value: Any) -> str:
    """A parameter's value as the hub reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, str | int | float):
        return str(value)
    return ",".join(value)


def _read(model: type[M], body: Any) -> M:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise HeadwaterError(f"{place}: {first['msg']}", code="contract", status=200) from error


def _refused(body: Any, response: requests.Response) -> HeadwaterError:
    if isinstance(body, dict) and {"code", "detail"} <= body.keys():
        return HeadwaterError(
            body["detail"],
            code=body["code"],
            status=response.status_code,
            correlation_id=body.get("correlation_id", ""),
            errors=body.get("errors", ()),
        )
    return HeadwaterError(
        f"the hub answered {response.status_code}", code="garbled", status=response.status_code
    )
