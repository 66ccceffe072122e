"""One sandbox for a whole test module, healed after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.sandbox.server import SandboxServer
from tests.sandboxes import running


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxServer]:
    with running(700) as server:  # 1,399 variants: SAP needs two pages
        yield server


@pytest.fixture
def sandbox(shared: SandboxServer) -> Iterator[SandboxServer]:
    yield shared
    shared.sandbox.reset()
    for system in shared.sandbox.webhooks.subscriptions():
        shared.sandbox.webhooks.subscribe(system, None)
