"""The real trial, charts of the demo, and servers that go wrong."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from cds_service.knowledge import Knowledge, load_knowledge
from tests.faults.fake_fhir import Canary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TODAY = date(2026, 11, 23)


@pytest.fixture(scope="session")
def known() -> Knowledge:
    """Trial, tables and searches as shipped."""
    return load_knowledge(None)


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    """A server that nobody may call; each test that has it proves that nobody did."""
    async with Canary() as listener:
        yield listener
        assert 0 == listener.connections, listener.heard
