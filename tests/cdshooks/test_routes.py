"""The routes over HTTP: discovery, the hook, feedback, probes, and every way to be refused."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from cds_service.errors import FhirUnavailable, HookError, PatientUnavailable
from cds_service.report import Report, Version

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Callable, Coroutine

    from cds_service.cdshooks.models import HookRequest

    Post = Callable[..., Coroutine[Any, Any, httpx2.Response]]

SERVICE = "/cds-services/net-retreat-eligibility"
FEEDBACK = f"{SERVICE}/feedback"
JSON = {"content-type": "application/json"}


def log_lines(log: io.StringIO) -> list[dict[str, Any]]:
    """What was logged."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def silent(hook: HookRequest) -> Report:
    """A report that makes no card."""
    return Report(
        trial=Version("1", "sha256:ab"),
        mappings=Version("1", "sha256:cd"),
        subject=f"Patient/{hook.context.patient_id}",
        as_of=date(2026, 11, 23),
        overall="not_relevant",
    )


class TestDiscovery:
    """``GET /cds-services``."""

    @pytest.mark.parametrize("path", ["/cds-services", "/cds-services/"])
    async def test_describes_the_service(self, client: httpx2.AsyncClient, path: str) -> None:
        """With a slash at the end, too."""
        response = await client.get(path)

        assert 200 == response.status_code
        assert {
            "services": [
                {
                    "hook": "patient-view",
                    "id": "net-retreat-eligibility",
                    "title": "NET RETREAT screening",
                    "description": "Screens.",
                    "usageRequirements": "Reads.",
                    "version": "2023.1",
                    "prefetch": {"patient": "Patient/{{context.patientId}}"},
                }
            ]
        } == response.json()


