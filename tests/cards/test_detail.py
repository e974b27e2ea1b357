"""The detail: ordered by what can still change the result, each item with its source."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import msgspec
import pytest
from markdown_it import MarkdownIt

from cds_service.cards.detail import card_detail, report_markdown
from cds_service.report import Evidence, Issue, Segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from cds_service.report import CriterionResult, Report
    from cds_service.trial.schema import Trial

    MakeReport = Callable[..., Report]

HOSTILE = (
    "<script>x</script> [a](https://evil.example) ![b](//c.d) www.evil.com a|b\n# h\n`c` **d**"
)


def headings(markdown: str) -> list[str]:
    """The headings of a Markdown text."""
    return [line.lstrip("# ") for line in markdown.splitlines() if line.startswith("#")]


@pytest.fixture
def full(
    make_report: MakeReport,
    hemoglobin: CriterionResult,
    platelets_outdated: CriterionResult,
    consent: CriterionResult,
    surgery: CriterionResult,
) -> Report:
    """A report with something in every section."""
    return make_report(
        "not_now",
        hemoglobin,
        consent,
        platelets_outdated,
        surgery,
        unread=("AdverseEvent: the server answered 500",),
        outlook=(
            Segment(date(2026, 11, 23), date(2026, 12, 13), "not_now", ""),
            Segment(date(2026, 12, 14), date(2027, 11, 23), "possible", "recent-surgery"),
        ),
        data_issues=(Issue("no-unit", "Observation/7", "A result has no unit."),),
        unmapped_drugs=("Wonder drug",),
        advisories=("Days were read in UTC.",),
    )


def test_a_whole_detail(full: Report, trial: Trial) -> None:
    """As a clinician gets it, to the letter."""
    assert card_detail(full, trial) == (
        "**At least one criterion is not met now; that can change. Some data could not be read, so"
        " that this screening is incomplete.** For clinician review. Data as of 2026-11-23.\n"
        "\n"
        "### What blocks\n"
        "\n"
        "- **Recent surgery:** Right hemicolectomy on 2026-11-01. Can be met from 2026-12-14.\n"
        "\n"
        "### What is missing\n"
        "\n"
        "- **Platelets:** Platelets 120 ×10⁹/L on 2026-09-01 are too old.\n"
        "  - To order: Platelet count\n"
        "  - Source: Platelets: 120 10³/uL, 2026-09-01, Observation/2\n"
        "\n"
        "### For a clinician to confirm\n"
        "\n"
        "- **Consent:** No signed consent in the record.\n"
        "  - To answer: Has the patient signed the consent form?\n"
        "\n"
        "### What could not be read\n"
        "\n"
        "- AdverseEvent: the server answered 500\n"
        "\n"
        "### What is met or does not apply\n"
        "\n"
        "- **Hemoglobin:** Hemoglobin 91 g/L on 2026-11-10 (needs ≥ 80 g/L). Holds through"
        " 2026-12-08.\n"
        "  - Source: Hemoglobin: 9.1 g/dL (= 91 g/L), 2026-11-10, Observation/1\n"
        "\n"
        "### Outlook, if nothing new is recorded\n"
        "\n"
        "- not now until 2026-12-13, the last day blocked by recent surgery\n"
        "- then nothing blocks, some items are open through 2027-11-23, the last day looked at\n"
        "\n"
        "### About the data\n"
        "\n"
        "- Days were read in UTC.\n"
        "- A result has no unit. (Observation/7)\n"
        "- Drugs that were not recognised, and so not checked: Wonder drug\n"
        "\n"
        "*Criteria as first registered, 2023; check the current protocol.*\n"
        "\n"
        "NET RETREAT: criteria as first registered, March 2023; trial file 2023.1"
        " (sha256:abababababab); code tables 2026.11 (sha256:cdcdcdcdcdcd)."
    )


def test_what_time_takes_is_said_in_the_outlook(
    make_report: MakeReport, trial: Trial, hemoglobin: CriterionResult
) -> None:
    """With the names of what expires."""
    other = msgspec.structs.replace(hemoglobin, id="ecog", title="ECOG")
    report = make_report(
        "all_met",
        hemoglobin,
        other,
        outlook=(
            Segment(date(2026, 11, 23), date(2026, 12, 8), "all_met"),
            Segment(date(2026, 12, 9), date(2027, 11, 23), "possible", "hemoglobin, ecog"),
        ),
    )

    assert (
        "- all criteria met until 2026-12-08, the last day for hemoglobin, ECOG\n"
        in card_detail(report, trial)
    )


def test_only_what_blocks_is_named_as_a_blocker(
    make_report: MakeReport,
    trial: Trial,
    hemoglobin: CriterionResult,
    platelets_low: CriterionResult,
) -> None:
    """A met result that expires on the same day blocked nothing."""
    report = make_report(
        "not_now",
        hemoglobin,
        platelets_low,
        outlook=(
            Segment(date(2026, 11, 23), date(2026, 12, 8), "not_now"),
            Segment(date(2026, 12, 9), date(2027, 11, 23), "possible", "hemoglobin, platelets"),
        ),
    )

    assert "- not now until 2026-12-08, the last day blocked by platelets\n" in card_detail(
        report, trial
    )


def test_an_outlook_that_names_no_reason_says_the_day(
    make_report: MakeReport, trial: Trial, consent: CriterionResult
) -> None:
    """Such as a criterion that this report does not have."""
    report = make_report(
        "possible",
        consent,
        outlook=(
            Segment(date(2026, 11, 23), date(2026, 12, 8), "possible"),
            Segment(date(2026, 12, 9), date(2027, 11, 23), "not_now", "other"),
        ),
    )

    assert "- nothing blocks, some items are open until 2026-12-08\n" in card_detail(report, trial)


def test_sections_come_in_the_order_of_what_can_change_the_result(
    full: Report, trial: Trial
) -> None:
    """Blockers first, what is met last."""
    assert [
        "What blocks",
        "What is missing",
        "For a clinician to confirm",
        "What could not be read",
        "What is met or does not apply",
        "Outlook, if nothing new is recorded",
        "About the data",
    ] == headings(card_detail(full, trial))


def test_what_the_record_raises_comes_before_what_only_a_person_knows(
    make_report: MakeReport, trial: Trial, consent: CriterionResult, platelets_low: CriterionResult
) -> None:
    """Each in the order of the criteria."""
    raised = msgspec.structs.replace(platelets_low, status="needs_confirmation", change=None)
    later = msgspec.structs.replace(consent, title="Follow-up")
    detail = card_detail(make_report("possible", consent, later, raised), trial)

    assert ["Platelets", "Consent", "Follow-up"] == re.findall(r"- \*\*(.+):\*\*", detail)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2022-03-23", None, "given, 2022-03-23, X/1"),
        ("2022-03-23", "2022-09", "given, from 2022-03-23 to 2022-09, X/1"),
        (None, "2022-09-23", "given, until 2022-09-23, X/1"),
        ("/2022-09-23", "2022-09-23", "given, until 2022-09-23, X/1"),
        ("/2022-09-23", None, "given, until 2022-09-23, X/1"),
        ("2022-03-23/", None, "given, from 2022-03-23, X/1"),
        (None, None, "given, X/1"),
    ],
)
def test_days_of_a_source(
    make_report: MakeReport,
    trial: Trial,
    hemoglobin: CriterionResult,
    start: str | None,
    end: str | None,
    said: str,
) -> None:
    """One day as it is, a period with its two ends in their order."""
    one = Evidence("X/1", "Dexamethasone", "given", None, start, (), end)
    found = msgspec.structs.replace(hemoglobin, evidence=(one,))

    assert f"\n  - Source: Dexamethasone: {said}\n" in card_detail(
        make_report("all_met", found), trial
    )


def test_a_source_shows_the_digits_that_were_measured(
    make_report: MakeReport, trial: Trial, hemoglobin: CriterionResult
) -> None:
    """The exact value is in the report."""
    one = Evidence("X/1", "Bilirubin", "0.7 mg/dL", "11.97 µmol/L", None, (), None, "12 µmol/L")
    found = msgspec.structs.replace(hemoglobin, evidence=(one,))

    assert "  - Source: Bilirubin: 0.7 mg/dL (= 12 µmol/L), X/1\n" in card_detail(
        make_report("all_met", found), trial
    )


def test_a_permanent_blocker_asks_for_nothing(
    make_report: MakeReport,
    trial: Trial,
    alkylator: CriterionResult,
    platelets_outdated: CriterionResult,
    consent: CriterionResult,
) -> None:
    """No test and no answer would change the result."""
    detail = card_detail(make_report("excluded", alkylator, platelets_outdated, consent), trial)

    assert "This cannot change." in detail
    assert "To order" not in detail
    assert "To answer" not in detail


def test_a_blocker_that_a_new_result_cures_says_so(
    make_report: MakeReport, trial: Trial, platelets_low: CriterionResult
) -> None:
    """So that it is worth repeating."""
    assert "A new result or finding can change this." in card_detail(
        make_report("not_now", platelets_low), trial
    )


def test_a_blocker_that_time_cures_at_no_known_day(
    make_report: MakeReport, trial: Trial, surgery: CriterionResult
) -> None:
    """It says no day where none is known."""
    undated = msgspec.structs.replace(surgery, eligible_from=None)

    assert "Time will change this." in card_detail(make_report("not_now", undated), trial)


def test_an_attestation_is_shown_by_who_gave_it(
    make_report: MakeReport, trial: Trial, consent: CriterionResult
) -> None:
    """It has no other name than its author."""
    attested = msgspec.structs.replace(
        consent,
        status="met",
        basis="attestation",
        evidence=(Evidence("Practitioner/9", "", "met", None, "2026-11-20", ("form v3",)),),
        advisories=("Ask again in a year.",),
    )

    detail = card_detail(make_report("all_met", attested), trial)

    assert "  - Note: Ask again in a year.\n" in detail
    assert "  - Source: Practitioner/9: met, 2026-11-20, form v3\n" in detail


def test_a_detail_has_bounds(
    make_report: MakeReport, trial: Trial, hemoglobin: CriterionResult
) -> None:
    """However large the chart, and what is left out is counted."""
    one = hemoglobin.evidence[0]
    many = msgspec.structs.replace(
        hemoglobin,
        evidence=tuple(msgspec.structs.replace(one, reference=f"X/{i}") for i in range(5000)),
        summary="s" * 100_000,
    )
    report = make_report(
        "all_met",
        *[many] * 30,
        data_issues=tuple(Issue("x", f"X/{i}", "m" * 10_000) for i in range(5000)),
        unmapped_drugs=tuple("d" * 10_000 for _ in range(5000)),
    )

    detail = card_detail(report, trial)

    assert len(detail) < 50_000
    assert "… and 4994 more, in the report" in detail
    assert "… and 4990 more, in the report" in detail


def test_hostile_text_anywhere_gives_only_text(
    make_report: MakeReport, trial: Trial, platelets_outdated: CriterionResult
) -> None:
    """Every field of a report may come from data."""
    hostile = msgspec.structs.replace(
        platelets_outdated,
        title=HOSTILE,
        summary=HOSTILE,
        advisories=(HOSTILE,),
        evidence=(Evidence(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, (HOSTILE,)),),
    )
    report = make_report(
        "possible",
        hostile,
        unread=(HOSTILE,),
        data_issues=(Issue("x", HOSTILE, HOSTILE),),
        unmapped_drugs=(HOSTILE,),
        advisories=(HOSTILE,),
    )

    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(
        card_detail(report, trial)
    )
    kinds = {child.type for token in tokens for child in token.children or ()}

    assert {"text", "strong_open", "strong_close", "em_open", "em_close", "softbreak"} >= kinds
    assert {"heading", "paragraph", "bullet_list", "list_item", "inline"} >= {
        token.type.removesuffix("_open").removesuffix("_close") for token in tokens
    }
    # Bold and headings are the template's alone.
    assert 2 == sum(child.type == "strong_open" for t in tokens for child in t.children or ())
    assert "http:" not in card_detail(report, trial)


def test_the_report_as_a_document(full: Report, trial: Trial) -> None:
    """The same detail under a title."""
    document = report_markdown(full, trial)

    assert document.startswith("# NET RETREAT: Patient/p1 on 2026-11-23\n\n**At least one")
    assert "\n## What blocks\n" in document
    assert document.endswith(".\n")


def test_a_document_of_a_patient_whom_the_trial_does_not_concern(
    make_report: MakeReport, trial: Trial
) -> None:
    """It says that nothing was looked at."""
    assert "the criteria were not looked at" in report_markdown(make_report("not_relevant"), trial)
