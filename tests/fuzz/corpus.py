"""What fuzzing starts from: real charts, requests, tokens, dates, units and texts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cds_service.demo.patients import load_demo_patients
from cds_service.record.tables import load_tables
from tests.charts import TODAY

FOUND = Path(__file__).parent / "found"
"""Inputs that were findings once, a folder for each target."""

HOOK = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "fhirServer": "https://ehr.example/r4",
    "fhirAuthorization": {
        "access_token": "lent",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.rs",
        "subject": "cds-service",
        "patient": "p1",
    },
    "context": {"userId": "Practitioner/9", "patientId": "p1", "encounterId": "e1"},
}
FEEDBACK = {
    "feedback": [
        {
            "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": "e56e1945-20b3-4393-8503-a1a20fd73152"}],
            "outcomeTimestamp": "2026-11-23T10:05:31Z",
        },
        {
            "card": "2020-1",
            "outcome": "overridden",
            "overrideReason": {
                "reason": {"code": "not-a-candidate", "system": "https://example.org/reasons"},
                "userComment": "already on another study",
            },
            "outcomeTimestamp": "2026-11-23T10:05:31.25-05:00",
        },
    ]
}
TOKEN = (
    {"alg": "ES384", "typ": "JWT", "kid": "2026-1", "jku": "https://ehr.example/keys"},
    {
        "iss": "https://ehr.example/fhir",
        "aud": ["https://cds.example/cds-services"],
        "iat": 1795400000,
        "exp": 1795400300,
        "nbf": 1795399700,
        "jti": "ee7f2a5c",
        "tenant": "oncology",
    },
)
_DATES = (
    "2026", "2026-11", "2026-11-23", "2026-11-23T10:05", "2026-11-23T10:05:31Z",
    "2026-11-23T10:05:31.123456789+05:30", "2016-12-31T23:59:60Z", "1850-01-01", "0001-01-01",
    "9999-12-31T23:59:59.999-14:00", "2026-02-29", "2026-03-08T02:30:00",
)  # fmt: skip
_TEXTS = (
    "Haemoglobin 91 g/L (needs >= 80 g/L)", "10*9/L and 10*12/L", "<b>x</b> &lt;i&gt;",
    "[a](https://evil.example) ![x](//evil.example/p)", "www.evil.com, me@evil.example",
    "# a | b\n--- | ---\n1. *x* __y__ `z` ~~w~~", "ww\u200bw.evil.com \u202ex", "evil\u3002com",
    "C7A.012: NET of the ileum", "javascript:alert(1) mailto:x@y.example",
)  # fmt: skip


def dumped(value: Any) -> bytes:
    """A value as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def bundle(resources: Any) -> bytes:
    """Resources as a Bundle."""
    entries = [{"resource": one} for one in resources]
    return dumped({"resourceType": "Bundle", "type": "collection", "entry": entries})


def segment(content: bytes) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@cache
def charts() -> Mapping[str, tuple[dict[str, Any], ...]]:
    """The demo patients' charts, by name."""
    return {one.name: one.resources for one in load_demo_patients(TODAY)}


def _quantities() -> Iterator[bytes]:
    book = load_tables()
    kinds = sorted(row.quantity for row in book.quantities)
    for spelling in book.spellings:
        if spelling.quantity in kinds:
            number = kinds.index(spelling.quantity)
            yield bytes([number]) + f"1.5\n{spelling.spelling}".encode()
    for number, row in enumerate(kinds):
        (unit,) = (one.unit for one in book.quantities if one.quantity == row)
        yield bytes([number]) + f"12\n{unit}\n{unit}\nhttp://unitsofmeasure.org".encode()


def _tokens() -> Iterator[bytes]:
    header, claims = map(dumped, TOKEN)
    yield f"Bearer {segment(header)}.{segment(claims)}.c2lnbmVk".encode()
    # After a line break the target makes a token of the two lines that follow.
    yield b"\n" + header + b"\n" + claims


def seeds(target: str) -> tuple[bytes, ...]:
    """What a target starts from, and what was once found by it."""
    whole = [resources for name, resources in charts().items() if name != "ordinary-diabetes"]
    made: dict[str, Any] = {
        # A few resources at a time: small inputs are changed faster.
        "bundle": [*map(bundle, whole[:2]), *(bundle((one[0], *one[7:11])) for one in whole)],
        "ndjson": [b"\n".join(map(dumped, (one[0], *one[7:11]))) for one in whole],
        "date": [bytes([number]) + text.encode() for number, text in enumerate(_DATES)],
        "quantity": _quantities(),
        "markdown": [text.encode() for text in _TEXTS],
        "hook": [dumped(HOOK), dumped({**HOOK, "prefetch": {"patient": whole[0][0], "x": None}})],
        "feedback": [dumped(FEEDBACK)],
        "token": _tokens(),
    }
    return (*made[target], *found(target).values())


def found(target: str) -> dict[str, bytes]:
    """The inputs of :data:`FOUND` for a target, by name."""
    return {file.name: file.read_bytes() for file in sorted((FOUND / target).glob("*"))}
