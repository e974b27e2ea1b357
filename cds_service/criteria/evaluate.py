"""The one evaluator: a record against a trial on a day gives a report.

The hook, the command line and the population all call :meth:`Evaluator.evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal

import msgspec

from cds_service.criteria.attest import Attestation, Attested, attest
from cds_service.criteria.finding import SiteFacts, Wording, evidence_of
from cds_service.criteria.relevance import Answer, relevance
from cds_service.criteria.rules import FUNCTIONS
from cds_service.criteria.settle import Judgement, Patience, Rulebook, judge
from cds_service.criteria.view import Fact, RecordIndex
from cds_service.record.dates import LAST_DAY
from cds_service.record.model import Record
from cds_service.record.reads import Complete, DataIssue, Unreadable
from cds_service.report import (
    CriterionResult,
    Evidence,
    Issue,
    Missing,
    Overall,
    Report,
    Segment,
    Status,
    Version,
)
from cds_service.trial.schema import CriterionSpec, Order, Question, Trial

_DAY = timedelta(days=1)
OUTLOOK_DAYS = 365
# Beyond the outlook, a status that has not changed at this many noted days is taken to hold on.
MOST_LATER_DAYS = 60


class Standing(msgspec.Struct, frozen=True):
    """One criterion's statuses from the day on: each with its first day."""

    spec: CriterionSpec
    now: Attested
    later: tuple[tuple[date, Judgement], ...]

    def on(self, day: date) -> Judgement:
        """The judgement that holds on a later day."""
        held = self.now.judgement
        for start, judged in self.later:
            if start <= day:
                held = judged
        return held

    def ends(self) -> date | None:
        """The day on which the status is another one with no new data; None where none is known."""
        now = self.now.judgement.status
        return next((day for day, later in self.later if later.status != now), None)

    def cured(self) -> date | None:
        """The day from which nothing stands against the patient.

        Where a date is vague, the status is unknown for some days before; these cure nothing.
        """
        against = (self.now.judgement.status, "unknown")
        cured = (day for day, later in self.later if later.status not in against)
        return next(cured, self.ends())


class _Sitting(msgspec.Struct, frozen=True):
    """One evaluation: a record, the day that is asked about, and what may be spent on it."""

    index: RecordIndex
    as_of: date
    attestations: Sequence[Attestation]
    book: Rulebook
    patience: Patience

    def judged(self, spec: CriterionSpec, day: date) -> Attested:
        """One criterion on one day, with what was attested."""
        judged = judge(spec, self.index, day, self.book, self.patience)
        if not self.attestations:
            return Attested(judged)
        return attest(judged, spec, self.attestations, day)


def _standing(spec: CriterionSpec, now: Attested, sitting: _Sitting) -> Standing:
    if not now.judgement.flips:
        return Standing(spec, now, ())
    later: list[tuple[date, Judgement]] = []
    pending = set(now.judgement.flips)
    last = now.judgement
    horizon = sitting.as_of + timedelta(days=OUTLOOK_DAYS)
    refused = now.judgement.change == "time"
    beyond = 0
    while pending and beyond < MOST_LATER_DAYS:
        day = min(pending)
        pending.discard(day)
        beyond += day > horizon
        # Beyond the outlook nothing more is asked, but when a refusal surely ends, if it does.
        open_still = refused and last.status == "unknown" and day < LAST_DAY
        if later and day > horizon and not open_still:
            break
        judged = sitting.judged(spec, day).judgement
        pending |= {flip for flip in judged.flips if flip > day}
        if (judged.status, judged.change) != (last.status, last.change):
            later.append((day, judged))
            last = judged
    return Standing(spec, now, tuple(later))


