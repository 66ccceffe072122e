"""The API holds what its OpenAPI document promises, whatever is sent (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    positive_data_acceptance,
)

from hub.auth.keys import issue_key
from hub.reads import front
from hub.reads.execute import on_django
from hub.reads.statement import Statement
from hub.wsgi import application
from tests import catalogue

pytestmark = pytest.mark.django_db

#: Requests an operation, well-formed and not.
EXAMPLES = 200
DESCRIBED = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
_FOUND: list[Any] = list(DESCRIBED.get_all_operations())
OPERATIONS = {found.ok().label: found.ok() for found in _FOUND}
READS = [label for label, found in OPERATIONS.items() if found.method.upper() == "GET"]
#: Any text has the form of a cursor; a request without a key is test_rest's.
NOT_CHECKED = [ignored_auth, positive_data_acceptance]


def _in_a_savepoint(statement: Statement, parameters: list[str]) -> Any:
    """A value that PostgreSQL refuses ends a statement, and must not end the test's transaction."""
    with transaction.atomic():
        return on_django(statement, parameters)


@pytest.fixture(scope="module")
def headers(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, str]]:
    """A key, in front of a small shop; one for all operations, since all only read."""
    del django_db_setup
    # What Django's own test client does: the connection with the test's transaction stays open.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    with (
        pytest.MonkeyPatch.context() as patched,
        django_db_blocker.unblock(),
        transaction.atomic(),
    ):
        # Only the connection with the test's transaction sees the shop.
        patched.setattr(front, "on_pool", _in_a_savepoint)
        # So a follower would see no changes, and hold a connection to a database that is to go.
        patched.setattr(django_settings, "HEADWATER_KEEP_ANSWERS", False)
        catalogue.fill(3)
        yield {"Authorization": f"Bearer {issue_key('schemathesis')}"}
        transaction.set_rollback(True)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("label", READS)
def test_no_request_breaks_the_description(label: str, headers: dict[str, str]) -> None:
    ask_all_ways(label, headers, EXAMPLES)


def ask_all_ways(label: str, headers: dict[str, str], examples: int) -> None:
    """Well-formed requests and others, each held against the description."""
    operation: Any = OPERATIONS[label]
    either = st.one_of(
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )

    @given(either)
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=NOT_CHECKED)

    ask()


def test_records_that_exist_are_as_described(headers: dict[str, str]) -> None:
    """Random keys find nothing, so the answers that hold something are checked by themselves."""
    found = {
        "sku": ("products", "P-1"),
        "code": ("categories", "cat_3"),
        "number": ("customers", "10000001"),
    }
    for name, (plural, key) in found.items():
        for address, extra in (
            (f"/api/v1/{plural}/{{{name}}}", {}),
            (f"/api/v1/{plural}/{{{name}}}/history", {}),
            (f"/api/v1/{plural}/{{{name}}}/explain/{{field}}", {"field": "name"}),
        ):
            query = {} if extra or address.endswith("history") else {"include": "provenance"}
            case = DESCRIBED[address]["GET"].Case(path_parameters={name: key, **extra}, query=query)
            answer = case.call_and_validate(headers=headers, excluded_checks=NOT_CHECKED)
            assert answer.status_code == 200
        case = DESCRIBED[f"/api/v1/{plural}"]["GET"].Case(query={"include": "provenance,parts"})
        answer = case.call_and_validate(headers=headers, excluded_checks=NOT_CHECKED)
        assert answer.json()["items"]


def test_the_document_is_made_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", tmp_path / "openapi.yml")
