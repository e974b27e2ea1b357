"""Feedback: repeats change nothing, the latest counts, and nobody learns of others' cards."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations

import pytest

from cds_service.store.feedback import comment_hash, effective
from cds_service.store.records import FeedbackEntry, Quieted, UnknownCard
from cds_service.store.store import Store
from tests.store.entries import CALLER, KEY, NOON, SERVICE, Clock, count, feedback, hook, query

HOUR = timedelta(hours=1)


async def _send(store: Store, *items: FeedbackEntry) -> None:
    await store.write_feedback(CALLER, SERVICE, items)


def _outcome(url: str) -> str | None:
    [(outcome,)] = query(url, "SELECT outcome FROM cards WHERE card = 'card-1'")
    return outcome


class TestRepeats:
    """The same feedback again."""

    async def test_five_at_once_are_one(self, store: Store, url: str) -> None:
        """One record, which says how often it came."""
        await store.write_hook(hook())
        same = feedback(reason="already-enrolled", comment="seen")

        await asyncio.gather(*(_send(store, same) for _ in range(5)))

        assert 1 == count(url, "audit", "kind = 'feedback'")
        assert [(5,)] == query(url, "SELECT times_received FROM feedback")
        assert 1 == count(url, "comments")

    async def test_at_once_in_two_workers(self, store: Store, url: str) -> None:
        """The same."""
        await store.write_hook(hook())
        other = Store(url, now=Clock())
        await other.start()

        await asyncio.gather(*(_send(one, feedback()) for one in (store, other) * 10))
        await other.aclose()

        assert 1 == count(url, "audit", "kind = 'feedback'")
        assert [(20,)] == query(url, "SELECT times_received FROM feedback")

    async def test_twice_in_one_call(self, store: Store, url: str) -> None:
        """The same."""
        await store.write_hook(hook())

        await _send(store, feedback(), feedback())

        assert [(2,)] == query(url, "SELECT times_received FROM feedback")

    @pytest.mark.parametrize(
        "other",
        [
            {"outcome_timestamp": NOON + timedelta(seconds=1)},
            {"outcome": "accepted"},
            {"reason": "not-interested"},
            {"comment": "another"},
            {"comment": None},
            {"suggestions": ("suggestion-1",)},
        ],
    )
    async def test_what_differs_is_another(
        self, store: Store, url: str, other: dict[str, object]
    ) -> None:
        """In any part."""
        await store.write_hook(hook())
        first = feedback(reason="already-enrolled", comment="one")

        await _send(store, first)
        await _send(store, feedback(**({"reason": "already-enrolled", "comment": "one"} | other)))

        assert 2 == count(url, "audit", "kind = 'feedback'")

    async def test_a_repeat_after_the_comment_was_purged(self, store: Store, url: str) -> None:
        """Brings no comment back."""
        await store.write_hook(hook())
        await _send(store, feedback(comment="ZZPHI-1"))
        await store.purge(NOON + HOUR, by="tester")

        await _send(store, feedback(comment="ZZPHI-1"))

        assert 0 == count(url, "comments")
        assert 1 == count(url, "audit", "kind = 'feedback'")


class TestCurrentOutcome:
    """Which of several counts."""

    @pytest.mark.parametrize("order", tuple(permutations(range(3))))
    async def test_the_latest_by_its_own_time(
        self, store: Store, url: str, order: tuple[int, ...]
    ) -> None:
        """In whatever order they arrive; all are kept."""
        await store.write_hook(hook())
        sent = [
            feedback(outcome="accepted", outcome_timestamp=NOON),
            feedback(outcome="overridden", outcome_timestamp=NOON + 2 * HOUR),
            feedback(outcome="accepted", outcome_timestamp=NOON + HOUR),
        ]

        for index in order:
            await _send(store, sent[index])

        assert "overridden" == _outcome(url)
        assert 3 == count(url, "audit", "kind = 'feedback'")

    async def test_of_the_same_time_the_one_received_later(self, store: Store, url: str) -> None:
        """There is nothing else to go by."""
        await store.write_hook(hook())

        await _send(store, feedback(outcome="overridden"))
        await _send(store, feedback(outcome="accepted"))

        assert "accepted" == _outcome(url)

    async def test_the_same_moment_in_another_zone(self, store: Store, url: str) -> None:
        """Is compared as a moment."""
        await store.write_hook(hook())
        toronto = timezone(-5 * HOUR)

        await _send(store, feedback(outcome_timestamp=NOON + HOUR))
        early = (NOON + timedelta(minutes=30)).astimezone(toronto)
        await _send(store, feedback(outcome="accepted", outcome_timestamp=early))

        assert "overridden" == _outcome(url)

    async def test_a_time_far_ahead_does_not_count_for_ever(
        self, store: Store, url: str, clock: Clock
    ) -> None:
        """The time of receipt does, and what was sent is in the record."""
        await store.write_hook(hook())
        await _send(store, feedback(outcome_timestamp=NOON + timedelta(days=400)))
        clock.forward(hours=1)

        await _send(store, feedback(outcome="accepted", outcome_timestamp=clock.time))

        assert "accepted" == _outcome(url)
        [(record,)] = query(url, "SELECT record FROM audit WHERE seq = 3")
        assert "2027-12-29T12:00:00+00:00" == json.loads(record)["outcomeTimestamp"]
        assert "2026-11-24T12:00:00.000000Z" == json.loads(record)["effectiveAt"]

    @pytest.mark.parametrize(
        ("sent", "counts"),
        [
            (NOON, NOON),
            (NOON - timedelta(days=1), NOON - timedelta(days=1)),
            (NOON - timedelta(days=1, seconds=1), NOON + HOUR),
            (NOON + timedelta(days=1, hours=1), NOON + timedelta(days=1, hours=1)),
            (NOON + timedelta(days=1, hours=1, seconds=1), NOON + HOUR),
            (datetime(1, 1, 1, tzinfo=UTC), NOON + HOUR),
            (datetime(1, 1, 1, tzinfo=timezone(14 * HOUR)), NOON + HOUR),
            (datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-12 * HOUR)), NOON + HOUR),
        ],
    )
    def test_the_time_that_counts(self, sent: datetime, counts: datetime) -> None:
        """That of a card issued at noon and a feedback received at one."""
        assert counts == effective(sent, NOON, NOON + HOUR)

    async def test_a_time_at_the_end_of_the_calendar(self, store: Store, url: str) -> None:
        """Is kept as it came."""
        await store.write_hook(hook())

        await _send(
            store,
            feedback(outcome_timestamp=datetime(1, 1, 1, tzinfo=timezone(14 * HOUR))),
            feedback(outcome_timestamp=datetime(9999, 12, 31, tzinfo=timezone(-12 * HOUR))),
        )

        assert 2 == count(url, "audit", "kind = 'feedback'")


class TestUnknownCard:
    """Feedback on a card that the caller was not shown."""

    @pytest.mark.parametrize(
        ("caller", "service", "card"),
        [
            (CALLER, SERVICE, "card-2"),
            ("general-hospital", SERVICE, "card-1"),
            (CALLER, "another-service", "card-1"),
        ],
    )
    async def test_is_refused_alike(
        self, store: Store, url: str, caller: str, service: str, card: str
    ) -> None:
        """So that nobody learns which cards there are."""
        await store.write_hook(hook())

        with pytest.raises(UnknownCard) as caught:
            await store.write_feedback(caller, service, [feedback(card=card)])

        assert "feedback on a card that this caller was not shown" == str(caught.value)
        assert 2 == count(url, "audit")

    async def test_none_of_its_companions_is_kept(self, store: Store, url: str) -> None:
        """All or none."""
        await store.write_hook(hook())

        with pytest.raises(UnknownCard):
            await _send(store, feedback(), feedback(card="card-2"))

        assert 2 == count(url, "audit")
        assert 0 == count(url, "feedback")
        assert _outcome(url) is None

    async def test_others_at_the_same_time_are(self, store: Store, url: str) -> None:
        """What is committed together does not depend on each other."""
        await store.write_hook(hook())

        await asyncio.gather(
            _send(store, feedback()),
            _send(store, feedback(card="card-2")),
            store.write_hook(hook(card="card-3")),
            return_exceptions=True,
        )

        assert 4 == count(url, "audit")


class TestContent:
    """What of a feedback is kept where."""

    async def test_a_comment_is_kept_in_its_own_place_only(self, store: Store, url: str) -> None:
        """The chain holds a hash, made with a salt that goes when the comment goes."""
        await store.write_hook(hook())
        comment = "ZZPHI-1 '; DROP TABLE audit; -- <script>"

        await _send(store, feedback(comment=comment))

        [(record,)] = query(url, "SELECT record FROM audit WHERE seq = 3")
        assert "ZZPHI" not in record
        [(salt, kept)] = query(url, "SELECT salt, comment FROM comments WHERE seq = 3")
        assert comment == kept
        assert comment_hash(salt, comment) == json.loads(record)["comment"]
        for table in ("cards", "feedback", "audit", "audit_head"):
            assert "ZZPHI" not in str(query(url, f"SELECT * FROM {table}"))  # noqa: S608

    async def test_a_comment_that_no_database_could_hold(self, store: Store, url: str) -> None:
        """Is kept with a mark in the place of what cannot be."""
        await store.write_hook(hook())

        await _send(store, feedback(comment="a\0b\ud800c"))
        await _send(store, feedback(comment="a\0b\ud800c"))

        assert [("a\ufffdb?c",)] == query(url, "SELECT comment FROM comments")

    async def test_suggestions_of_others_are_only_counted(self, store: Store, url: str) -> None:
        """What is no uuid of ours could say anything."""
        await store.write_hook(hook())
        accepted = ("suggestion-2", "ZZPHI-2", "suggestion-1")

        await _send(store, feedback(outcome="accepted", suggestions=accepted))

        [(text,)] = query(url, "SELECT record FROM audit WHERE seq = 3")
        record = json.loads(text)
        assert ["suggestion-1", "suggestion-2"] == record["acceptedSuggestions"]
        assert 1 == record["unknownSuggestions"]
        assert "ZZPHI" not in text


class TestQuiet:
    """Whether a user set a patient's card aside."""

    async def test_nothing_before_any_feedback(self, store: Store) -> None:
        """A card alone quiets nobody."""
        await store.write_hook(hook())

        assert await store.quiet_since(KEY) is None

    async def test_after_an_override(self, store: Store, clock: Clock) -> None:
        """Since its receipt, and for the result of that card."""
        await store.write_hook(hook())
        clock.forward(hours=3)

        await _send(store, feedback(outcome_timestamp=NOON + HOUR))

        assert Quieted(since=NOON + 3 * HOUR, overall="possible") == await store.quiet_since(KEY)

    @pytest.mark.parametrize("part", ["caller", "service", "patient", "user"])
    async def test_nobody_else(self, store: Store, part: str) -> None:
        """Neither another user nor another patient, hospital or service."""
        await store.write_hook(hook(**{part: "another"}))
        caller = "another" if part == "caller" else CALLER
        service = "another" if part == "service" else SERVICE

        await store.write_feedback(caller, service, [feedback()])

        assert await store.quiet_since(KEY) is None

    async def test_no_more_after_it_was_accepted(self, store: Store) -> None:
        """The override of that card counts no longer."""
        await store.write_hook(hook())
        await _send(store, feedback())

        await _send(store, feedback(outcome="accepted", outcome_timestamp=NOON + HOUR))

        assert await store.quiet_since(KEY) is None

    async def test_the_latest_of_several(self, store: Store) -> None:
        """By the time that counts, not by that of receipt."""
        await store.write_hook(hook(card="card-1", overall="possible"))
        await store.write_hook(hook(card="card-2", overall="not_now"))

        await _send(store, feedback(card="card-2", outcome_timestamp=NOON + 2 * HOUR))
        await _send(store, feedback(card="card-1", outcome_timestamp=NOON + HOUR))

        quieted = await store.quiet_since(KEY)
        assert quieted is not None
        assert "not_now" == quieted.overall
