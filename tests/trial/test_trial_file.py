"""The trial file: what it holds, and how the loader speaks of what is wrong with one."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cds_service.errors import TrialFileError
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.trial.load import DEFAULT_TRIAL, load_trial
from cds_service.trial.schema import Trial
from cds_service.trial.site import load_yaml

INCLUSION = [
    "age",
    "midgut-net",
    "metastatic",
    "unresectable",
    "histology",
    "grade",
    "sstr-pet",
    "sstr-positive",
    "prrt-exposure",
    "everolimus-limit",
    "no-alpha-therapy",
    "no-alkylator",
    "progression",
    "no-intervening-therapy",
    "toxicity",
    "ecog",
    "hemoglobin",
    "neutrophils",
    "platelets",
    "bilirubin",
    "creatinine-clearance",
    "quality-of-life",
    "somatostatin-analogue",
    "consent",
    "contraception",
    "pregnancy-test",
    "follow-up",
    "adverse-event-return",
    "everolimus-access",
    "hiv",
    "other-malignancy",
]
EXCLUSION = [
    "recent-surgery",
    "brain-metastases",
    "heart-failure",
    "oral-intake",
    "uncontrolled-condition",
    "pregnancy",
    "breastfeeding",
]
STATUSES = {"met", "not_met", "unknown", "needs_confirmation", "not_applicable"}


@pytest.fixture(scope="module")
def codes() -> CodeBook:
    """The code tables that a trial file is checked against."""
    return CodeBook(load_tables())


@pytest.fixture(scope="module")
def trial(codes: CodeBook) -> Trial:
    """NET RETREAT."""
    return load_trial(None, codes)


class TestNetRetreat:
    """What the trial file of NET RETREAT has to hold."""

    def test_the_criteria_in_order(self, trial: Trial) -> None:
        """Every criterion, inclusion before exclusion."""
        assert INCLUSION + EXCLUSION == [one.id for one in trial.criteria]
        assert ["inclusion"] * 31 + ["exclusion"] * 7 == [one.kind for one in trial.criteria]

    def test_every_sentence_is_decided(self, trial: Trial) -> None:
        """No sentence of the public text is without a criterion, and no criterion without one."""
        decided = [number for one in trial.criteria for number in one.sentences]

        assert set(trial.sentences) == set(decided)
        assert all(one.sentences for one in trial.criteria)

    def test_every_criterion_says_what_it_means(self, trial: Trial) -> None:
        """What it says, what the absence of data means, and words for every outcome."""
        for one in trial.criteria:
            assert one.says, one.id
            assert one.absence, one.id
            assert one.outcomes, one.id
            assert all(outcome.words.strip() for outcome in one.outcomes.values()), one.id
            assert {outcome.status for outcome in one.outcomes.values()} <= STATUSES, one.id

    @pytest.mark.parametrize(
        "criterion",
        [
            "midgut-net",
            "sstr-pet",
            "prrt-exposure",
            "progression",
            "bilirubin",
            "creatinine-clearance",
            "pregnancy-test",
            "heart-failure",
        ],
    )
    def test_an_ambiguous_sentence_carries_its_readings(self, trial: Trial, criterion: str) -> None:
        """The reading chosen, and at least one alternative."""
        reading = trial.criterion(criterion).reading

        assert reading.chosen
        assert reading.alternatives

    @pytest.mark.parametrize(
        ("criterion", "path", "expected"),
        [
            ("hemoglobin", "limit", "80"),
            ("hemoglobin", "within_days", "28"),
            ("neutrophils", "limit", "1.0"),
            ("platelets", "limit", "80"),
            ("bilirubin", "times_uln", "1.5"),
            ("creatinine-clearance", "limit", "50"),
            ("creatinine-clearance", "weight_within_days", "90"),
            ("age", "minimum_years", "18"),
            ("ecog", "maximum", "2"),
            ("everolimus-limit", "maximum_days", "31"),
            ("recent-surgery", "within_days", "42"),
            ("sstr-pet", "within_months", "36"),
            ("prrt-exposure", "tolerance", "0.10"),
            ("prrt-exposure", "under_way_days", "112"),
            ("progression", "minimum_months", "12"),
            ("toxicity", "within_days", "90"),
            ("hiv", "within_months", "6"),
            ("pregnancy", "status_within_days", "300"),
        ],
    )
    def test_limits(self, trial: Trial, criterion: str, path: str, expected: str) -> None:
        """The limits are those of the text, as exact numbers."""
        assert expected == str(getattr(trial.criterion(criterion).rule, path))

    def test_no_words_conclude(self) -> None:
        """Nothing shown says that anyone is or is not eligible, qualifies, or should enrol."""
        forbidden = re.compile(r"\b(in)?eligible\b|\bqualif(y|ies)\b|\bshould enrol", re.IGNORECASE)

        for path, text in _shown(load_yaml(DEFAULT_TRIAL.read_text(encoding="utf-8"))):
            assert not forbidden.search(text), path

    def test_hemoglobin_is_spelled_in_one_way(self, codes: CodeBook) -> None:
        """In the trial file as in the tables: both stand on one card."""
        texts = [text for _, text in _shown(load_yaml(DEFAULT_TRIAL.read_text(encoding="utf-8")))]

        assert "Hemoglobin" == codes.label("hemoglobin")
        assert [] == [text for text in texts if "haemoglobin" in text.lower()]

    def test_the_version_of_the_text_is_told(self, trial: Trial) -> None:
        """The file names the text that it implements, and says to check the current protocol."""
        assert "NCT05773274" == trial.registry
        assert "2023" in trial.text_version
        assert "check the current protocol" in trial.notice
        assert trial.text_digest.startswith("sha256:")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", trial.digest)

    def test_orders_are_tests_that_settle_something(self, trial: Trial) -> None:
        """Every order and question is used, and every one used is there."""
        orders = {key for one in trial.criteria for key in one.settles.orders}
        questions = {key for one in trial.criteria for key in one.settles.questions}

        assert set(trial.orders) == orders
        assert set(trial.questions) == questions


def _shown(content: Any, path: str = "") -> Any:
    """Every text of the file that a reader may see, with where it stands."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _shown(value, f"{path}.{key}")
    elif isinstance(content, list):
        for position, value in enumerate(content):
            yield from _shown(value, f"{path}[{position}]")
    elif isinstance(content, str):
        yield path, content


