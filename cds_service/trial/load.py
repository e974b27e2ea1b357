"""Reads a trial file: YAML, checked against its form, the rules' outcomes and the code tables.

Every error names the file, the line and, within a criterion, the criterion.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from cds_service.errors import InputError, TrialFileError
from cds_service.trial.schema import CriterionSpec, Trial
from cds_service.trial.site import load_yaml

DEFAULT_TRIAL = Path(__file__).parent.parent / "trials" / "net_retreat.yaml"


class Vocabulary(Protocol):
    """What a trial file is checked against."""

    def label(self, concept: str) -> str:
        """The concept's name; KeyError where the tables do not have it."""
        ...

    def match(self, system: str | None, code: str | None) -> Any:
        """What a code stands for."""
        ...


class _Lines:
    """Finds the line of a key path in a YAML text."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _root(self) -> Node | None:
        """The file's nodes; only what is wrong with a file asks for them."""
        root: Node | None = YAML(typ="safe", pure=True).compose(self._text)
        return root

    def of(self, path: Sequence[str | int]) -> int | None:
        """The 1-based line of the deepest part of a path that is there."""
        node, line = self._root, None
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            node, line = found
        return line


def _child(node: Node | None, part: str | int) -> tuple[Node, int] | None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        value = node.value[part]
        return value, value.start_mark.line + 1
    return None


def load_trial(path: Path | None, vocabulary: Vocabulary) -> Trial:
    """Read and check a trial file.

    Args:
        path: the file; None for NET RETREAT.
        vocabulary: the code tables that its concepts must be in.

    Raises:
        TrialFileError: it says something wrong; names file, line and criterion.
    """
    path = path or DEFAULT_TRIAL
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrialFileError("cannot be read", file=str(path)) from error
    content, lines = _parse(text, path)
    try:
        trial = Trial.model_validate(content)
    except ValidationError as error:
        raise _form_error(error, content, lines, path) from error
    for where, message in _problems(trial, vocabulary):
        raise TrialFileError(_named(content, where) + message, file=path.name, line=lines.of(where))
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    return trial.model_copy(update={"digest": digest})


def _parse(text: str, path: Path) -> tuple[Any, _Lines]:
    try:
        return load_yaml(text), _Lines(text)
    except InputError as error:
        cause = error.__cause__
        mark = cause.problem_mark if isinstance(cause, MarkedYAMLError) else None
        line = None if mark is None else mark.line + 1
        raise TrialFileError(str(error), file=path.name, line=line) from error


def _form_error(error: ValidationError, content: Any, lines: _Lines, path: Path) -> TrialFileError:
    first = error.errors()[0]
    where = first["loc"]
    key = ".".join(str(part) for part in where)
    message = f"{_named(content, where)}{key}: {first['msg']}"
    return TrialFileError(message, file=path.name, line=lines.of(where))


def _named(content: Any, where: Sequence[str | int]) -> str:
    """The criterion that a path lies in, as the beginning of a message."""
    if len(where) > 1 and where[0] == "criteria" and isinstance(where[1], int):
        criteria = content.get("criteria") or []
        one = criteria[where[1]] if where[1] < len(criteria) else None
        if isinstance(one, dict):
            return f"criterion {one.get('id')}: "
    return ""


_Problem = tuple[Sequence[str | int], str]


def _problems(trial: Trial, vocabulary: Vocabulary) -> Iterator[_Problem]:
    yield from _whole(trial, vocabulary)
    for position, spec in enumerate(trial.criteria):
        for where, message in _criterion(spec, trial, vocabulary):
            yield ("criteria", position, *where), message


def _whole(trial: Trial, vocabulary: Vocabulary) -> Iterator[_Problem]:
    ids = [spec.id for spec in trial.criteria]
    for position, id_ in enumerate(ids):
        if id_ in ids[:position]:
            yield ("criteria", position, "id"), f"the id {id_!r} is used twice"
    decided = {number for spec in trial.criteria for number in spec.sentences}
    for number in trial.sentences:
        if number not in decided:
            yield ("sentences", number), f"sentence {number!r} is decided by no criterion"
    for key, order in trial.orders.items():
        if order.concept not in vocabulary.match(order.system, order.code).concepts:
            yield ("orders", key), f"the code {order.code} does not stand for {order.concept!r}"
    yield from _unknown_concepts(trial, vocabulary)


