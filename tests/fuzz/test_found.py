"""What was found beside the targets: what is kept between requests, and a header."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from cds_service.record.codes import CodeBook
from cds_service.record.dates import parse_when
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from tests.fuzz.api import SERVICE_ID, service

MEGABYTE = 2**20
TABLES = load_tables()
UNITS, CODES = UnitBook(TABLES), CodeBook(TABLES)


@pytest.mark.parametrize(
    "look_up",
    [
        lambda text: parse_when(text, UTC),
        lambda text: UNITS.read("hemoglobin", "", Decimal(1), text, None, None),
        lambda text: UNITS.read("hemoglobin", "", Decimal(1), None, text, text),
        lambda text: CODES.match("http://loinc.org", text),
        lambda text: CODES.match_all([("http://loinc.org", text), (text, "718-7")]),
    ],
    ids=["date", "unit", "unit code", "code", "codes"],
)
def test_long_texts_are_not_remembered(look_up: Callable[[str], object]) -> None:
    """Dates, units and codes are looked up once; a sender cannot fill the memory with them."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20):
            look_up(f"{number}{'x' * MEGABYTE}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 2 * MEGABYTE


@pytest.mark.parametrize("length", ["9" * 5000, "0" * 5000 + "9" * 20, "20971521"])
async def test_a_length_of_thousands_of_digits(tmp_path: Path, length: str) -> None:
    """Too large, like any other: not a number that cannot be read, and no fault."""
    app = service(tmp_path)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://service"
        ) as client,
    ):
        headers = {"content-type": "application/json", "content-length": length}
        response = await client.post(f"/cds-services/{SERVICE_ID}", content=b"{}", headers=headers)

    assert 413 == response.status_code