class Evaluator:
    """Evaluates patients against one trial at one site.

    Args:
        trial: the trial.
        site: what the site's configuration contributes.
        words: how concepts and amounts are shown.
        mappings: edition of the code tables.
        site_notice: an advisory about the site's configuration, for every report.
    """

    def __init__(
        self,
        trial: Trial,
        site: SiteFacts,
        words: Wording,
        mappings: Version,
        site_notice: str | None = None,
    ) -> None:
        self.trial = trial
        self._book = Rulebook(FUNCTIONS, site, words)
        self._mappings = mappings
        self._version = Version(trial.version, trial.digest, trial.id)
        self._site_notice = site_notice

    def relevance(self, record: Record, as_of: date) -> Answer:
        """Whether the chart concerns the trial at all."""
        return relevance(self.trial.relevance, record, as_of)

    def evaluate(
        self, record: Record, as_of: date, attestations: Sequence[Attestation] = ()
    ) -> Report:
        """Decide every criterion, and what time alone will change.

        Args:
            as_of: the assumed day of enrolment and randomisation, in the site's zone.
        """
        index = RecordIndex(record)
        relevant = relevance(self.trial.relevance, record, as_of, index)
        if relevant == "not_relevant":
            return self._report(record, as_of, "not_relevant", (), ())
        patience = Patience.with_chart(index.facts)
        sitting = _Sitting(index, as_of, attestations, self._book, patience)
        # The day that is asked about first: it may use what there is, the days after it an eighth.
        nows = [sitting.judged(spec, as_of) for spec in self.trial.criteria]
        patience.keep(1, of=8)
        standings = tuple(
            _standing(spec, now, sitting)
            for spec, now in zip(self.trial.criteria, nows, strict=True)
        )
        results = tuple(self._result(one) for one in standings)
        return self._report(
            record, as_of, overall(results), results, standings,
        )  # fmt: skip

    # --- One criterion -------------------------------------------------------------------------

    def _result(self, standing: Standing) -> CriterionResult:
        spec, now = standing.spec, standing.now
        judged = now.judgement
        finding = judged.finding
        facts = () if now.by is not None and judged.reason else finding.facts
        status_ends = standing.ends()
        return CriterionResult(
            id=spec.id,
            kind=spec.kind,
            status=judged.status,
            basis=judged.basis,
            change=judged.change,
            summary=self._summary(spec, now),
            title=spec.title,
            advisories=self._advisories(spec, judged),
            valid_through=None if status_ends is None else status_ends - _DAY,
            eligible_from=standing.cured() if judged.change == "time" else None,
            evidence=self._evidence(facts, now),
            missing=self._missing(spec, judged),
            finding=judged.reason or finding.outcome,
            unread=tuple(f"{name}: {reason}" for name, reason in judged.unread),
        )

    def _summary(self, spec: CriterionSpec, now: Attested) -> str:
        judged = now.judgement
        common = self.trial.common
        if now.by is not None:
            words = common.attested_met if judged.status == "met" else common.attested_not_met
            return words.format_map(
                {"by": now.by.by, "on": now.by.on.isoformat(), "note": now.by.note}
            ).strip()
        if judged.reason in ("unread", "unreadable"):
            reads = "; ".join(f"{name} ({reason})" for name, reason in judged.unread)
            words = common.unread if judged.unread else common.unreadable_resource
            return words.format_map({"reads": reads, "records": _listed(judged.unreadable)})
        if judged.reason:
            words = common.doubtful if judged.reason == "doubtful" else common.imprecise
            facts = [
                f"{fact.source.display} {fact.when.shown() if fact.when else ''}".strip()
                for fact in judged.culprits
            ]
            if judged.birth is not None:
                facts.append(f"{common.birth} {judged.birth.shown()}")
            return words.format_map({"facts": ", ".join(dict.fromkeys(facts))})
        finding = judged.finding
        # What was measured and cannot be read is not nothing.
        values = {"value": finding.values.get("value") or common.unreadable}
        return spec.outcomes[finding.outcome].words.format_map(
            _Values(finding.values | values, common.nothing)
        )

    def _advisories(self, spec: CriterionSpec, judged: Judgement) -> tuple[str, ...]:
        return tuple(
            spec.phrases[key].format_map(_Values(values, self.trial.common.nothing))
            for key, values in judged.finding.phrases
        )

    def _evidence(self, facts: Iterable[Any], now: Attested) -> tuple[Evidence, ...]:
        found = [evidence_of(fact, self.trial.common.stand_in) for fact in facts]
        if now.by is not None:
            one = now.by
            found.append(Evidence(one.by, "", one.answer, None, one.on.isoformat(), (one.note,)))
        return tuple(dict.fromkeys(found))

    def _missing(self, spec: CriterionSpec, judged: Judgement) -> tuple[Missing, ...]:
        wants_data = judged.status == "unknown" or judged.change == "new_data"
        wants_answer = judged.status in ("unknown", "needs_confirmation")
        orders = spec.settles.orders if wants_data and not judged.unread else ()
        questions = spec.settles.questions if wants_answer else ()
        # Where not all was read, nobody knows what is lacking.
        lacks = None if judged.reason or judged.unread else judged.finding.lacks
        return (
            *_wanted("order", self.trial.orders, orders, lacks),
            *_wanted("question", self.trial.questions, questions, lacks),
        )

    # --- The whole -----------------------------------------------------------------------------

    def _report(
        self,
        record: Record,
        as_of: date,
        result: Overall,
        results: tuple[CriterionResult, ...],
        standings: Sequence[Standing],
    ) -> Report:
        issues = (*record.issues, *_future(record, as_of), *_set_aside(standings))
        return Report(
            trial=self._version,
            mappings=self._mappings,
            subject=record.patient.reference,
            as_of=as_of,
            overall=result,
            criteria=results,
            outlook=_outlook(standings, as_of) if standings else (),
            data_issues=tuple(
                dict.fromkeys(Issue(one.code, one.reference, one.message) for one in issues)
            ),
            unmapped_drugs=record.unmapped_drugs,
            unread=tuple(
                f"{name}: {state.reason}"
                for name, state in sorted(record.reads.items())
                if not isinstance(state, Complete)
            ),
            advisories=() if self._site_notice is None else (self._site_notice,),
            notice=self.trial.notice,
        )