class TestErrors:
    """A wrong trial file is refused, with the file, the line and the criterion."""

    @pytest.fixture
    def refused(self, tmp_path: Path, codes: CodeBook) -> Any:
        """Change the text of NET RETREAT once, and give the error and the line changed."""

        def change(old: str, new: str) -> tuple[TrialFileError, int]:
            text = DEFAULT_TRIAL.read_text(encoding="utf-8")
            assert old in text
            changed = text.replace(old, new, 1)
            path = tmp_path / "changed.yaml"
            path.write_text(changed, encoding="utf-8")
            with pytest.raises(TrialFileError) as caught:
                load_trial(path, codes)
            return caught.value, text[: text.index(old)].count("\n") + 1

        return change

    @pytest.mark.parametrize(
        ("old", "new", "criterion", "told"),
        [
            pytest.param(
                "rule: {kind: age, minimum_years: 18}",
                "rule: {kind: age, minimum_years: many}",
                "age",
                "minimum_years",
                id="bad limit",
            ),
            pytest.param(
                'comparison: ">=", limit: 80, within_days: 28}',
                'comparison: "=>", limit: 80, within_days: 28}',
                "hemoglobin",
                "comparison",
                id="bad comparison",
            ),
            pytest.param(
                "rule: {kind: lab, result: [hemoglobin],",
                "rule: {kind: lab, result: [haemoglobin],",
                "hemoglobin",
                "haemoglobin",
                id="unknown concept",
            ),
            pytest.param(
                "rule: {kind: age,", "rule: {kind: years,", "age", "years", id="unknown kind"
            ),
            pytest.param(
                "rule: {kind: age, minimum_years: 18}",
                "rule: {kind: age, minimum_years: 18, maximum_years: 99}",
                "age",
                "maximum_years",
                id="unknown parameter",
            ),
            pytest.param(
                "      too_young: {status: not_met, change: time, "
                'words: "{age} years; 18th birthday {birthday}"}\n',
                "",
                "age",
                "too_young",
                id="missing outcome",
            ),
            pytest.param(
                "      no_birth_date: {status: unknown,",
                "      no_birthday: {status: unknown,",
                "age",
                "no_birth",
                id="unknown outcome",
            ),
            pytest.param(
                'words: "{age} years"}',
                'words: "{years} years"}',
                "age",
                "years",
                id="unknown placeholder",
            ),
            pytest.param(
                'words: "{age} years"}',
                'words: "{age years"}',
                "age",
                "brace",
                id="broken placeholder",
            ),
            pytest.param(
                "old_enough: {status: met, words",
                "old_enough: {status: fine, words",
                "age",
                "status",
                id="unknown status",
            ),
            pytest.param(
                "too_young: {status: not_met, change: time,",
                "too_young: {status: not_met,",
                "age",
                "change",
                id="not_met without a change",
            ),
            pytest.param(
                "old_enough: {status: met, words",
                "old_enough: {status: met, headline: old, words",
                "age",
                "headline",
                id="headline of what is met",
            ),
            pytest.param(
                "too_young: {status: not_met, change: time,",
                'too_young: {status: not_met, headline: "{age} years", change: time,',
                "age",
                "age",
                id="headline with a value",
            ),
            pytest.param(
                "too_young: {status: not_met, change: time,",
                "too_young: {status: not_met, headline: not eligible yet, change: time,",
                "age",
                "eligible",
                id="headline that concludes",
            ),
            pytest.param(
                "  - id: metastatic\n",
                "  - id: midgut-net\n",
                "midgut-net",
                "twice",
                id="duplicate id",
            ),
            pytest.param(
                "    sentences: [i-1]\n",
                "    sentences: [i-1, i-99]\n",
                "age",
                "i-99",
                id="unknown sentence",
            ),
            pytest.param(
                "settles: {questions: [birth-date]}",
                "settles: {questions: [birthday]}",
                "age",
                "birthday",
                id="unknown question",
            ),
            pytest.param(
                "settles: {orders: [hemoglobin]}",
                "settles: {orders: [blood]}",
                "hemoglobin",
                "blood",
                id="unknown order",
            ),
            pytest.param(
                "      advisory_old: Older than the recommended 12 months.\n",
                "",
                "sstr-pet",
                "advisory_old",
                id="missing phrase",
            ),
        ],
    )
    def test_names_file_line_and_criterion(
        self, refused: Any, old: str, new: str, criterion: str, told: Any
    ) -> None:
        """The message names the file and the criterion, and the line is near the mistake."""
        error, line = refused(old, new)

        assert "changed.yaml" in str(error)
        assert criterion in str(error)
        assert told in str(error)
        found = int(re.search(r"changed\.yaml:(\d+)", str(error))[1])
        assert abs(found - line) <= 12

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            pytest.param(
                "  diagnoses: [net]",
                "  diagnoses: [neuroendocrine]",
                "neuroendocrine",
                id="relevance",
            ),
            pytest.param("code: 718-7}", "code: 777-3}", "777-3", id="order of another test"),
            pytest.param(
                "concept: body_weight}", "concept: body_mass}", "body_mass", id="what is asked for"
            ),
            pytest.param(
                "  i-1: At least",
                "  i-0: Something new.\n  i-1: At least",
                "i-0",
                id="sentence that nothing decides",
            ),
            pytest.param(
                "    sentences: [i-1]\n",
                "    sentences: [i-2a]\n",
                "i-1",
                id="sentence that nothing decides any more",
            ),
            pytest.param("\nsentences:", "\nsentences: [", "YAML", id="no YAML"),
            pytest.param("id: net-retreat\n", "", "id", id="no id"),
        ],
    )
    def test_names_what_is_wrong_outside_criteria(
        self, refused: Any, old: str, new: str, told: Any
    ) -> None:
        """A mistake outside the criteria names the file and what is wrong."""
        error, _ = refused(old, new)

        assert "changed.yaml" in str(error)
        assert told in str(error)

    def test_a_file_that_is_not_there(self, tmp_path: Path, codes: CodeBook) -> None:
        """It is named."""
        with pytest.raises(TrialFileError, match=r"nowhere\.yaml"):
            load_trial(tmp_path / "nowhere.yaml", codes)

    def test_a_changed_file_has_another_digest(
        self, tmp_path: Path, codes: CodeBook, trial: Trial
    ) -> None:
        """The digest is that of the file's bytes."""
        path = tmp_path / "changed.yaml"
        path.write_bytes(DEFAULT_TRIAL.read_bytes() + b"\n# a remark\n")

        assert trial.digest != load_trial(path, codes).digest


class TestSchema:
    """The JSON Schema of the form."""

    def test_the_trial_file_fits_its_schema(self) -> None:
        """An editor that checks against the schema has nothing to complain of."""
        content = load_yaml(DEFAULT_TRIAL.read_text(encoding="utf-8"))
        plain = json.loads(json.dumps(content, default=float))

        jsonschema.validate(plain, Trial.model_json_schema())

    def test_the_schema_refuses_an_unknown_key(self) -> None:
        """A misspelt key is an error in the editor too."""
        content = load_yaml(DEFAULT_TRIAL.read_text(encoding="utf-8"))
        plain = json.loads(json.dumps(content, default=float))
        plain["criteria"][0]["ruel"] = plain["criteria"][0].pop("rule")

        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(plain, Trial.model_json_schema())


def test_placeholders_are_names(trial: Trial) -> None:
    """Words are filled by name, never by position, attribute or index."""
    for one in trial.criteria:
        for outcome in one.outcomes.values():
            for _, field, _, _ in string.Formatter().parse(outcome.words):
                assert field is None or field.isidentifier(), (one.id, outcome.words)
