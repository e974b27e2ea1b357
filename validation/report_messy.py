"""The part of the report on messy charts, and the figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from validation.experiment import UNTOLD, Point, Study
from validation.figures import LineChart
from validation.markdown import short, table
from validation.mess import EVERYTHING, KINDS, SILENT, TOGETHER
from validation.rates import Rate, TwoByTwo
from validation.tally import DECIDED, Tally


def _by_level(study: Study, cell: Callable[[Tally], object], kinds: Iterable[str]) -> str:
    levels = study.design.levels
    head = ("mess", "patients", "0 %", *(f"{level:.0%}".replace("%", " %") for level in levels))
    rows = [
        (
            kind,
            study.clean[kind].patients,
            cell(study.clean[kind]),
            *(cell(study.points[kind, level]) for level in levels),
        )
        for kind in kinds
    ]
    return table(head, rows)


def safety(study: Study) -> str:
    """What must never happen, and what may but should not."""
    told = [kind for kind in KINDS if kind not in UNTOLD]
    parts = [
        (
            "Criteria satisfied by evidence that are not so, and patients called `all_met` who are "
            "no candidates:"
        ),
        _by_level(study, lambda one: f"{one.count('evidence')}, {one.count('all_met')}", told),
        (
            "Criteria satisfied *by absence* that are not so, where a fact was recorded in a way "
            "that is not recognised:"
        ),
        _by_level(study, lambda one: one.count("absence"), told),
        _causes("absence", study.told),
        "Criteria *not met* by evidence that are in fact met (no danger, but a candidate lost):",
        _by_level(study, lambda one: one.count("refusal"), told),
        _causes("refusal", study.told),
        _causes("evidence", study.told),
        _causes("all_met", study.told),
    ]
    return "\n\n".join(part for part in parts if part)


def _causes(sort: str, points: Mapping[Point, Tally]) -> str:
    """Of which criteria the mistakes are, at all levels together, with a patient to look at."""
    found: dict[tuple[str, str], list[str]] = {}
    for (kind, _), one in points.items():
        for mistake in one.mistakes:
            if mistake.sort == sort:
                found.setdefault((kind, mistake.criterion or "overall"), []).append(mistake.patient)
    return "\n".join(
        f"- {kind}: `{criterion}` in {len(set(patients))} patients (such as {min(patients)})"
        for (kind, criterion), patients in sorted(found.items())
    )


def losses(study: Study) -> str:
    """What a messier chart costs."""
    parts = [
        (
            "Criteria that a clean chart decides (met, not met, not applicable), and that are "
            "still decided the same; all others became `unknown` or `needs_confirmation` unless "
            "counted above:"
        ),
        _by_level(study, lambda one: short(still_decided(one)), KINDS),
        "![Criteria still decided](images/study-decided.svg)",
        "Sensitivity of `all_met` with the clinician's answers of before:",
        _by_level(study, lambda one: short(one.by_answers.sensitivity), KINDS),
        "![Candidates found](images/study-sensitivity.svg)",
        "Sensitivity, specificity and positive predictive value of *candidate* by the record:",
        _by_level(study, lambda one: _three(one.by_record), KINDS),
        "![Positive predictive value](images/study-ppv.svg)",
        "Positive predictive value of `all_met` with truthful answers to what is asked:",
        _by_level(study, lambda one: short(one.by_asking.positive_predictive_value), KINDS),
        f"Each criterion at {max(study.design.levels):.0%} of *{TOGETHER}*:",
        _each_criterion(study.points[TOGETHER, max(study.design.levels)]),
    ]
    return "\n\n".join(parts)


def still_decided(one: Tally) -> Rate:
    """Of the statuses that the clean chart decides, the share that is the same."""
    decided = [(true, said, n) for (_, true, said), n in one.statuses.items() if true in DECIDED]
    same = sum(count for true, said, count in decided if true == said)
    return Rate(same, sum(count for _, _, count in decided))


def _three(found: TwoByTwo) -> str:
    rates = (found.sensitivity, found.specificity, found.positive_predictive_value)
    return ", ".join(map(short, rates))


def _each_criterion(one: Tally) -> str:
    rows = []
    for criterion in dict.fromkeys(name for name, _, _ in one.statuses):
        mine = [(t, s, n) for (name, t, s), n in one.statuses.items() if name == criterion]
        decided = [(t, s, n) for t, s, n in mine if t in DECIDED]
        of = sum(n for _, _, n in decided)
        same = sum(n for t, s, n in decided if t == s)
        open_ = sum(n for _, s, n in decided if s not in DECIDED)
        rows.append((f"`{criterion}`", of, same, open_, of - same - open_))
    head = ("criterion", "decided when clean", "the same", "left open", "decided otherwise")
    return table(head, rows)


def silent(study: Study) -> str:
    """What a loss does that nothing tells of."""
    points = {point: one for point, one in study.points.items() if point[0] in UNTOLD}
    parts = [
        (
            "Criteria satisfied by evidence that are not so, satisfied by absence that are not "
            "so, and patients called `all_met` who are no candidates:"
        ),
        _by_level(
            study,
            lambda one: ", ".join(
                str(one.count(sort)) for sort in ("evidence", "absence", "all_met")
            ),
            (SILENT, EVERYTHING),
        ),
        "Satisfied by evidence, at all levels together:",
        _causes("evidence", points) or "None.",
        "`all_met`, at all levels together:",
        _causes("all_met", points) or "None.",
    ]
    return "\n\n".join(parts)


# --- Figures -----------------------------------------------------------------------------------


def figures(study: Study) -> dict[str, LineChart]:
    """The figures, by the name of their file."""
    axis = "share of resources that the mess hits"

    def lines(
        share: Callable[[Tally], float | None],
    ) -> dict[str, list[tuple[float, float | None]]]:
        return {
            kind: [
                (0.0, share(study.clean[kind])),
                *((at, share(study.points[kind, at])) for at in study.design.levels),
            ]
            for kind in KINDS
        }

    return {
        "study-decided": LineChart(
            "Criteria still decided as on the clean chart",
            axis,
            lines(lambda one: still_decided(one).share),
        ),
        "study-sensitivity": LineChart(
            "Candidates called all_met with the clinician's answers",
            axis,
            lines(lambda one: one.by_answers.sensitivity.share),
        ),
        "study-ppv": LineChart(
            "Positive predictive value of possible or all_met by the record",
            axis,
            lines(lambda one: one.by_record.positive_predictive_value.share),
        ),
    }
