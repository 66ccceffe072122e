"""Writes hold what the OpenAPI document promises, whatever is sent (schemathesis)."""

from __future__ import annotations

import pytest

from hub.auth.keys import issue_key
from hub.reads import pool
from tests import catalogue
from tests.acceptance.test_rest_contract import OPERATIONS, READS, ask_all_ways
from tests.desk import sitting

# Each request that is well-formed is carried out, which commits.
pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = 60


@pytest.mark.parametrize("label", [label for label in OPERATIONS if label not in READS])
def test_no_write_breaks_the_description(label: str) -> None:
    catalogue.fill(1)
    sitting()
    try:
        ask_all_ways(label, {"X-API-Key": issue_key("schemathesis")}, EXAMPLES)
    finally:
        pool.release()