class TestHook:
    """``POST /cds-services/{id}``."""

    async def test_a_card(self, post: Post, hook: dict[str, Any]) -> None:
        """Extra members, the extension and a complete authorization do no harm."""
        response = await post(hook)

        assert 200 == response.status_code
        assert "application/json" == response.headers["content-type"]
        (card,) = response.json()["cards"]
        assert "Patient/p1" == card["extension"]["org.net-retreat.report"]["subject"]
        assert len(card["summary"]) < 140

    async def test_no_card(self, post: Post, screening: Any, hook: dict[str, Any]) -> None:
        """The list is there all the same."""

        async def answer(request: HookRequest) -> Report:
            return silent(request)

        screening.answer = answer

        assert b'{"cards":[]}' == (await post(hook)).content

    async def test_the_same_instance_with_another_patient(
        self, post: Post, hook: dict[str, Any]
    ) -> None:
        """Evaluated on its own: no card is remembered."""
        del hook["fhirAuthorization"]["patient"]
        await post(hook)
        hook["context"]["patientId"] = "p2"

        response = await post(hook)

        report = response.json()["cards"][0]["extension"]["org.net-retreat.report"]
        assert "Patient/p2" == report["subject"]

    @pytest.mark.parametrize(
        "error", [PatientUnavailable("Patient/ZZPHI: 500"), FhirUnavailable("ZZPHI")]
    )
    async def test_no_patient(
        self, post: Post, screening: Any, hook: dict[str, Any], error: Exception
    ) -> None:
        """412 with an OperationOutcome, and no word of the error's own."""
        screening.raises = error

        response = await post(hook)

        assert 412 == response.status_code
        assert "OperationOutcome" == response.json()["resourceType"]
        assert "ZZPHI" not in response.text

    async def test_an_error_of_the_request_found_later(
        self, post: Post, screening: Any, hook: dict[str, Any]
    ) -> None:
        """Such as a prefetched Patient who is another one."""
        screening.raises = HookError("prefetch.patient is another patient", status=412)

        response = await post(hook)

        assert 412 == response.status_code
        assert "prefetch.patient" in response.json()["issue"][0]["diagnostics"]

    async def test_a_resource_nested_too_deeply(
        self, post: Post, screening: Any, hook: dict[str, Any]
    ) -> None:
        """The fault of the request, not of the service."""
        screening.raises = RecursionError()

        assert 400 == (await post(hook)).status_code

    async def test_a_fault_of_the_service(
        self, post: Post, screening: Any, hook: dict[str, Any], log: io.StringIO
    ) -> None:
        """500 with a request id; the log has the same id, and nothing of the fault's text."""
        screening.raises = ValueError("ZZPHI-1 in a message")

        response = await post(hook, origin="https://ehr.example.org")

        assert 500 == response.status_code
        assert "*" == response.headers["access-control-allow-origin"]
        assert "no-store" == response.headers["cache-control"]
        (line,) = log_lines(log)
        assert response.json()["issue"][0]["diagnostics"].endswith(line["request_id"])
        assert line["error"].startswith("ValueError at ")
        assert "ZZ" not in log.getvalue() + response.text

    async def test_a_screening_that_does_not_end(
        self, post: Post, screening: Any, hook: dict[str, Any]
    ) -> None:
        """Given up soon after its deadline, and free for the next one."""

        async def answer(_request: HookRequest) -> Report:
            await asyncio.sleep(60)
            raise AssertionError

        screening.answer = answer
        started = asyncio.get_running_loop().time()

        response = await post(hook)

        assert 503 == response.status_code
        assert asyncio.get_running_loop().time() - started < 1
        assert "5" == response.headers["retry-after"]

    async def test_more_hooks_than_there_is_room_for(
        self, post: Post, screening: Any, hook: dict[str, Any]
    ) -> None:
        """Refused at once with 503; the others are answered."""
        gate, full = asyncio.Event(), asyncio.Event()

        async def answer(request: HookRequest) -> Report:
            if len(screening.asked) == 2:
                full.set()
            await gate.wait()
            return silent(request)

        screening.answer = answer
        running = [asyncio.create_task(post(hook)) for _ in range(2)]
        await full.wait()

        refused = await post(hook)
        gate.set()

        assert 503 == refused.status_code
        assert [200, 200] == [response.status_code for response in await asyncio.gather(*running)]
        assert 200 == (await post(hook)).status_code

    async def test_what_is_logged(self, post: Post, hook: dict[str, Any], log: io.StringIO) -> None:
        """The result and its editions; no patient, no token, no server."""
        response = await post(hook)

        (line,) = log_lines(log)
        assert ("hook", "all_met", "card") == (line["event"], line["overall"], line["outcome"])
        assert response.json()["cards"][0]["uuid"] == line["card"]
        assert hook["hookInstance"] == line["hook_instance"]
        for secret in ("ZZTOK", "p1", "fhir.example.org", "Practitioner"):
            assert secret not in log.getvalue()


class TestBody:
    """How a body must come."""

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/x-www-form-urlencoded", ""]
    )
    async def test_not_json(self, post: Post, hook: dict[str, Any], content_type: str) -> None:
        """415 by its type alone."""
        assert 415 == (await post(hook, content_type=content_type)).status_code

    async def test_json_with_a_charset(self, post: Post, hook: dict[str, Any]) -> None:
        """Parameters of the type do not matter."""
        kind = "Application/JSON; charset=utf-8"

        assert 200 == (await post(hook, content_type=kind)).status_code

    @pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "br"])
    async def test_compressed(self, post: Post, coding: str) -> None:
        """Not inflated."""
        assert 415 == (await post(b"\x1f\x8b", content_encoding=coding)).status_code

    async def test_too_large_by_its_header(self, post: Post) -> None:
        """Refused before it is read."""
        assert 413 == (await post(b" " * 50_000_000)).status_code

    async def test_too_large_in_chunks(self, client: httpx2.AsyncClient) -> None:
        """Endless, and read no further than the limit."""
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1
                yield b" " * 65_536

        response = await client.post(SERVICE, content=endless(), headers=JSON)

        assert 413 == response.status_code
        assert sent < 10

    async def test_too_slow(self, client: httpx2.AsyncClient) -> None:
        """408 when the time of the whole answer is over."""

        async def dripping() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.01)

        assert 408 == (await client.post(SERVICE, content=dripping(), headers=JSON)).status_code


