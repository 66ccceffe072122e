"""Who holds a post, and whether he lives."""

from __future__ import annotations

import time

import pytest

from connectors.runtime import posts, wake

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_post_is_vacant_until_it_is_held() -> None:
    assert posts.APPLIER in posts.vacant()
    with posts.held(posts.APPLIER) as mine:
        assert mine
        assert posts.APPLIER not in posts.vacant()
    assert posts.APPLIER in posts.vacant()


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_holder_that_does_nothing_any_more_is_frozen(
    monkeypatch: pytest.MonkeyPatch, *, in_transaction: bool
) -> None:
    short = posts.FROZEN.replace(f"{posts.FROZEN_SECONDS} seconds", "0.2 seconds")
    monkeypatch.setattr(posts, "FROZEN", short)
    with wake.dedicated() as holder:
        holder.autocommit = not in_transaction
        number = posts.POSTS.index(posts.ASKER)
        holder.execute("SELECT pg_advisory_lock(%s, %s)", [posts.CLASS, number])
        assert posts.frozen() == []
        time.sleep(0.3)
        assert posts.frozen() == [posts.ASKER]
        # Any statement shows that it lives.
        holder.execute("SELECT 1")
        assert posts.frozen() == []
