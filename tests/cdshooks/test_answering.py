"""When a card is shown, and what is kept before anything is said."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.cdshooks.answering import Showing
from cds_service.errors import PatientUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    import httpx2

    from cds_service.cdshooks.models import HookRequest
    from cds_service.report import Report
    from cds_service.store.store import Store

    Post = Callable[..., Awaitable[httpx2.Response]]

FEEDBACK = "/cds-services/net-retreat-eligibility/feedback"


def audited(folder: Path) -> list[dict[str, Any]]:
    """The hooks in the audit, as another process reads them."""
    with sqlite3.connect(folder / "store.db") as database:
        rows = database.execute("select record from audit where kind = 'hook' order by seq")
        return [json.loads(record) for (record,) in rows]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A store that another process keeps for itself."""
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as database:
        database.execute("begin exclusive")
        yield
        database.execute("rollback")


async def card_of(answer: httpx2.Response) -> dict[str, Any] | None:
    """The one card of an answer, if there is one."""
    assert answer.status_code == 200
    cards = answer.json()["cards"]
    return cards[0] if cards else None


class TestAudit:
    """One record for each hook, before its answer."""

    async def test_what_is_kept(self, post: Post, hook: dict[str, Any], tmp_path: Path) -> None:
        """Who asked, what was found and shown; nothing of the chart, and no id of the patient."""
        card = await card_of(await post(hook))

        (record,) = audited(tmp_path)
        assert card is not None
        assert {
            "hookInstance": hook["hookInstance"],
            "caller": "open",
            "outcome": "card",
            "overall": "all_met",
            "card": card["uuid"],
            "reads": {"Condition": "complete"},
            "asOf": "2026-11-23",
        }.items() <= record.items()
        assert "sha256:" + "ab" * 32 == record["trial"]["digest"]
        assert "sha256:" + "cd" * 32 == record["mappings"]["digest"]
        text = json.dumps(record)
        assert "ZZTOK" not in text
        assert "Practitioner" not in text
        assert '"p1"' not in text

    async def test_one_for_each_hook(
        self, post: Post, hook: dict[str, Any], tmp_path: Path
    ) -> None:
        """The same instance again is another hook."""
        for _ in range(3):
            await post(hook)

        assert 3 == len(audited(tmp_path))
        assert 1 == len({record["patient"] for record in audited(tmp_path)})

    async def test_a_patient_that_cannot_be_had(
        self, post: Post, screening: Any, hook: dict[str, Any], tmp_path: Path
    ) -> None:
        """Is audited as just that, beside the 412."""
        screening.raises = PatientUnavailable("Patient: timed out")

        assert 412 == (await post(hook)).status_code
        (record,) = audited(tmp_path)
        assert ("patient-unavailable", None) == (record["outcome"], record.get("overall"))

    async def test_nothing_is_said_that_cannot_be_kept(
        self, post: Post, hook: dict[str, Any], tmp_path: Path
    ) -> None:
        """503, with no word about the patient; and a card again once the store can be written."""
        with locked(tmp_path):
            response = await post(hook)

        assert 503 == response.status_code
        assert "retry-after" in response.headers
        assert "cards" not in response.text
        assert "all_met" not in response.text
        assert await card_of(await post(hook)) is not None