class TestPaths:
    """Paths and methods that are not there."""

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("POST", "/cds-services/other", 404),
            ("POST", "/cds-services/other/feedback", 404),
            ("POST", f"{SERVICE}/", 404),
            ("POST", "/cds-services//net-retreat-eligibility", 404),
            ("GET", "/docs", 404),
            ("GET", "/openapi.json", 404),
            ("GET", "/", 404),
            ("GET", SERVICE, 405),
            ("PUT", SERVICE, 405),
            ("TRACE", SERVICE, 405),
            ("POST", "/cds-services", 405),
            ("GET", FEEDBACK, 405),
        ],
    )
    async def test_refused(
        self, client: httpx2.AsyncClient, method: str, path: str, status: int
    ) -> None:
        """As an OperationOutcome; with the methods that there are."""
        response = await client.request(method, path, headers=JSON, content=b"{}")

        assert status == response.status_code
        assert "OperationOutcome" == response.json()["resourceType"]
        assert ("allow" in response.headers) == (status == 405)

    @pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
    async def test_probes(self, client: httpx2.AsyncClient, path: str) -> None:
        """Without a word about the inside."""
        assert {"status": "ok"} == (await client.get(path)).json()


class TestHeaders:
    """What every answer carries."""

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/cds-services"), ("POST", SERVICE), ("GET", "/nowhere"), ("PUT", SERVICE)],
    )
    async def test_on_errors_as_well(
        self, client: httpx2.AsyncClient, method: str, path: str
    ) -> None:
        """No cache, no guess at the type, and readable for a page of another origin."""
        response = await client.request(method, path, headers={"origin": "https://ehr.example"})

        assert "no-store" == response.headers["cache-control"]
        assert "nosniff" == response.headers["x-content-type-options"]
        assert "*" == response.headers["access-control-allow-origin"]
        assert "access-control-allow-credentials" not in response.headers

    @pytest.mark.parametrize("path", ["/cds-services", SERVICE, FEEDBACK])
    async def test_preflight(self, client: httpx2.AsyncClient, path: str) -> None:
        """As a browser-based EHR that sends a JWT asks."""
        response = await client.options(
            path,
            headers={
                "origin": "https://ehr.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            },
        )

        assert 200 == response.status_code
        assert "*" == response.headers["access-control-allow-origin"]
        assert "authorization" in response.headers["access-control-allow-headers"].lower()
        assert "no-store" == response.headers["cache-control"]


ACCEPTED = {
    "outcome": "accepted",
    "acceptedSuggestions": [{"id": "s-1"}],
    "outcomeTimestamp": "2026-11-23T10:00:00Z",
}
OVERRIDDEN = {
    "outcome": "overridden",
    "overrideReason": {
        "reason": {"code": "later", "system": "https://net-retreat.org/cds/override-reason"},
        "userComment": "ZZPHI '; DROP TABLE <script>",
    },
    "outcomeTimestamp": "2026-11-23T10:00:00.123-05:00",
    "unknown": {"a": 1},
}


async def give(client: httpx2.AsyncClient, *items: Any) -> httpx2.Response:
    """Send feedback."""
    return await client.post(FEEDBACK, json={"feedback": items})


@pytest.fixture
async def issued(post: Post, hook: dict[str, Any], log: io.StringIO) -> dict[str, str]:
    """A card that was shown, as feedback names it; the log is empty again."""
    (card,) = (await post(hook)).json()["cards"]
    log.seek(0)
    log.truncate()
    return {"card": card["uuid"]}


class TestFeedback:
    """``POST /cds-services/{id}/feedback``."""

    async def test_taken_and_logged(
        self, client: httpx2.AsyncClient, issued: dict[str, str], log: io.StringIO
    ) -> None:
        """Several items at once; a comment is not for the log, nor an id that the card had not."""
        response = await give(client, ACCEPTED | issued, OVERRIDDEN | issued)

        assert 200 == response.status_code
        first, second = log_lines(log)
        assert (issued["card"], "accepted", []) == (
            first["card"],
            first["outcome"],
            first["suggestions"],
        )
        assert ("overridden", "later", True) == (
            second["outcome"],
            second["code"],
            second["comment"],
        )
        assert "ZZPHI" not in log.getvalue()

    async def test_repeated(self, client: httpx2.AsyncClient, issued: dict[str, str]) -> None:
        """The specification lets a client send the same again."""
        item = ACCEPTED | issued

        assert [200] * 5 == [(await give(client, item)).status_code for _ in range(5)]

    async def test_an_unknown_card(
        self, client: httpx2.AsyncClient, issued: dict[str, str], log: io.StringIO
    ) -> None:
        """404, for all items together; nothing is noted."""
        response = await give(client, ACCEPTED | issued, ACCEPTED | {"card": "no-such-card"})

        assert 404 == response.status_code
        assert ["unknown-card"] == [line["reason"] for line in log_lines(log)]
        assert "no-such-card" not in log.getvalue()

    async def test_a_code_of_their_own(
        self, client: httpx2.AsyncClient, issued: dict[str, str], log: io.StringIO
    ) -> None:
        """Is free text to us."""
        reason = {"reason": {"code": "ZZPHI Smith"}}
        item = OVERRIDDEN | issued | {"overrideReason": reason}

        assert 200 == (await give(client, item)).status_code
        assert log_lines(log)[0]["code"] is None
        assert "ZZPHI" not in log.getvalue()

    async def test_overridden_without_a_reason(
        self, client: httpx2.AsyncClient, issued: dict[str, str]
    ) -> None:
        """A reason is optional."""
        item = {key: OVERRIDDEN[key] for key in ("outcome", "outcomeTimestamp")} | issued

        assert 200 == (await give(client, item)).status_code

    @pytest.mark.parametrize("missing", ["card", "outcome", "outcomeTimestamp"])
    async def test_required(
        self, client: httpx2.AsyncClient, issued: dict[str, str], missing: str
    ) -> None:
        """Each member that the specification requires."""
        item = {key: value for key, value in (ACCEPTED | issued).items() if key != missing}

        assert 400 == (await give(client, item)).status_code

    @pytest.mark.parametrize(
        "change",
        [
            {"outcome": "maybe"},
            {"acceptedSuggestions": []},
            {"acceptedSuggestions": [{}]},
            {"outcome": "overridden", "overrideReason": {}},
            {"outcomeTimestamp": "2026-11-23T10:00:00"},
            {"outcomeTimestamp": "yesterday"},
            {"card": "ZZ <script>"},
            {"card": ""},
            {"overrideReason": {"userComment": "x" * 100_000}},
        ],
    )
    async def test_wrong(
        self,
        client: httpx2.AsyncClient,
        issued: dict[str, str],
        log: io.StringIO,
        change: dict[str, Any],
    ) -> None:
        """All of it is refused for one bad item, and nothing is noted."""
        response = await give(client, ACCEPTED | issued, ACCEPTED | issued | change)

        assert 400 == response.status_code
        assert "ZZ" not in response.text
        assert ["refused"] == [line["event"] for line in log_lines(log)]
        assert "ZZ" not in log.getvalue()

    @pytest.mark.parametrize("body", [{}, [], {"feedback": []}, {"feedback": {}}, "ZZ"])
    async def test_no_feedback(self, client: httpx2.AsyncClient, body: Any) -> None:
        """Not even one item."""
        assert 400 == (await client.post(FEEDBACK, json=body)).status_code

    async def test_too_many_items(self, client: httpx2.AsyncClient) -> None:
        """413, as for a body that is too large."""
        item = {"card": "c", "outcome": "overridden", "outcomeTimestamp": "2026-11-23T10:00:00Z"}

        assert 413 == (await give(client, *[item] * 2000)).status_code
        assert 413 == (await give(client, *[item] * 20_000)).status_code
