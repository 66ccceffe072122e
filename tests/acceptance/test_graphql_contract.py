"""Random valid documents over the whole schema: answered or refused with a code, never broken."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from hub.auth.keys import issue_key
from tests import catalogue

EXAMPLES = 60
SCALARS = {
    "DateTime": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "soon"]).map(
        nodes.String
    ),
    "Decimal": st.sampled_from(["1.5", "many"]).map(nodes.String),
    "JSON": st.just(nodes.Null),
}


@pytest.mark.django_db
def test_no_valid_document_breaks_the_server(client: Client) -> None:
    catalogue.fill(3)
    headers = {"X-API-Key": issue_key("hypothesis")}
    sdl = client.get("/graphql/schema").content.decode()

    @given(queries(sdl, custom_scalars=SCALARS))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(document: str) -> None:
        answer: Any = client.post(
            "/graphql", {"query": document}, content_type="application/json", headers=headers
        )
        assert answer.status_code < 500, (document, answer.content)
        body = answer.json()
        assert "data" in body or body["errors"]
        codes = [error["extensions"]["code"] for error in body.get("errors", ())]
        assert "internal" not in codes

    ask()
