"""The rate limit of a key: exact across processes, said in the answer's fields, never waited for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from hub.auth import quota
from hub.auth.keys import issue_key
from tests import catalogue


@pytest.fixture
def holder() -> str:
    return f"test:{uuid4()}"


@pytest.fixture
def away(settings: Settings) -> Iterator[None]:
    """Nothing answers at Valkey's address."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    quota._redis.cache_clear()
    quota._away_until = 0.0
    yield
    quota._redis.cache_clear()
    quota._away_until = 0.0


def test_threads_of_two_processes_get_no_token_twice(holder: str) -> None:
    # Two buckets of one holder: as two processes have them.
    processes = [quota.Bucket(holder, 100), quota.Bucket(holder, 100)]
    with ThreadPoolExecutor(8) as threads:
        standings = list(threads.map(lambda n: processes[n % 2].take(), range(160)))
    let_through = sum(not s.wait for s in standings)
    # The bucket fills up by two tokens a second while they ask.
    assert 100 <= let_through <= 112


def test_a_lease_is_a_hundredth_and_what_is_left_is_counted_down(holder: str) -> None:
    bucket = quota.Bucket(holder, 1000)
    lefts = [bucket.take().left for _ in range(30)]
    assert lefts[0] in (998, 999)
    assert all(before > after for before, after in pairwise(lefts))
    other = quota.Bucket(holder, 1000).take().left
    assert other < 1000 - 30


def test_the_fields_have_the_drafts_form(holder: str) -> None:
    bucket = quota.Bucket(holder, 2)
    first, _, refused = bucket.take(), bucket.take(), bucket.take()
    told = dict(first.headers())
    assert re.fullmatch(r'"key";r=1;t=30', told["RateLimit"])
    assert told["RateLimit-Policy"] == '"key";q=2;w=60'
    assert "Retry-After" not in told
    told = dict(refused.headers())
    assert told["RateLimit"].startswith('"key";r=0;t=')
    assert 1 <= int(told["Retry-After"]) <= 30


def test_without_valkey_a_process_limits_by_itself(holder: str, away: None) -> None:
    del away
    bucket = quota.Bucket(holder, 20)
    let_through = sum(not bucket.take().wait for _ in range(60))
    assert 20 <= let_through <= 22


@pytest.mark.django_db
def test_who_asks_too_often_is_told_when_to_come_back(client: Client) -> None:
    catalogue.fill(1)
    headers = {"X-API-Key": issue_key("shop", requests_per_minute=3)}
    answers = [client.get("/api/v1/products/P-1", headers=headers) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert [a["RateLimit"].split(";")[1] for a in answers] == ["r=2", "r=1", "r=0", "r=0"]
    refused = answers[-1]
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited"
    assert int(refused["Retry-After"]) >= 1
    refused = client.post(
        "/graphql", {"query": "{ __typename }"}, content_type="application/json", headers=headers
    )
    assert refused.status_code == 429
    assert refused.json()["errors"][0]["extensions"]["code"] == "rate_limited"
    assert int(refused["Retry-After"]) >= 1
