"""The one sentence: the result, and what matters most next."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import msgspec
import pytest

from cds_service.cards.summary import LONGEST, card_summary, shortened
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.report import CriterionResult
from cds_service.trial.load import load_trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from cds_service.report import Report
    from cds_service.trial.schema import Trial

    MakeReport = Callable[..., Report]


@pytest.fixture(scope="module")
def whole() -> Trial:
    """The real trial with its criteria, which have names for what blocks."""
    return load_trial(None, CodeBook(load_tables()))


def renamed(result: CriterionResult, title: str) -> CriterionResult:
    """The same result of a criterion with another title."""
    return msgspec.structs.replace(result, title=title)


def test_all_met_says_until_when(
    make_report: MakeReport, trial: Trial, hemoglobin: CriterionResult
) -> None:
    """The first day on which something expires counts."""
    later = msgspec.structs.replace(hemoglobin, valid_through=date(2029, 6, 1))

    assert (
        "NET RETREAT: all criteria documented as met (through 2026-12-08); "
        "enrolment is the investigator's decision"
    ) == card_summary(make_report("all_met", hemoglobin, later), trial)


def test_all_met_with_no_end(make_report: MakeReport, trial: Trial) -> None:
    """Nothing expires."""
    assert "(no date ends this)" in card_summary(make_report("all_met"), trial)


def test_possible_counts_what_is_missing_and_names_what_is_outdated(
    make_report: MakeReport, trial: Trial, platelets_outdated: CriterionResult
) -> None:
    """The published example."""
    missing = msgspec.structs.replace(platelets_outdated, title="Grade", finding="none")

    assert "Possible NET RETREAT candidate: 3 items missing, platelets outdated" == card_summary(
        make_report("possible", missing, platelets_outdated, missing), trial
    )


def test_one_outdated_item_is_not_counted_as_well(
    make_report: MakeReport,
    trial: Trial,
    platelets_outdated: CriterionResult,
    consent: CriterionResult,
) -> None:
    """It is named, and that is enough."""
    assert "Possible NET RETREAT candidate: platelets outdated, consent to confirm" == card_summary(
        make_report("possible", platelets_outdated, consent), trial
    )


def test_one_missing_item_is_named_and_abbreviations_keep_their_capitals(
    make_report: MakeReport, trial: Trial, platelets_outdated: CriterionResult
) -> None:
    """One is worth its name."""
    missing = msgspec.structs.replace(platelets_outdated, title="ECOG", finding="none")

    assert "Possible NET RETREAT candidate: ECOG missing" == card_summary(
        make_report("possible", missing), trial
    )


def test_one_item_with_data_that_cannot_be_used_is_not_called_missing(
    make_report: MakeReport, trial: Trial, platelets_outdated: CriterionResult
) -> None:
    """There is something, and it says nothing sure."""
    vague = msgspec.structs.replace(platelets_outdated, title="Brain metastases", finding="unread")

    assert "Possible NET RETREAT candidate: brain metastases not decided" == card_summary(
        make_report("possible", vague), trial
    )


def test_items_to_confirm_are_counted(
    make_report: MakeReport, trial: Trial, consent: CriterionResult
) -> None:
    """There are always several."""
    assert "Possible NET RETREAT candidate: 2 items to confirm" == card_summary(
        make_report("possible", consent, consent), trial
    )


def test_not_now_names_what_needs_new_data_before_what_time_cures(
    make_report: MakeReport,
    trial: Trial,
    surgery: CriterionResult,
    platelets_low: CriterionResult,
) -> None:
    """Time needs nobody to act."""
    assert "Not now for NET RETREAT: platelets, 1 more not met" == card_summary(
        make_report("not_now", surgery, platelets_low), trial
    )


def test_not_now_says_from_when(
    make_report: MakeReport, trial: Trial, surgery: CriterionResult
) -> None:
    """The day is what matters most."""
    assert ("Not now for NET RETREAT: recent surgery (can be met from 2026-12-14)") == card_summary(
        make_report("not_now", surgery), trial
    )


BLOCKED = {
    ("progression", "not_progressed"): "no progression since PRRT",
    ("progression", "too_soon"): "progression less than 12 months after PRRT",
    ("sstr-pet", "outdated"): "DOTATATE PET older than 36 months",
    ("platelets", "not_met"): "platelets too low",
    ("bilirubin", "not_met"): "total bilirubin too high",
    ("no-alkylator", "given"): "alkylating agents in the past",
    ("recent-surgery", "recent"): "recent major surgery",
    # What a person stated stands against another finding.
    ("quality-of-life", "ask"): "quality-of-life questionnaires",
}


def blocker(whole: Trial, criterion: str, finding: str) -> CriterionResult:
    """A criterion that is not met for what was found."""
    spec = whole.criterion(criterion)
    assert spec is not None
    return CriterionResult(
        id=criterion,
        kind=spec.kind,
        title=spec.title,
        status="not_met",
        basis="evidence",
        change="new_data",
        summary="",
        finding=finding,
    )


@pytest.mark.parametrize(("criterion", "finding"), BLOCKED)
def test_what_blocks_is_named_by_what_was_found(
    make_report: MakeReport, whole: Trial, criterion: str, finding: str
) -> None:
    """A title alone, such as "Progression after PRRT", may say the contrary."""
    report = make_report("not_now", blocker(whole, criterion, finding))

    assert f"Not now for NET RETREAT: {BLOCKED[criterion, finding]}" == card_summary(report, whole)


def test_whatever_blocks_leaves_room_for_the_rest(make_report: MakeReport, whole: Trial) -> None:
    """No name of a blocker is so long that the number of others is lost."""
    for spec in whole.criteria:
        for finding, outcome in spec.outcomes.items():
            if outcome.status == "not_met":
                one = blocker(whole, spec.id, finding)
                late = msgspec.structs.replace(one, change="time", eligible_from=date(2026, 12, 14))
                summary = card_summary(make_report("not_now", *[late] * 12), whole)
                assert summary.endswith("(can be met from 2026-12-14), 11 more not met"), spec.id


def test_excluded_names_what_stands_for_good(
    make_report: MakeReport,
    trial: Trial,
    platelets_low: CriterionResult,
    alkylator: CriterionResult,
) -> None:
    """Whatever else is not met."""
    summary = card_summary(make_report("excluded", platelets_low, alkylator), trial)

    assert "Outside the NET RETREAT criteria: alkylating agents, 1 more not met" == summary


def test_unread_data_is_named_instead_of_a_promise(
    make_report: MakeReport, trial: Trial, consent: CriterionResult
) -> None:
    """An incomplete screening is no candidate yet."""
    report = make_report("possible", consent, unread=("Observation: timed out", "Consent: refused"))

    assert "NET RETREAT screening incomplete: could not read Observation, Consent" == card_summary(
        report, trial
    )


def test_a_blocker_is_named_before_unread_data(
    make_report: MakeReport, trial: Trial, platelets_low: CriterionResult
) -> None:
    """It stands, whatever the rest would say."""
    report = make_report("not_now", platelets_low, unread=("Consent: refused",))

    assert "Not now for NET RETREAT: platelets, some data could not be read" == card_summary(
        report, trial
    )


def test_parts_that_do_not_fit_are_left_out_whole(
    make_report: MakeReport, trial: Trial, platelets_outdated: CriterionResult
) -> None:
    """Half a part would mislead."""
    long = renamed(platelets_outdated, "X" * 68)
    other = msgspec.structs.replace(platelets_outdated, finding="none")
    confirm = msgspec.structs.replace(
        platelets_outdated, title="Y" * 40, status="needs_confirmation"
    )

    summary = card_summary(make_report("possible", long, other, confirm), trial)

    assert f"Possible NET RETREAT candidate: 2 items missing, {'X' * 68} outdated" == summary


@pytest.mark.parametrize("letter", ["a", "é", "肿", "\N{MATHEMATICAL SCRIPT CAPITAL X}"])
def test_a_summary_is_shorter_than_140_in_every_count(
    make_report: MakeReport, trial: Trial, letter: str
) -> None:
    """Code points, and the UTF-16 units that a browser counts."""
    report = make_report("possible", unread=tuple(letter * 30 for _ in range(9)))

    summary = card_summary(report, trial)

    assert LONGEST >= len(summary.encode("utf-16-le")) // 2 > LONGEST - 3
    assert summary.endswith("…")


@pytest.mark.parametrize("length", [138, 139, 140, 141])
@pytest.mark.parametrize("letter", ["a", "é", "肿"])
def test_only_what_is_too_long_is_cut(letter: str, length: int) -> None:
    """At the limit and one beyond."""
    text = letter * length

    assert shortened(text) == (text if length <= LONGEST else letter * (LONGEST - 1) + "…")


@pytest.mark.parametrize("overall", ["all_met", "possible", "not_now", "excluded", "not_relevant"])
def test_no_summary_concludes(
    make_report: MakeReport, trial: Trial, overall: str, consent: CriterionResult
) -> None:
    """That is for an investigator."""
    summary = card_summary(make_report(overall, consent), trial)

    assert re.search(r"(?i)\beligible|qualif|should", summary) is None


def test_no_text_of_the_chart_gets_into_the_summary(
    make_report: MakeReport, trial: Trial, platelets_low: CriterionResult
) -> None:
    """However loud it is."""
    loud = msgspec.structs.replace(platelets_low, summary="ELIGIBLE - enrol now")

    assert card_summary(make_report("not_now", platelets_low), trial) == card_summary(
        make_report("not_now", loud), trial
    )