def _wanted(
    kind: Literal["order", "question"],
    known: Mapping[str, Order] | Mapping[str, Question],
    ids: Iterable[str],
    lacks: Sequence[str] | None,
) -> Iterator[Missing]:
    """What settles a criterion, without what gives a value that it does not lack."""
    for id_ in ids:
        concept = known[id_].concept
        if lacks is None or concept is None or concept in lacks:
            yield Missing(kind, id_, known[id_].label)


def _listed(records: Iterable[Unreadable]) -> str:
    """Records that cannot be read, with the reason, which many may share."""
    by_reason: dict[str, dict[str, None]] = {}
    for one in records:
        by_reason.setdefault(one.reason, {})[one.reference] = None
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


class _Values(dict[str, str]):
    """Values for words; one that is empty or not given reads as the trial's word for nothing."""

    def __init__(self, values: dict[str, str], nothing: str) -> None:
        super().__init__({key: value or nothing for key, value in values.items()})
        self._nothing = nothing

    def __missing__(self, key: str) -> str:
        return self._nothing


def overall(results: Iterable[CriterionResult | Judgement]) -> Overall:
    """Combine statuses: a permanent refusal, then any refusal, then anything open, then all met."""
    found = [(one.status, one.change) for one in results]
    if ("not_met", "permanent") in found:
        return "excluded"
    statuses: set[Status] = {status for status, _ in found}
    if "not_met" in statuses:
        return "not_now"
    if statuses & {"unknown", "needs_confirmation"}:
        return "possible"
    return "all_met"


def _outlook(standings: Sequence[Standing], as_of: date) -> tuple[Segment, ...]:
    """The overall result of every day of the year ahead, as runs of days."""
    end = as_of + timedelta(days=OUTLOOK_DAYS)
    starts = sorted(
        {as_of, *(day for one in standings for day, _ in one.later if as_of < day <= end)}
    )
    runs: list[tuple[date, Overall, str]] = []
    for start in starts:
        found = overall([one.on(start) for one in standings])
        if not runs or runs[-1][1] != found:
            changed = [one.spec.id for one in standings for day, _ in one.later if day == start]
            runs.append((start, found, ", ".join(changed)))
    nexts = [start - _DAY for start, _, _ in runs[1:]]
    return tuple(
        Segment(start, through, found, reason)
        for (start, found, reason), through in zip(runs, [*nexts, end], strict=True)
    )


def _future(record: Record, as_of: date) -> list[DataIssue]:
    """Facts dated after the day, and a birth: left out, and told."""
    facts: tuple[Fact, ...] = (
        *record.results, *record.exposures, *record.diagnoses, *record.procedures,
        *record.scans, *record.reports, *record.adverse_events, *record.consents,
    )  # fmt: skip
    dated = ((fact.source.reference, fact.when) for fact in facts)
    return [
        DataIssue("future-date", reference, f"dated {when.shown()}, after {as_of}")
        for reference, when in ((record.patient.reference, record.patient.birth), *dated)
        if when is not None and not when.unreadable and when.first > as_of
    ]


def _set_aside(standings: Sequence[Standing]) -> list[DataIssue]:
    found = []
    for one in standings:
        aside = one.now.set_aside
        if aside is not None:
            judged = one.now.judgement
            why = (
                "answers of one day disagree"
                if one.now.conflict
                else f"the record says {judged.status}"
            )
            message = f"attestation of {one.spec.id} as {aside.answer} set aside: {why}"
            found.append(DataIssue("attestation-set-aside", aside.by, message))
    return found
