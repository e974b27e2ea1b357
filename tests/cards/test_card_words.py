"""What a card's words may say is checked when they are loaded."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cds_service.trial.card_words import CardWords
from cds_service.trial.site import load_yaml

TRIAL_FILE = Path(__file__).parents[2] / "cds_service" / "trials" / "net_retreat.yaml"


@pytest.fixture
def words() -> dict[str, Any]:
    """The words of the real trial, to break."""
    content: dict[str, Any] = load_yaml(TRIAL_FILE.read_text(encoding="utf-8"))["card"]
    return copy.deepcopy(content)


def test_the_words_of_the_trial_are_good(words: dict[str, Any]) -> None:
    """As they are shipped."""
    assert "NET RETREAT" == CardWords.model_validate(words).trial


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{nxt}", r"cannot fill \{nxt\}; allowed here: next, trial"),
        ("{next.__class__}", "cannot fill"),
        ("{next!r}", "no format after a name"),
        ("{next:>999999}", "no format after a name"),
        ("{next", "is no template"),
        ("{}", "cannot fill"),
        ("The patient is eligible", "'eligible', which only an investigator concludes"),
        ("Qualifies: {next}", "'Qualif'"),
        ("{next}: should be enrolled", "'should be enrol'"),
    ],
)
def test_a_bad_template_is_refused(words: dict[str, Any], template: str, message: str) -> None:
    """It names what it could not fill, or what it must not say."""
    words["summary"]["results"]["possible"] = template

    with pytest.raises(ValidationError, match=message):
        CardWords.model_validate(words)


def test_an_unknown_key_is_refused(words: dict[str, Any]) -> None:
    """A misspelt key would be words that nobody sees."""
    words["summary"]["headline"] = "x"

    with pytest.raises(ValidationError, match="headline"):
        CardWords.model_validate(words)


def test_no_result_may_be_without_words(words: dict[str, Any]) -> None:
    """Each overall result needs its own."""
    del words["summary"]["results"]["excluded"]

    with pytest.raises(ValidationError, match="excluded"):
        CardWords.model_validate(words)
