"""The document of the HTTP interface says what the code does: no more, no less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator
from starlette.routing import Route

from cds_service import report
from cds_service.cards import model
from cds_service.cdshooks import models
from cds_service.cdshooks.envelope import HOOK
from cds_service.operations.outcome import ISSUE_CODES
from tests.fuzz.api import DOCUMENT, SERVICE_ID, document, service

REQUESTS = (
    models.HookRequest, models.PatientViewContext, models.FhirAuthorization, models.FeedbackRequest,
    models.FeedbackItem, models.AcceptedSuggestion, models.OverrideReason, models.ReasonCoding,
)  # fmt: skip
ANSWERS = (
    models.Services, models.Service, model.Cards, model.Card, model.Source, model.Coding,
    model.Suggestion, model.Action, model.Link, report.Report, report.Version, report.Evidence,
    report.CriterionResult, report.Missing, report.Segment, report.Issue,
)  # fmt: skip


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation."""
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method.upper(), operation


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """What the application serves; HEAD goes with GET."""
    app = service(tmp_path_factory.mktemp("service"))
    assert all(isinstance(route, Route) for route in app.routes)
    return {
        (route.path, method)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def test_every_route_is_described_and_nothing_else(routes: set[tuple[str, str]]) -> None:
    """By path and method."""
    assert routes == {(path, method) for path, method, _ in operations()}


@pytest.mark.parametrize("struct", [*REQUESTS, *ANSWERS], ids=lambda struct: struct.__name__)
def test_members_are_those_of_the_code(struct: type[msgspec.Struct]) -> None:
    """Names, and which are always there."""
    described = document()["components"]["schemas"][struct.__name__]
    fields = msgspec.structs.fields(struct)
    # An answer leaves members out only where its struct says so.
    omits = struct in REQUESTS or struct.__struct_config__.omit_defaults
    always = {one.encode_name for one in fields if one.required or not omits}

    assert {one.encode_name for one in fields} == set(described["properties"])
    assert always == set(described.get("required", ()))


@pytest.mark.parametrize("struct", REQUESTS, ids=lambda struct: struct.__name__)
def test_choices_and_limits_are_those_of_the_code(struct: type[msgspec.Struct]) -> None:
    """Enumerations, lengths and least values of what is taken, member by member."""
    _, schemas = msgspec.json.schema_components([struct], ref_template="{name}")
    described = document()["components"]["schemas"]
    own = schemas[struct.__name__]["properties"]
    for name, schema in own.items():
        told = described[struct.__name__]["properties"][name]
        # The one hook is checked after the struct is read.
        beyond = {("choice", HOOK)} if name == "hook" else set()
        assert limits(schema, schemas) | beyond == limits(told, described), name


def limits(schema: dict[str, Any], schemas: dict[str, Any]) -> set[tuple[str, Any]]:
    """What a schema says about a scalar, in one form for all spellings."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if "properties" in schemas[name]:
            return {("object", name)}
        return limits(schemas[name], schemas)
    found: set[tuple[str, Any]] = set()
    for one in schema.get("anyOf", ()):
        found |= limits(one, schemas)
    # A whole number by another name.
    kinds = "integer" if schema.get("multipleOf") == 1 else schema.get("type", ())
    # That a member may be null goes with its not being required, which is tested above.
    found |= {("type", kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)}
    choices = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    found |= {("choice", choice) for choice in choices if choice is not None}
    if choices:
        found |= {("type", "null" if choice is None else "string") for choice in choices}
    for limit in ("minLength", "maxLength", "minimum"):
        if limit in schema:
            found.add((limit, schema[limit]))
    if "exclusiveMinimum" in schema:
        found.add(("minimum", schema["exclusiveMinimum"] + 1))
    if "pattern" in schema:
        found.add(("pattern", schema["pattern"].removesuffix("\\Z").removesuffix("$")))
    if "items" in schema:
        found |= {("items", limit) for limit in limits(schema["items"], schemas)}
    return found


def test_every_error_has_a_code_of_the_document() -> None:
    """The codes of errors, and those of no status of their own."""
    described = document()["components"]["schemas"]["OperationOutcome"]
    codes = described["properties"]["issue"]["items"]["properties"]["code"]["enum"]

    assert {*ISSUE_CODES.values(), "exception"} == set(codes)


def test_examples_are_what_they_show() -> None:
    """Each fits its schema, and the codes take it."""
    shown = 0
    for _, _, operation in operations():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for example in media["examples"].values():
                schema = {**document(), **media["schema"]}
                Draft202012Validator(schema).validate(example["value"])
                shown += 1

    assert shown == 8


def test_the_service_has_the_id_of_the_document() -> None:
    """Or no call of the document would reach it."""
    parameter = document()["components"]["parameters"]["service"]

    assert [SERVICE_ID] == parameter["schema"]["enum"]


def test_the_document_is_plain_yaml() -> None:
    """So that any tool reads it: no tags, no dates in place of texts."""
    assert yaml.safe_load(DOCUMENT.read_text(encoding="utf-8")) == document()
