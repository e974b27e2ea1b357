"""Places for hooks in work, and what one caller may send."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from cds_service.cdshooks.bulkhead import Bulkhead, Shed


class Clock:
    """A clock that stands still until it is moved."""

    now = 50.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock."""
    return Clock()


async def turned_away(bulkhead: Bulkhead, caller: str) -> tuple[int, int, str]:
    """Status, wait and reason with which a hook is turned away."""
    with pytest.raises(Shed) as caught:
        async with bulkhead.entered(caller):
            pass
    return caught.value.status, caught.value.retry_after_s, caught.value.reason


async def test_one_caller_has_its_share_and_no_more() -> None:
    """The others' places stay free."""
    bulkhead = Bulkhead(total=10, per_caller=2, per_minute=600)
    async with AsyncExitStack() as entered:
        for _ in range(2):
            await entered.enter_async_context(bulkhead.entered("a"))
        assert (503, 1, "caller") == await turned_away(bulkhead, "a")
        async with bulkhead.entered("b"):
            assert 3 == bulkhead.in_work
    assert 0 == bulkhead.in_work
    async with bulkhead.entered("a"):
        pass


async def test_all_callers_together_have_what_there_is() -> None:
    """Whoever comes then is turned away."""
    bulkhead = Bulkhead(total=2, per_caller=2, per_minute=600)
    async with bulkhead.entered("a"), bulkhead.entered("b"):
        assert (503, 1, "service") == await turned_away(bulkhead, "c")


async def test_a_place_is_given_back_whatever_happens() -> None:
    """Also after an error, and after being cancelled."""
    bulkhead = Bulkhead(total=1, per_caller=1, per_minute=600)

    async def hold() -> None:
        async with bulkhead.entered("a"):
            await asyncio.sleep(10)

    with pytest.raises(ZeroDivisionError):
        async with bulkhead.entered("a"):
            raise ZeroDivisionError
    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    assert 1 == bulkhead.in_work
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert 0 == bulkhead.in_work


async def test_so_many_a_minute(clock: Clock) -> None:
    """At once or evenly; then as fast as the allowance fills up; each caller by itself."""
    bulkhead = Bulkhead(total=10, per_caller=10, per_minute=6, clock=clock)
    for _ in range(6):
        async with bulkhead.entered("a"):
            pass
    assert (429, 10, "rate") == await turned_away(bulkhead, "a")
    async with bulkhead.entered("b"):
        pass
    clock.now += 9
    assert (429, 1, "rate") == await turned_away(bulkhead, "a")
    clock.now += 1
    async with bulkhead.entered("a"):
        pass
    assert (429, 10, "rate") == await turned_away(bulkhead, "a")
    clock.now += 3600
    for _ in range(6):
        async with bulkhead.entered("a"):
            pass
    assert (429, 10, "rate") == await turned_away(bulkhead, "a")


async def test_a_hook_that_found_no_place_is_not_counted_against_the_rate(clock: Clock) -> None:
    """It did no work."""
    bulkhead = Bulkhead(total=1, per_caller=1, per_minute=2, clock=clock)
    async with bulkhead.entered("a"):
        for _ in range(5):
            assert "caller" == (await turned_away(bulkhead, "a"))[2]
    async with bulkhead.entered("a"):
        pass
    assert "rate" == (await turned_away(bulkhead, "a"))[2]


async def test_names_are_not_remembered_for_ever(clock: Clock) -> None:
    """Memory does not grow with callers that are gone."""
    bulkhead = Bulkhead(total=1, per_caller=1, per_minute=60, clock=clock)
    for number in range(5_000):
        clock.now += 1
        async with bulkhead.entered(f"caller-{number}"):
            pass
    assert len(bulkhead._allowances) <= 1_001
    assert not bulkhead._in_work
