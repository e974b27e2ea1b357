"""Used tokens and switches, which all workers share."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from cds_service.store.records import Switch
from cds_service.store.store import Store
from tests.store.entries import NOON, Clock, count, query

SOON = NOON + timedelta(minutes=5)


class TestFirstUse:
    """A token is good for one call."""

    async def test_only_the_first_of_many_at_once(self, store: Store, url: str) -> None:
        """In two stores, as in two workers."""
        other = Store(url, now=Clock())
        await other.start()

        uses = await asyncio.gather(
            *(one.first_use("st-elsewhere", "ZZTOK-1", SOON) for one in (store, other) * 10)
        )
        await other.aclose()

        assert [True] == [use for use in uses if use]

    async def test_many_tokens_in_two_workers_in_opposite_order(
        self, store: Store, url: str
    ) -> None:
        """Nobody waits for each other in a circle."""
        other = Store(url, now=Clock())
        await other.start()
        names = [f"token-{n}" for n in range(100)]

        uses = await asyncio.gather(
            *(store.first_use("a", name, SOON) for name in names),
            *(other.first_use("a", name, SOON) for name in reversed(names)),
        )
        await other.aclose()

        assert 100 == sum(uses)

    async def test_not_again_after_a_restart(self, store: Store, url: str) -> None:
        """What was noted is on the disk."""
        assert await store.first_use("st-elsewhere", "ZZTOK-1", SOON)
        await store.aclose()

        again = Store(url, now=Clock())
        await again.start()
        assert not await again.first_use("st-elsewhere", "ZZTOK-1", SOON)
        await again.aclose()

    async def test_each_issuer_has_its_own(self, store: Store) -> None:
        """And where the name of one ends counts."""
        assert await store.first_use("a", "bc", SOON)
        assert await store.first_use("b", "bc", SOON)
        assert await store.first_use("ab", "c", SOON)

    async def test_the_token_itself_is_not_kept(self, store: Store, url: str) -> None:
        """A hash of its id is."""
        await store.first_use("st-elsewhere", "ZZTOK-1", SOON)

        assert "ZZTOK" not in str(query(url, "SELECT * FROM used_tokens"))

    async def test_forgotten_long_after_it_expired(
        self, store: Store, url: str, clock: Clock
    ) -> None:
        """By a later use, in another process perhaps; not before."""
        await store.first_use("a", "old", SOON)
        await store.first_use("a", "young", NOON + timedelta(hours=2))
        clock.forward(hours=1, minutes=6)

        later = Store(url, now=clock)
        await later.start()
        await later.first_use("a", "new", NOON + timedelta(hours=2))
        await later.aclose()

        assert 2 == count(url, "used_tokens")


class TestSwitches:
    """A trial or an issuer is off for all, within a second."""

    async def test_off_and_on(self, store: Store, url: str) -> None:
        """Both are in the audit, with who and why."""
        assert frozenset() == await store.switched_off()

        await store.switch("trial:net-retreat", off=True, by="ada", reason="amended")
        assert frozenset({"trial:net-retreat"}) == await store.switched_off()

        await store.switch("trial:net-retreat", off=False, by="ada", reason=None)
        assert frozenset() == await store.switched_off()
        records = [
            json.loads(record)
            for (record,) in query(
                url, "SELECT record FROM audit WHERE kind = 'switch' ORDER BY seq"
            )
        ]
        assert [
            {"name": "trial:net-retreat", "off": True, "by": "ada", "reason": "amended"},
            {"name": "trial:net-retreat", "off": False, "by": "ada", "reason": None},
        ] == records

    async def test_another_worker_sees_it_within_a_second(self, store: Store, url: str) -> None:
        """Though it asked just before."""
        other = Store(url, now=Clock())
        await other.start()
        assert frozenset() == await other.switched_off()

        await store.switch("issuer:st-elsewhere", off=True, by="ada", reason=None)
        await asyncio.sleep(1.05)

        assert frozenset({"issuer:st-elsewhere"}) == await other.switched_off()
        await other.aclose()

    async def test_it_lasts_beyond_a_restart(self, store: Store, url: str) -> None:
        """It is not in memory only."""
        await store.switch("trial:net-retreat", off=True, by="ada", reason=None)
        await store.aclose()

        again = Store(url, now=Clock())
        await again.start()
        assert frozenset({"trial:net-retreat"}) == await again.switched_off()
        await again.aclose()

    async def test_what_can_be_switched_is_made_known(self, store: Store) -> None:
        """Which switches nothing, and changes nothing that was switched."""
        await store.switch("trial:net-retreat", off=True, by="ada", reason=None)

        await store.declare({"trial:net-retreat", "issuer:st-elsewhere"})

        noon = "2026-11-24T12:00:00.000000Z"
        assert [
            Switch(name="issuer:st-elsewhere", off=False, changed=noon, by="service"),
            Switch(name="trial:net-retreat", off=True, changed=noon, by="ada"),
        ] == await store.switches()
