"""Bad hook requests: refused before anybody is screened, and never echoed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.cdshooks.envelope import read_hook
from cds_service.errors import HookError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import httpx2

    Post = Callable[..., Coroutine[Any, Any, httpx2.Response]]

DEEP = "[" * 20_000 + "]" * 20_000


def changed(hook: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the hook with another value at a path such as ``context.userId``."""
    copy: dict[str, Any] = json.loads(json.dumps(hook))
    *parents, last = path.split(".")
    place = copy
    for name in parents:
        place = place[name]
    place[last] = value
    return copy


def without(hook: dict[str, Any], path: str) -> dict[str, Any]:
    """A copy of the hook that lacks the member at a path."""
    copy = changed(hook, path, None)
    *parents, last = path.split(".")
    place = copy
    for name in parents:
        place = place[name]
    del place[last]
    return copy


async def assert_refused(post: Post, screening: Any, body: Any, status: int = 400) -> None:
    """Refused as an OperationOutcome, without echo, and with nobody screened."""
    response = await post(body)

    assert status == response.status_code, response.text
    assert "OperationOutcome" == response.json()["resourceType"]
    assert "ZZ" not in response.text
    assert [] == screening.asked


class TestNotARequest:
    """Bodies that are no hook request at all."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"null",
            b'"ZZ"',
            b"{}",
            b'{"hook": "patient-view", ',
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            b"ZZ<html>",
        ],
    )
    async def test_refused(self, post: Post, screening: Any, body: bytes) -> None:
        """Whatever else it is."""
        await assert_refused(post, screening, body)

    @pytest.mark.parametrize("place", ["unknown", "extension", "prefetch"])
    async def test_bytes_that_are_no_utf8_anywhere(
        self, post: Post, screening: Any, hook: dict[str, Any], place: str
    ) -> None:
        """Also in a member that nobody reads."""
        body = json.dumps(changed(hook, place, {"x": "ZZ"})).encode().replace(b"ZZ", b"\xff\xc0")

        await assert_refused(post, screening, body)

    @pytest.mark.parametrize("place", ["context", "prefetch", "extension", "unknown"])
    @pytest.mark.parametrize("text", [DEEP, '{"a":' * 20_000 + "1" + "}" * 20_000])
    async def test_nested_too_deeply(
        self, post: Post, screening: Any, hook: dict[str, Any], place: str, text: str
    ) -> None:
        """Twenty thousand levels are no reason to fall over."""
        body = json.dumps(changed(hook, place, {"x": "HERE"})).replace('"HERE"', text)

        await assert_refused(post, screening, body.encode())


class TestMembers:
    """Members that are missing, or not what they should be."""

    @pytest.mark.parametrize(
        "path", ["hook", "hookInstance", "context", "context.patientId", "context.userId"]
    )
    async def test_required(
        self, post: Post, screening: Any, hook: dict[str, Any], path: str
    ) -> None:
        """Each one that the specification requires."""
        await assert_refused(post, screening, without(hook, path))

    @pytest.mark.parametrize(
        "path",
        [
            "hook",
            "hookInstance",
            "context",
            "context.patientId",
            "context.userId",
            "context.encounterId",
            "fhirServer",
            "fhirAuthorization",
            "fhirAuthorization.access_token",
            "fhirAuthorization.expires_in",
            "prefetch",
        ],
    )
    @pytest.mark.parametrize("value", [["ZZ"], True, 1.5, 7, {"ZZ": "ZZ"}, "ZZ ZZ"])
    async def test_of_another_type(
        self, post: Post, screening: Any, hook: dict[str, Any], path: str, value: Any
    ) -> None:
        """Never coerced."""
        if path == "fhirServer" and isinstance(value, str):
            value = ""  # any other text is a server that is not listed, and not read
        if path == "prefetch" and isinstance(value, dict):
            value = [value]
        if path == "fhirAuthorization.expires_in" and value == 7:
            value = -7

        await assert_refused(post, screening, changed(hook, path, value))

    async def test_another_hook(self, post: Post, screening: Any, hook: dict[str, Any]) -> None:
        """The service answers one hook."""
        await assert_refused(post, screening, changed(hook, "hook", "order-sign"))

    @pytest.mark.parametrize(
        "patient_id",
        [
            "",
            "../Observation",
            "1/_history",
            "1?_count=9",
            "1%2f..",
            "x" * 65,
            "a b",
            "1\r\nX: y",
            "1\n",
            "\u0661",
            "1\x00",
        ],
    )
    @pytest.mark.parametrize("path", ["context.patientId", "context.encounterId"])
    async def test_an_id_that_could_change_a_path(
        self, post: Post, screening: Any, hook: dict[str, Any], path: str, patient_id: str
    ) -> None:
        """FHIR R4 has 64 letters, digits, dots and dashes for an id."""
        await assert_refused(post, screening, changed(hook, path, patient_id))

    @pytest.mark.parametrize(
        "user", ["", "9", "Device/1", "Practitioner/", "Practitioner/../1", "Practitioner/1\n"]
    )
    async def test_a_user_that_the_hook_does_not_have(
        self, post: Post, screening: Any, hook: dict[str, Any], user: str
    ) -> None:
        """Four types of user, each with an id."""
        await assert_refused(post, screening, changed(hook, "context.userId", user))


class TestAuthorization:
    """The token that the EHR lends."""

    async def test_without_a_server(self, post: Post, screening: Any, hook: dict[str, Any]) -> None:
        """A token for nowhere (rule cds-r-1)."""
        await assert_refused(post, screening, without(hook, "fhirServer"))

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("access_token", "ZZTOK\r\nX-Evil: 1"),
            ("access_token", "ZZTOK 1"),
            ("access_token", "ZZTOK\u00e9"),
            ("access_token", "ZZTOK\n"),
            ("access_token", ""),
            ("token_type", "MAC"),
            ("expires_in", 0),
            ("expires_in", -1),
            ("expires_in", "300"),
            ("expires_in", 300.5),
            ("expires_in", 0.5),
            ("expires_in", True),
            ("expires_in", None),
            ("patient", "ZZ-other"),
        ],
    )
    async def test_not_usable(
        self, post: Post, screening: Any, hook: dict[str, Any], member: str, value: Any
    ) -> None:
        """Expired, of another patient, or able to add a header."""
        await assert_refused(post, screening, changed(hook, f"fhirAuthorization.{member}", value))

    @pytest.mark.parametrize("seconds", ["300", "300.0", "3e2", "3.0E+2", "1", "86400.000"])
    async def test_whole_seconds(
        self, post: Post, screening: Any, hook: dict[str, Any], seconds: str
    ) -> None:
        """However JSON writes the number."""
        text = json.dumps(changed(hook, "fhirAuthorization.expires_in", "HERE"))

        assert 200 == (await post(text.replace('"HERE"', seconds).encode())).status_code
        (asked,) = screening.asked
        assert float(seconds) == asked.fhir_authorization.expires_in

    def test_a_token_does_not_show_itself(self, hook: dict[str, Any]) -> None:
        """Requests end up in tracebacks."""
        assert "ZZTOK" not in repr(read_hook(json.dumps(hook).encode()))


class TestNumbersAndKeys:
    """What two readers of the same JSON could read in two ways."""

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
    @pytest.mark.parametrize("path", ["extension", "unknown", "context.more"])
    async def test_numbers_that_no_double_holds(
        self, post: Post, screening: Any, hook: dict[str, Any], number: str, path: str
    ) -> None:
        """NaN is neither above nor below any limit."""
        body = json.dumps(changed(hook, path, "HERE")).replace('"HERE"', number)

        await assert_refused(post, screening, body.encode())

    @pytest.mark.parametrize(
        ("text", "twice"),
        [
            ('"patientId": "p1"', '"patientId": "ZZ", "patientId": "p1"'),
            ('"hook": "patient-view"', '"hook": "ZZ", "hook": "patient-view"'),
            ('"prefetch": {', '"prefetch": {"x": null}, "prefetch": {'),
            ('"prefetch": {', '"prefetch": {"patient": {"resourceType": "ZZ"}, '),
            ('"access_token"', '"access_token": "ZZ", "access_token"'),
            ('"extension": {', '"extension": {"a": 1, "a": 2, '),
            ('"patientId": "p1"', '"patientId": "ZZ", "\\u0070atientId": "p1"'),
        ],
    )
    async def test_the_same_key_twice(
        self, post: Post, screening: Any, hook: dict[str, Any], text: str, twice: str
    ) -> None:
        """Some readers take the first, some the last."""
        body = json.dumps(hook)
        assert text in body

        await assert_refused(post, screening, body.replace(text, twice).encode())

    @pytest.mark.parametrize("text", [r"\ud800", r"\udc00", r"\ud800\ud800"])
    @pytest.mark.parametrize("path", ["hook", "extension", "prefetch.patient.id"])
    async def test_half_a_character(
        self, post: Post, screening: Any, hook: dict[str, Any], text: str, path: str
    ) -> None:
        """A lone surrogate can be written in JSON, and nowhere else."""
        body = json.dumps(changed(hook, path, "HERE")).replace("HERE", text)

        await assert_refused(post, screening, body.encode())


class TestGood:
    """What is taken."""

    def test_the_prefetch_stays_as_it_came(self, hook: dict[str, Any]) -> None:
        """Byte for byte: a decimal keeps its digits until a criterion compares it."""
        text = '{"resourceType": "Observation", "valueQuantity": {"value": 7.00}, "a": 1, "a": 2}'
        hook["prefetch"] = {"patient": None, "observations": "HERE", "empty": {}}
        body = json.dumps(hook).replace('"HERE"', text)

        prefetch = read_hook(body.encode()).prefetch

        assert prefetch is not None
        assert {"patient": b"null", "observations": text.encode(), "empty": b"{}"} == {
            key: bytes(value) for key, value in prefetch.items()
        }

    @pytest.mark.parametrize(
        "user", ["Practitioner", "PractitionerRole", "Patient", "RelatedPerson"]
    )
    def test_the_users_of_the_hook(self, hook: dict[str, Any], user: str) -> None:
        """Among them the patient."""
        body = json.dumps(changed(hook, "context.userId", f"{user}/1"))

        assert f"{user}/1" == read_hook(body.encode()).context.user_id

    @pytest.mark.parametrize(
        "path", ["extension", "prefetch", "context.encounterId", "unknown", "fhirAuthorization"]
    )
    def test_what_is_optional(self, hook: dict[str, Any], path: str) -> None:
        """May be left out."""
        body = json.dumps(without(hook, path))

        assert "p1" == read_hook(body.encode()).context.patient_id

    def test_only_the_context(self, hook: dict[str, Any]) -> None:
        """Neither prefetch nor a server."""
        least = {key: hook[key] for key in ("hook", "hookInstance", "context")}

        request = read_hook(json.dumps(least).encode())

        assert (None, None) == (request.fhir_server, request.prefetch)

    def test_the_same_bytes_in_another_place_do_no_harm(self, hook: dict[str, Any]) -> None:
        """The prefetch is cut out by its bytes, which an extension may repeat."""
        hook = {"extension": hook["prefetch"]["patient"], **hook}

        assert "p1" == read_hook(json.dumps(hook).encode()).context.patient_id

    def test_an_error_names_the_member(self, hook: dict[str, Any]) -> None:
        """For whoever connects an EHR."""
        with pytest.raises(HookError, match=r"^\$\.context\.patientId is not what"):
            read_hook(json.dumps(changed(hook, "context.patientId", "a/b")).encode())