class TestQuiet:
    """After an override the card stays away, for this user and patient."""

    async def override(self, client: httpx2.AsyncClient, card: str) -> None:
        """Set a card aside."""
        item = {
            "card": card,
            "outcome": "overridden",
            "outcomeTimestamp": "2026-11-23T10:00:00Z",
        }
        assert (await client.post(FEEDBACK, json={"feedback": [item]})).status_code == 200

    @pytest.fixture
    async def overridden(
        self, client: httpx2.AsyncClient, post: Post, hook: dict[str, Any]
    ) -> dict[str, Any]:
        """A hook whose card was set aside."""
        card = await card_of(await post(hook))
        assert card is not None
        await self.override(client, card["uuid"])
        return hook

    async def test_no_card_for_a_while(
        self, post: Post, overridden: dict[str, Any], clock: Any, tmp_path: Path
    ) -> None:
        """Then again, when the time of the site file is over; the audit says why there was none."""
        assert await card_of(await post(overridden)) is None
        assert "quiet" == audited(tmp_path)[-1]["outcome"]
        assert "all_met" == audited(tmp_path)[-1]["overall"]

        clock.now += timedelta(days=89)
        assert await card_of(await post(overridden)) is None

        clock.now += timedelta(days=1, seconds=1)
        assert await card_of(await post(overridden)) is not None

    async def test_another_result_is_shown(
        self, post: Post, screening: Any, overridden: dict[str, Any]
    ) -> None:
        """What was set aside was another statement."""
        from tests.cdshooks.conftest import report_on  # noqa: PLC0415  (of this folder)

        async def answer(request: HookRequest) -> Report:
            return report_on(request, overall="possible")

        screening.answer = answer

        assert await card_of(await post(overridden)) is not None

    @pytest.mark.parametrize(
        "change", [{"userId": "Practitioner/8"}, {"patientId": "p2"}], ids=["user", "patient"]
    )
    async def test_others_see_theirs(
        self, post: Post, overridden: dict[str, Any], change: dict[str, str]
    ) -> None:
        """Another user of this patient, and another patient of this user."""
        overridden["context"] |= change
        del overridden["fhirAuthorization"]["patient"]

        assert await card_of(await post(overridden)) is not None

    async def test_accepted_is_not_set_aside(
        self, client: httpx2.AsyncClient, post: Post, hook: dict[str, Any]
    ) -> None:
        """An order that was placed leaves the card where it is."""
        card = await card_of(await post(hook))
        assert card is not None
        item = {
            "card": card["uuid"],
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": "s"}],
            "outcomeTimestamp": "2026-11-23T10:00:00Z",
        }
        assert (await client.post(FEEDBACK, json={"feedback": [item]})).status_code == 200

        assert await card_of(await post(hook)) is not None


class TestSwitches:
    """What an operator can turn off while the service runs."""

    @pytest.mark.parametrize("name", ["trial:net-retreat", "issuer:open"])
    async def test_off_and_on(
        self,
        post: Post,
        screening: Any,
        hook: dict[str, Any],
        store: Store,
        tmp_path: Path,
        name: str,
    ) -> None:
        """No card, and nothing is read; the audit says that it was switched off."""
        await store.switch(name, off=True, by="operator", reason="recall")

        assert await card_of(await post(hook)) is None
        assert [] == screening.asked
        assert "switched-off" == audited(tmp_path)[-1]["outcome"]

        await store.switch(name, off=False, by="operator", reason=None)
        assert await card_of(await post(hook)) is not None

    async def test_another_name_is_another_matter(
        self, post: Post, hook: dict[str, Any], store: Store
    ) -> None:
        """A trial that this service does not serve, an issuer that did not call."""
        for name in ("trial:other", "issuer:other"):
            await store.switch(name, off=True, by="operator", reason=None)

        assert await card_of(await post(hook)) is not None


class TestShadow:
    """Everything is done but showing the card."""

    @pytest.fixture
    def showing(self) -> Showing:
        """A service that shows nothing."""
        return Showing(shadow=True)

    async def test_evaluated_and_not_shown(
        self, post: Post, hook: dict[str, Any], tmp_path: Path
    ) -> None:
        """The audit has the result for whoever compares."""
        assert await card_of(await post(hook)) is None

        (record,) = audited(tmp_path)
        assert ("shadow", "all_met") == (record["outcome"], record["overall"])
        assert record.get("card") is None


async def test_hooks_are_counted(
    client: httpx2.AsyncClient, post: Post, hook: dict[str, Any]
) -> None:
    """By what became of them, without a word about whose."""
    await post(hook)

    text = (await client.get("/metrics")).text
    assert 'outcome="card"' in text
    assert "p1" not in text
    assert hook["hookInstance"] not in text


async def test_unready_without_a_store(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    """Alive all the same: a restart would not help."""
    with locked(tmp_path):
        ready = await client.get("/health/ready")

        assert (503, {"status": "unready", "reason": "store"}) == (ready.status_code, ready.json())
        assert 200 == (await client.get("/health/live")).status_code
    assert 200 == (await client.get("/health/ready")).status_code
