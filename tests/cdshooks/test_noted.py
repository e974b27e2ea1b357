"""What an operator can see of what went wrong: a line in the log, and a number that moves."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.errors import HookError, OtherPatient, PatientUnavailable

if TYPE_CHECKING:
    import io
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    import httpx2

    from cds_service.store.store import Store

    Post = Callable[..., Awaitable[httpx2.Response]]

SERVICE = "/cds-services/net-retreat-eligibility"
FEEDBACK = f"{SERVICE}/feedback"
OVERRIDDEN = {"outcome": "overridden", "outcomeTimestamp": "2026-11-23T10:00:00Z"}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A store to which another process writes, and does not come to an end."""
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as database:
        database.execute("begin immediate")
        yield
        database.execute("rollback")


def lines(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    """The lines of one event."""
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in found if line["event"] == event]


def audited(folder: Path) -> list[dict[str, Any]]:
    """The hooks in the audit."""
    with closing(sqlite3.connect(folder / "store.db")) as database:
        rows = database.execute("select record from audit where kind = 'hook' order by seq")
        return [json.loads(record) for (record,) in rows]


async def counted(client: httpx2.AsyncClient, name: str, **labels: str) -> float:
    """A series' value: the sum of those that have these labels."""
    text = (await client.get("/metrics")).text
    values = [
        float(found[2])
        for found in re.finditer(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
        if all(f'{label}="{value}"' in (found[1] or "") for label, value in labels.items())
    ]
    assert values, name
    return sum(values)


class TestStore:
    """A store that cannot be written."""

    async def test_a_hook_whose_deadline_is_over_first(
        self, client: httpx2.AsyncClient, post: Post, hook: Any, log: io.StringIO, tmp_path: Path
    ) -> None:
        """Counted and noted, although nobody waits for the store any more."""
        with locked(tmp_path):
            assert 503 == (await post(hook)).status_code

        (line,) = lines(log, "store")
        assert ("audit", "too-late", "error") == (
            line["operation"],
            line["reason"],
            line["level"],
        )
        assert 1 == await counted(client, "cds_store_failures_total", operation="audit")
        (refused,) = lines(log, "refused")
        assert (503, "deadline", "open") == (
            refused["status"],
            refused["reason"],
            refused["caller"],
        )

    async def test_feedback(
        self, client: httpx2.AsyncClient, post: Post, hook: Any, log: io.StringIO, tmp_path: Path
    ) -> None:
        """With the database's own reason, in a word of ours."""
        card = (await post(hook)).json()["cards"][0]["uuid"]
        with locked(tmp_path):
            answer = await client.post(FEEDBACK, json={"feedback": [OVERRIDDEN | {"card": card}]})

        assert 503 == answer.status_code
        (line,) = lines(log, "store")
        assert ("feedback", "locked") == (line["operation"], line["reason"])
        assert 1 == await counted(client, "cds_store_failures_total", operation="feedback")
        assert ["store"] == [line["reason"] for line in lines(log, "refused")]

    async def test_readiness(
        self, client: httpx2.AsyncClient, log: io.StringIO, tmp_path: Path
    ) -> None:
        """A probe's write is one, too."""
        with locked(tmp_path):
            assert 503 == (await client.get("/health/ready")).status_code

        assert ["readiness"] == [line["operation"] for line in lines(log, "store")]
        assert 1 == await counted(client, "cds_store_failures_total", operation="readiness")
        # An orchestrator that asks every second is not refused anything.
        assert [] == lines(log, "refused")

    async def test_the_last_write(
        self, client: httpx2.AsyncClient, post: Post, hook: Any, clock: Any
    ) -> None:
        """Is seen, by the clock of the service."""
        await post(hook)

        assert clock.now.timestamp() == await counted(client, "cds_store_written_timestamp_seconds")


class TestWrongPatient:
    """Data of another patient than the hook's are a security event."""

    async def test_sent(
        self,
        client: httpx2.AsyncClient,
        post: Post,
        hook: Any,
        screening: Any,
        log: io.StringIO,
        tmp_path: Path,
    ) -> None:
        """In the prefetch: a line, a number, and a record of its own."""
        screening.raises = HookError("another", status=412, reason="other-patient")

        assert 412 == (await post(hook)).status_code
        self._is_noted(log, 412)
        assert 1 == await counted(client, "cds_security_events_total", reason="other-patient")
        assert 1 == await counted(client, "cds_hooks_total", outcome="other-patient")
        assert ["other-patient"] == [record["outcome"] for record in audited(tmp_path)]

    async def test_read(
        self,
        client: httpx2.AsyncClient,
        post: Post,
        hook: Any,
        screening: Any,
        log: io.StringIO,
        tmp_path: Path,
    ) -> None:
        """From the server, likewise; not as one that could not be had."""
        screening.raises = OtherPatient("Patient: the server answered with something else")

        assert 412 == (await post(hook)).status_code
        self._is_noted(log, 412)
        assert 1 == await counted(client, "cds_security_events_total", reason="other-patient")
        assert ["other-patient"] == [record["outcome"] for record in audited(tmp_path)]

    async def test_lent(
        self,
        client: httpx2.AsyncClient,
        post: Post,
        hook: Any,
        screening: Any,
        log: io.StringIO,
        tmp_path: Path,
    ) -> None:
        """By a token for another patient: refused before anything is evaluated or audited."""
        hook["fhirAuthorization"]["patient"] = "p2"

        assert 400 == (await post(hook)).status_code
        self._is_noted(log, 400)
        assert 1 == await counted(client, "cds_security_events_total", reason="other-patient")
        assert [] == screening.asked
        assert [] == audited(tmp_path)

    async def test_one_that_cannot_be_had(
        self,
        client: httpx2.AsyncClient,
        post: Post,
        hook: Any,
        screening: Any,
        log: io.StringIO,
    ) -> None:
        """Is none."""
        screening.raises = PatientUnavailable("Patient: timed out")

        assert 412 == (await post(hook)).status_code
        assert [] == lines(log, "security")
        assert 0 == await counted(client, "cds_security_events_total")
        assert ["patient-unavailable"] == [line["outcome"] for line in lines(log, "hook")]

    @staticmethod
    def _is_noted(log: io.StringIO, status: int) -> None:
        (line,) = lines(log, "security")
        assert (status, "other-patient", "open", "error") == (
            line["status"],
            line["reason"],
            line["caller"],
            line["level"],
        )
        assert [] == lines(log, "refused")


class TestSwitches:
    """What is switched off while the service runs."""

    async def test_each_change_is_noted_once(
        self, post: Post, hook: Any, store: Store, log: io.StringIO
    ) -> None:
        """By the process that finds it."""
        for off in (True, False):
            await store.switch("trial:net-retreat", off=off, by="ada", reason="ZZPHI")
            await post(hook)
            await post(hook)

        assert [("trial:net-retreat", "off"), ("trial:net-retreat", "on")] == [
            (line["switch"], line["outcome"]) for line in lines(log, "switch")
        ]


class TestHookInstance:
    """CDS Hooks says that it is a UUID."""

    @pytest.mark.parametrize(
        "given",
        ["ZZPHI-MRN-4711", "4711", "d1577c69dfbe44adba6d3e05e953b2ea", "urn:uuid:1",
         "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea-4711"],
    )  # fmt: skip
    async def test_anything_else_is_hashed(
        self, post: Post, hook: Any, log: io.StringIO, tmp_path: Path, given: str
    ) -> None:
        """With the key: the same each time, and nobody can read it."""
        for _ in range(2):
            assert 200 == (await post(hook | {"hookInstance": given})).status_code

        (kept,) = {record["hookInstance"] for record in audited(tmp_path)}
        assert re.fullmatch("[0-9a-f]{64}", kept)
        assert {kept} == {line["hook_instance"] for line in lines(log, "hook")}
        assert f'"{given}"' not in log.getvalue()

    @pytest.mark.parametrize(
        "given",
        ["d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "D1577C69-DFBE-44AD-BA6D-3E05E953B2EA"],
    )
    async def test_a_uuid_is_kept(
        self, post: Post, hook: Any, log: io.StringIO, tmp_path: Path, given: str
    ) -> None:
        """As it is, so that the EHR's team finds its call."""
        await post(hook | {"hookInstance": given})

        assert [given] == [record["hookInstance"] for record in audited(tmp_path)]
        assert [given] == [line["hook_instance"] for line in lines(log, "hook")]


async def test_suggestions_that_the_card_had(
    client: httpx2.AsyncClient, post: Post, hook: Any, log: io.StringIO, tmp_path: Path
) -> None:
    """Are noted and kept; any other id is text of the EHR's, and only counted."""
    card = (await post(hook)).json()["cards"][0]["uuid"]
    with closing(sqlite3.connect(tmp_path / "store.db")) as database, database:
        database.execute("update cards set suggestions = ?", (json.dumps(["s-1", "s-2"]),))
    item = OVERRIDDEN | {
        "card": card,
        "outcome": "accepted",
        "acceptedSuggestions": [{"id": "ZZPHI-MRN-4711"}, {"id": "s-2"}],
    }

    assert 200 == (await client.post(FEEDBACK, json={"feedback": [item]})).status_code

    assert [["s-2"]] == [line["suggestions"] for line in lines(log, "feedback")]
    assert b"ZZPHI" not in (tmp_path / "store.db").read_bytes()


REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no JSON": (400, "invalid", {"content": b"{"}),
    "of another type": (415, "media-type", {"headers": {"content-type": "text/plain"}}),
    "too large": (413, "too-large", {"headers": {"content-length": "99999999"}}),
    "no such service": (404, "no-such-service", {"path": "/cds-services/ZZPHI"}),
    "no such path": (404, "not-found", {"path": "/ZZPHI"}),
    "no such method": (405, "method", {"path": "/cds-services"}),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_each_refused_request_has_one_line(
    client: httpx2.AsyncClient, log: io.StringIO, name: str
) -> None:
    """With its status and a word of ours, and nothing of the request."""
    status, reason, sent = REFUSED[name]
    headers = {"content-type": "application/json", "user-agent": "ZZPHI"} | sent.get("headers", {})
    path = sent.get("path", SERVICE)

    answer = await client.post(
        f"{path}?patient=ZZPHI", content=sent.get("content", b"{}"), headers=headers
    )

    assert status == answer.status_code
    (line,) = lines(log, "refused")
    assert (status, reason) == (line["status"], line["reason"])
    assert answer.headers["x-request-id"] == line["request_id"]
    assert ("open" if path == SERVICE else None) == line["caller"]
    assert "ZZPHI" not in log.getvalue()


async def test_a_hook_for_another_client(
    client: httpx2.AsyncClient, post: Post, hook: Any, screening: Any, log: io.StringIO
) -> None:
    """Brings a token that was not lent to this service."""
    screening.raises = HookError("for another client", status=403, reason="other-client")

    assert 403 == (await post(hook)).status_code
    assert ["other-client"] == [line["reason"] for line in lines(log, "security")]
    assert 1 == await counted(client, "cds_security_events_total", reason="other-client")


async def test_a_slow_body(client: httpx2.AsyncClient, log: io.StringIO) -> None:
    """Is refused by its caller's name."""

    async def body() -> Any:
        yield b"{"
        await asyncio.sleep(2)
        yield b"}"

    started = time.monotonic()
    answer = await client.post(
        SERVICE, content=body(), headers={"content-type": "application/json"}
    )

    assert 408 == answer.status_code
    assert time.monotonic() - started < 2
    assert [(408, "slow-body", "open")] == [
        (line["status"], line["reason"], line["caller"]) for line in lines(log, "refused")
    ]
