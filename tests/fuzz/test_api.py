"""Requests of every kind, made from the document of the interface, against the whole service.

``HYPOTHESIS_PROFILE=thorough`` makes forty times as many.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi import checks
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from tests.fuzz.api import document, service

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
CONFIG = {
    "generation": {
        "mode": "all",
        "deterministic": not THOROUGH,
        "max-examples": 1000 if THOROUGH else 25,
        "allow-x00": True,
    },
    # What is well-formed may still be about a patient or a card that is not there.
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", 404, 412, 503]},
        "negative_data_rejection": {"expected-statuses": [400, 404, 405, 413, 415]},
    },
}
CHECKS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
    checks.unsupported_method,
    checks.allow_header_conformance,
)
# Refusals of what no schema can say; the document says them in words.
IN_WORDS = (
    "body has a number that cannot be read",
    "fhirAuthorization is for another patient",
)
LIMITS = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=not THOROUGH,
    max_examples=CONFIG["generation"]["max-examples"],
)


@pytest.fixture(scope="module")
def statuses() -> Counter[tuple[str, int]]:
    """How often each operation answered with each status."""
    return Counter()


class _Service:
    """The service, which is made when a test needs it; the tests are made when they are found."""

    def __init__(self) -> None:
        self.app: Starlette | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


SERVICE = _Service()
API = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig.from_dict(CONFIG))
API.app = SERVICE


@pytest.fixture(scope="module", autouse=True)
def whole_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The service behind the document."""
    SERVICE.app = service(tmp_path_factory.mktemp("service"))
    yield
    # Left to the end of the process otherwise.
    shutdown_lifespans()


@API.parametrize()
@LIMITS
def test_every_answer_is_described(
    case: schemathesis.Case, statuses: Counter[tuple[str, int]]
) -> None:
    """Whatever is sent, the answer is one of the document, and no fault of the service."""
    response = case.call()
    statuses[case.operation.label, response.status_code] += 1
    in_words = response.status_code == 400 and any(text in response.text for text in IN_WORDS)
    excluded = [checks.positive_data_acceptance] if in_words else []
    case.validate_response(response, checks=list(CHECKS), excluded_checks=excluded)


def test_not_only_refusals_were_looked_at(statuses: Counter[tuple[str, int]]) -> None:
    """The requests got as far as a card, and failed in every way that a request alone can."""
    seen = {status for (label, status) in statuses if label.endswith("{service}")}

    assert {200, 400, 404, 405, 412} <= seen, statuses
