"""Writes what the study found as Markdown, between two markers of a document, and its figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from validation.experiment import CLEAN, Study
from validation.markdown import between, shown, table
from validation.rates import TwoByTwo
from validation.report_messy import figures, losses, safety, silent
from validation.tally import Cell

_STATUSES: Final = ("met", "not_met", "unknown", "needs_confirmation", "not_applicable")
_OVERALLS: Final = ("all_met", "possible", "not_now", "excluded", "not_relevant")
_MATRIX_WORDS: Final = (
    "Confusion matrices, a row for each criterion: of the patients with that true status, how many "
    "were given it. What was given otherwise is listed below each table."
)


def write_report(study: Study, document: Path) -> None:
    """Put the findings into the document, and the figures into ``images`` beside it.

    Raises:
        ValueError: the document lacks the markers.
    """
    images = document.parent / "images"
    images.mkdir(exist_ok=True)
    for name, chart in figures(study).items():
        (images / f"{name}.svg").write_text(chart.svg(), encoding="utf-8")
    text = document.read_text(encoding="utf-8")
    document.write_text(between(text, "study", markdown(study)), encoding="utf-8")


def markdown(study: Study) -> str:
    """The findings as Markdown."""
    parts = (
        *("### In short", _in_short(study)),
        *("### The patients", _patients(study)),
        *("### Clean charts: every status", _statuses(study)),
        *("### Clean charts: the overall result", _overall(study)),
        *("### Clean charts: *candidate* against truth", _rates(study)),
        *("### Messy charts: what must be zero", safety(study)),
        *("### Messy charts: what is lost", losses(study)),
        *("### Silent losses", silent(study)),
    )
    return "\n\n".join(parts)


def _in_short(study: Study) -> str:
    clean, told = study.points[CLEAN], study.told.values()
    ordinary, messy = study.ordinary, study.messy_ordinary
    evaluations = sum(one.patients for one in told)
    unsafe = Counter(mistake.sort for one in told for mistake in one.unsafe)
    rows = [
        ("a criterion satisfied by evidence, and it is not so", evaluations, unsafe["evidence"]),
        ("`all_met` of a patient who is no candidate", evaluations, unsafe["all_met"]),
        (
            "a status or overall result on a clean chart that differs from the expected one",
            f"{clean.patients} × 2",
            clean.disagreements,
        ),
        (
            "an evaluation that ended with an error",
            sum(one.patients for one in study.points.values()) + messy.patients,
            sum(len(one.crashes) for one in study.points.values()) + len(messy.crashes),
        ),
        ("an ordinary patient with a card", ordinary.patients, len(ordinary.cards)),
        ("an ordinary patient whose evaluation ended with an error", ordinary.patients,
         len(ordinary.crashes)),
        ("a result of ours in ordinary charts whose code is not known", ordinary.labs,
         ordinary.unmapped.total()),
        ("a result of ours in ordinary charts whose unit or value cannot be read", ordinary.labs,
         ordinary.unusable.total()),
        ("an ordinary patient with a card, half of it damaged, none lost", messy.patients,
         len(messy.cards)),
    ]  # fmt: skip
    head = ("what must not be", "tried", "found")
    failed = "".join(f"\n- **{one}**" for one in study.failures)
    return table(head, rows) + (f"\n\nThe study is not passed:\n{failed}" if failed else "")


def _patients(study: Study) -> str:
    clean = study.points[CLEAN]
    of_candidates = {branch: count for (branch, true), count in clean.branches.items() if true}
    branches = sorted({branch for branch, _ in clean.branches})
    rows = [
        (branch, of_candidates.get(branch, 0) + clean.branches[branch, False],
         of_candidates.get(branch, 0))
        for branch in branches
    ]  # fmt: skip
    candidates = clean.by_record.true_positive + clean.by_record.false_negative
    sizes = sorted({one.patients for one in study.clean.values()})
    most, fewest = sizes[-1], sizes[0]
    few = "" if most == fewest else f"; those with partial dates of {fewest:,} of these"
    told = (
        f"Seed {study.manifest.seed}, evaluated as of {study.manifest.as_of}. "
        f"{clean.patients:,} NET patients, {candidates:,} of them candidates; "
        f"{study.ordinary.patients:,} ordinary patients with "
        f"{study.ordinary.resources:,} resources and {study.ordinary.labs:,} results of ours "
        f"({study.ordinary.implausible:,} of them outside the plausible range of the rules, such "
        "as the weight of a small child). "
        f"Messy charts were made of {most:,} of the NET patients, drawn by a hash of their ids"
        f"{few}."
    )
    head = ("what is unusual in the story", "patients", "candidates")
    return f"{told}\n\nA patient may be in several rows.\n\n{table(head, rows)}"


# --- Clean charts ------------------------------------------------------------------------------


def _statuses(study: Study) -> str:
    clean = study.points[CLEAN]
    return "\n\n".join(
        (
            _MATRIX_WORDS,
            "By the record alone:",
            _matrix(clean.statuses),
            "With the clinician's answers:",
            _matrix(clean.attested),
        )
    )


def _matrix(cells: Counter[Cell]) -> str:
    criteria = list(dict.fromkeys(criterion for criterion, _, _ in cells))
    rows = []
    for criterion in criteria:
        true = {status: _truly(cells, criterion, status) for status in _STATUSES}
        right = {status: cells[criterion, status, status] for status in _STATUSES}
        rows.append(
            (
                f"`{criterion}`",
                *(f"{right[one]} of {true[one]}" if true[one] else "" for one in _STATUSES),
            )
        )
    wrong = [
        f"- `{criterion}`: `{said}` where it is `{true}`, {count} times"
        for (criterion, true, said), count in sorted(cells.items())
        if true != said
    ]
    head = ("criterion", *(f"`{status}`" for status in _STATUSES))
    return table(head, rows) + "\n\n" + ("\n".join(wrong) or "None was given otherwise.")


def _truly(cells: Counter[Cell], criterion: str, status: str) -> int:
    return sum(
        count for (name, true, _), count in cells.items() if (name, true) == (criterion, status)
    )


def _overall(study: Study) -> str:
    clean = study.points[CLEAN]
    tables = []
    for how, found in (
        ("By the record alone", clean.overalls),
        ("With the clinician's answers", clean.attested_overalls),
    ):
        rows = [
            (f"`{true}`", *(found[true, said] or "" for said in _OVERALLS)) for true in _OVERALLS
        ]
        head = ("truth ╲ given", *(f"`{said}`" for said in _OVERALLS))
        tables.append(f"{how}:\n\n{table(head, rows)}")
    return "\n\n".join(tables)


def _rates(study: Study) -> str:
    clean = study.points[CLEAN]
    others = TwoByTwo(
        false_positive=len(study.ordinary.cards),
        true_negative=study.ordinary.patients - len(study.ordinary.cards),
    )
    ways = {
        "by the record, NET patients": clean.by_record,
        "by the record, ordinary patients too": clean.by_record + others,
        "with the clinician's answers": clean.by_answers,
        "with truthful answers to what is asked": clean.by_asking,
    }
    head = ("called *candidate*", "sensitivity", "specificity", "PPV", "NPV")
    rows = [
        (
            name,
            shown(one.sensitivity),
            shown(one.specificity),
            shown(one.positive_predictive_value),
            shown(one.negative_predictive_value),
        )
        for name, one in ways.items()
    ]
    return table(head, rows)
