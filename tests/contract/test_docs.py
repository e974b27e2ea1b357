"""The documents keep step with the code.

Some parts of them are written by this file: ``.venv/bin/python -m tests.contract.test_docs``.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import jsonschema
import pytest
import typer
from pydantic.fields import FieldInfo

from cds_service.cli import app
from cds_service.criteria.attest import read_attestations
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.record.units import Problem
from cds_service.settings import PREFIX, Settings
from cds_service.trial.load import _is_phrase, load_trial
from cds_service.trial.rules import Rule
from cds_service.trial.rules.model import RuleModel
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site, load_yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
SCHEMA = DOCS / "trial.schema.json"
PACKAGE = ROOT / "cds_service"
DOCUMENTS = sorted([README, ROOT / "CHANGELOG.md", *DOCS.glob("*.md")])

_TABLE_ROW = re.compile(r"^\| `([a-z-]+)` \|", re.MULTILINE)
_KEBAB = re.compile(r"[a-z]+(-[a-z]+)*")
_TYPES = {str: "text", int: "whole number", Decimal: "number"}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# --- What is written by command ----------------------------------------------------------------


def _trial() -> Trial:
    return load_trial(None, CodeBook(load_tables()))


def schema_text() -> str:
    """The JSON Schema of a trial file."""
    schema = Trial.model_json_schema()
    # Set when a file is loaded, never written in one.
    del schema["properties"]["digest"]
    named = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(named, indent=2, ensure_ascii=False) + "\n"


def rule_kinds() -> tuple[type[RuleModel], ...]:
    """Every kind of rule that a criterion may have."""
    return get_args(get_args(Rule)[0])


def _kind(rule: type[RuleModel]) -> str:
    return str(get_args(rule.model_fields["kind"].annotation)[0])


def kinds_text() -> str:
    """The kinds of rule: what each is, its parameters, and what it may find."""
    rules = rule_kinds()
    parts = dict.fromkeys(part for rule in rules for part in _parts_below(rule))
    texts = [_rule_text(f"### `{_kind(rule)}`", rule) for rule in rules]
    texts.append("### Parts of rules")
    texts += [_rule_text(f"#### {part.__name__}", part) for part in parts]
    return "\n\n".join(texts)


def _rule_text(heading: str, rule: type[RuleModel]) -> str:
    about, _, arguments = (inspect.getdoc(rule) or "").partition("Args:")
    meanings = dict(re.findall(r"^\s*(\w+): (.+(?:\n {8}.+)*)", arguments, re.MULTILINE))
    parameters = [
        f"`{name}` ({_parameter_text(field, meanings.get(name, ''))})"
        for name, field in rule.model_fields.items()
        if name != "kind"
    ]
    lines = [heading, "", _one_line(about)]
    if parameters:
        lines += ["", f"- Parameters: {'; '.join(parameters)}."]
    if rule.OUTCOMES:
        lines += ["" if not parameters else None, f"- Outcomes: {'; '.join(_outcome_texts(rule))}."]
    return "\n".join(line for line in lines if line is not None)


def _parameter_text(field: FieldInfo, meaning: str) -> str:
    said = _type_text(field.annotation) + ("" if field.is_required() else ", optional")
    return f"{said}: {_one_line(meaning).rstrip('.')}" if meaning else said


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _outcome_texts(rule: type[RuleModel]) -> Iterator[str]:
    for key, values in rule.OUTCOMES.items():
        name = f"*`{key}`*" if _is_phrase(key) else f"`{key}`"
        yield " ".join([name, *(f"`{{{value}}}`" for value in sorted(values))])


def _type_text(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in arguments)
    if annotation in _TYPES:
        return _TYPES[annotation]
    if origin is tuple:
        inner = arguments[0]
        if inner is str:
            return "concepts"
        plural = {int: "whole numbers", Decimal: "numbers"}
        return plural.get(inner) or f"list of {_type_text(inner)}"
    if type(None) in arguments:
        return _type_text(next(one for one in arguments if one is not type(None)))
    return f"`{annotation.__name__}`"


def _parts_below(rule: type[RuleModel]) -> Iterator[type[RuleModel]]:
    for field in rule.model_fields.values():
        yield from _models(field.annotation)


def _models(annotation: Any) -> Iterator[type[RuleModel]]:
    if isinstance(annotation, type) and issubclass(annotation, RuleModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def readings_text() -> str:
    """The readings of the trial file."""
    lines = ["| criterion | reading chosen | others |", "| --- | --- | --- |"]
    for spec in _trial().criteria:
        if spec.reading is not None:
            others = " ".join(spec.reading.alternatives)
            lines.append(f"| `{spec.id}` | {spec.reading.chosen} | {others} |")
    return "\n".join(lines)


def _with_part(text: str, mark: str, part: str) -> str:
    start, end = f"<!-- {mark} -->", "<!-- end -->"
    before, _, rest = text.partition(start)
    return f"{before}{start}\n\n{part}\n\n{end}{rest.partition(end)[2]}"


WRITTEN = {
    "trial.schema.json": lambda _: schema_text(),
    "trial-file.md": lambda text: _with_part(text, "kinds", kinds_text()),
    "readings.md": lambda text: _with_part(text, "readings", readings_text()),
}


def write() -> None:
    """Write those parts anew."""
    for name, make in WRITTEN.items():
        path = DOCS / name
        path.write_text(make(_read(path) if path.exists() else ""), encoding="utf-8")


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_what_is_written_by_command_is_current(name: str) -> None:
    """Else: ``.venv/bin/python -m tests.contract.test_docs``."""
    text = _read(DOCS / name)

    assert WRITTEN[name](text) == text


def test_the_trial_file_fits_its_schema() -> None:
    """An editor that checks with the schema accepts what the service accepts."""
    content = load_yaml(_read(PACKAGE / "trials" / "net_retreat.yaml"))

    jsonschema.validate(content, json.loads(_read(SCHEMA)))


def test_the_schema_refuses_what_the_service_refuses() -> None:
    """A misspelt parameter."""
    content = load_yaml(_read(PACKAGE / "trials" / "net_retreat.yaml"))
    content["criteria"][0]["rule"]["minimum_year"] = 18

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json.loads(_read(SCHEMA)))


# --- Settings, commands ------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_in_the_readme(name: str) -> None:
    """With what it means, in the table."""
    assert f"| `{PREFIX}{name.upper()}` | " in _read(README)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_setting_that_is_not_there(document: Path) -> None:
    """A misspelt one would stop the start."""
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]", _read(document)))

    assert set() == named - {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def _commands() -> dict[str, list[str]]:
    group: Any = typer.main.get_command(app)
    return {
        name: [option for parameter in command.params for option in parameter.opts]
        for name, command in group.commands.items()
    }


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_and_option_is_in_the_readme(name: str) -> None:
    """By its name."""
    text = _read(README)

    assert f"cds-service {name}" in text
    for option in _commands()[name]:
        assert not option.startswith("--") or f"`{option}`" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists(document: Path) -> None:
    """Both those of ``./run`` and those of the service."""
    text = _read(document)
    usage = subprocess.run(
        [ROOT / "run", "help"], capture_output=True, text=True, check=True
    ).stdout
    runs = set(re.findall(r"^  (\w+) ", usage, re.MULTILINE))

    assert set() == set(re.findall(r"\./run (\w+)", text)) - runs
    assert set() == set(re.findall(r"bin/cds-service (\w+)", text)) - set(_commands())
    for line in re.findall(r"bin/cds-service .*", text):
        options = set(re.findall(r"(?<= )--[\w-]+", line))
        assert set() == options - {one for known in _commands().values() for one in known}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    """Those to files of the project."""
    links = re.findall(r"\]\(([^)#]+)", _read(document))

    for link in links:
        assert link.startswith("http") or (document.parent / link).exists(), link


def test_every_path_of_the_readme_exists() -> None:
    """In the table that says where things are."""
    paths = set(
        re.findall(r"`((?:cds_service|tests|mappings|docs|fixtures)/[\w./]*)`", _read(README))
    )

    assert paths
    assert [] == [path for path in sorted(paths) if not (ROOT / path).exists()]


def test_the_site_file_of_the_readme_is_one() -> None:
    """With every key that a site file may have."""
    site, _ = _yaml_of_readme()

    assert set(Site.model_fields) == set(site)
    Site.model_validate(site)


def test_the_attestation_file_of_the_readme_is_one() -> None:
    """It names criteria that the trial has."""
    _, attestations = _yaml_of_readme()

    assert len(attestations) == len(read_attestations(attestations, _trial()))


def _yaml_of_readme() -> list[Any]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", _read(README), re.MULTILINE | re.DOTALL)
    return [load_yaml(block) for block in blocks]


# --- Data issues -------------------------------------------------------------------------------


def _documented_codes() -> set[str]:
    return set(_TABLE_ROW.findall(_read(DOCS / "data-issues.md")))


def _emitted_codes() -> set[str]:
    """Every code of a data issue that stands in the source."""
    found = set(get_args(Problem))
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(_read(path))):
            found.update(text for text in _codes_in(node) if _KEBAB.fullmatch(text))
    return found


def _codes_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id="DataIssue"), args=[ast.Constant(value=str(code)), *_]):
            yield code
        case ast.Call(
            func=ast.Attribute(attr="add", value=ast.Name(id="issues") | ast.Name(id="self")),
            args=[ast.Constant(value=str(code)), _, _],
        ):
            yield code
        case ast.Call(func=ast.Attribute(attr="cut"), args=[_, ast.Constant(value=str(code)), *_]):
            yield code
        case ast.Call(func=ast.Name(id="unusable"), args=[_, _, ast.Constant(value=str(code))]):
            yield code
        case ast.Return(value=ast.Tuple(elts=[ast.Constant(value=str(code)), ast.Constant()])):
            yield code
        case ast.AnnAssign(target=ast.Name(id="issue"), value=ast.Constant(value=str(code))):
            yield code


def test_every_data_issue_is_documented() -> None:
    """And nothing is documented that no code emits."""
    emitted = _emitted_codes()

    assert {"no-unit", "modifier", "broken-line", "implausible", "other-focus"} <= emitted
    assert emitted == _documented_codes()


# --- Kinds of rule -----------------------------------------------------------------------------


@pytest.mark.parametrize("rule", rule_kinds(), ids=_kind)
def test_every_kind_of_rule_is_documented(rule: type[RuleModel]) -> None:
    """With its parameters and outcomes."""
    text = _read(DOCS / "trial-file.md")
    section = text.partition(f"### `{_kind(rule)}`\n")[2].partition("\n###")[0]

    assert section
    for name in (*rule.model_fields, *rule.OUTCOMES):
        assert name == "kind" or f"`{name}`" in section


if __name__ == "__main__":
    write()