def _unknown_concepts(trial: Trial, vocabulary: Vocabulary) -> Iterator[_Problem]:
    relevance = trial.relevance
    named: list[tuple[Sequence[str], str]] = [
        (("relevance",), name)
        for name in (*relevance.diagnoses, *relevance.morphology, *relevance.exposures)
    ]
    named += [
        (("questions", key), question.concept)
        for key, question in trial.questions.items()
        if question.concept is not None
    ]
    for where, name in named:
        if not _known(name, vocabulary):
            yield where, f"the tables have no concept {name!r}"


def _criterion(spec: CriterionSpec, trial: Trial, vocabulary: Vocabulary) -> Iterator[_Problem]:
    for number in spec.sentences:
        if number not in trial.sentences:
            yield ("sentences",), f"there is no sentence {number!r}"
    for name in sorted(spec.rule.concepts_used()):
        if not _known(name, vocabulary):
            yield ("rule",), f"the tables have no concept {name!r}"
    for key in spec.settles.orders:
        if key not in trial.orders:
            yield ("settles", "orders"), f"there is no order {key!r}"
    for key in spec.settles.questions:
        if key not in trial.questions:
            yield ("settles", "questions"), f"there is no question {key!r}"
    yield from _outcomes(spec)


def _known(concept: str, vocabulary: Vocabulary) -> bool:
    try:
        vocabulary.label(concept)
    except KeyError:
        return False
    return True


def _outcomes(spec: CriterionSpec) -> Iterator[_Problem]:
    """Every finding of the rule's kind has its outcome or phrase, and words that can be filled."""
    possible = spec.rule.OUTCOMES
    phrases = {key for key in possible if _is_phrase(key)}
    for key in possible:
        if key not in phrases and key not in spec.outcomes and not _optional(key, spec):
            yield ("outcomes",), f"the outcome {key!r} of a {spec.rule.kind} rule is missing"
    for key, outcome in spec.outcomes.items():
        if key not in possible:
            yield ("outcomes", key), f"a {spec.rule.kind} rule has no outcome {key!r}"
            continue
        yield from _words(("outcomes", key), outcome.words, possible[key])
        if (outcome.change is None) == (outcome.status == "not_met"):
            yield ("outcomes", key), "change belongs to not_met, and to nothing else"
        if outcome.headline is not None and outcome.status != "not_met":
            yield ("outcomes", key), "headline belongs to not_met, and to nothing else"
    for key, words in spec.phrases.items():
        if key not in possible:
            yield ("phrases", key), f"a {spec.rule.kind} rule has no phrase {key!r}"
            continue
        yield from _words(("phrases", key), words, possible[key])
    for key in phrases - set(spec.phrases):
        yield ("phrases",), f"the phrase {key!r} of a {spec.rule.kind} rule is missing"


# Outcome keys of these forms are pieces of wording, not findings.
_PHRASE_MARKS = ("advisory_", "how_", "missing_")
_PHRASES = ("derived", "nothing_found")


def _is_phrase(key: str) -> bool:
    return key.startswith(_PHRASE_MARKS) or key in _PHRASES


def _optional(key: str, spec: CriterionSpec) -> bool:
    """Findings that only some parameters of a laboratory rule make possible."""
    rule = spec.rule
    if rule.kind != "lab":
        return False
    if key == "no_uln":
        return rule.times_uln is None
    return key.startswith("exception_") and not rule.exception_diagnosis


def _words(where: Sequence[str | int], words: str, allowed: frozenset[str]) -> Iterator[_Problem]:
    try:
        named = {field for _, field, _, _ in string.Formatter().parse(words) if field is not None}
    except ValueError:
        yield where, "the words have an unmatched brace"
        return
    for field in sorted(named - allowed):
        yield where, f"the words may not mention {{{field}}} here"
