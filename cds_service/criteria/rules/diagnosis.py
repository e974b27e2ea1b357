"""Rules on other diagnoses and procedures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from cds_service.criteria.finding import Context, Finding, dated, named, shown_date, types_of
from cds_service.criteria.latest import against, latest, newest
from cds_service.criteria.rules.drugs import given
from cds_service.record.model import (
    Diagnosis,
    Exposure,
    ProcedureDone,
    Result,
    ResultState,
    Strength,
)
from cds_service.trial.rules.diagnosis import (
    ActiveConditionRule,
    BrainMetastasesRule,
    ControlledInfectionRule,
    HeartFailureRule,
    OtherMalignancyRule,
    RecentProcedureRule,
)


def active_condition(rule: ActiveConditionRule, context: Context) -> Finding:
    """Active conditions that a person must weigh."""
    found = [one for one in context.view.diagnoses(rule.condition) if one.active]
    return Finding("active", tuple(found), {"what": dated(found)}) if found else Finding("none")


def other_malignancy(rule: OtherMalignancyRule, context: Context) -> Finding:
    """Primary malignancies that are not the tumour itself, now or in the past."""
    own = frozenset((*rule.tumor, *rule.morphology))
    found = [
        one
        for one in context.view.diagnoses((*rule.malignancy, *rule.history))
        if not (one.concepts | one.morphology) & own
    ]
    return Finding("listed", tuple(found), {"what": dated(found)}) if found else Finding("none")


def recent_procedure(rule: RecentProcedureRule, context: Context) -> Finding:
    """A procedure whose last day lies within the days."""
    clock = context.view.clock
    found = [
        one
        for one in context.view.procedures((*rule.procedure, *rule.review))
        if one.strength is not Strength.ORDERED
        and one.when is not None
        # A procedure that is still going on is as recent as today.
        and clock.within_days(min(_last_day(one), clock.today), rule.within_days)
    ]
    wanted = frozenset(rule.procedure)
    sure = [one for one in found if one.concepts & wanted and one.strength is Strength.GIVEN]
    if sure:
        last = max(sure, key=_last_day)
        values = {"what": named(sure), "date": shown_date(last.end or last.when)}
        return Finding("recent", tuple(sure), values, stands=True)
    if found:
        values = {
            "what": named(found),
            "date": ", ".join(shown_date(o.end or o.when) for o in found),
        }
        return Finding("review", tuple(found), values)
    return Finding("none")


def _last_day(one: ProcedureDone) -> date:
    when = one.end or one.when
    if when is None:
        raise ValueError("an undated procedure has no last day")
    return when.first


# --- Infection ---------------------------------------------------------------------------------


def controlled_infection(rule: ControlledInfectionRule, context: Context) -> Finding:
    """An infection that a recent load and a therapy show to be suppressed."""
    infected = context.view.diagnoses(rule.infection)
    if not infected:
        return Finding("none")
    if not any(one.confirmed for one in infected):
        return Finding("unconfirmed", tuple(infected), {"what": dated(infected)})
    clock = context.view.clock
    deciding = latest(
        one
        for one in context.view.results(rule.load)
        if one.when is not None and clock.within_months(one.when.first, rule.within_months)
    )
    if deciding is None:
        return Finding("no_load", tuple(infected))
    loads = deciding.results
    said = {_load_says(rule, one) for one in loads}
    values = {"value": loads[0].original, "date": shown_date(loads[0].when)}
    facts: tuple[Diagnosis | Result, ...] = (*infected, *loads)
    if len(said) > 1:
        return Finding("disagree", facts, values)
    outcome = said.pop()
    if outcome != "suppressed":
        # Whatever therapy there is, the load decides.
        return Finding(outcome, facts, values, proofs=types_of(loads))
    return _therapy(rule, facts, values, context)


def _therapy(
    rule: ControlledInfectionRule,
    facts: tuple[Diagnosis | Result, ...],
    values: dict[str, str],
    context: Context,
) -> Finding:
    therapy = context.view.exposures(rule.therapy, dated=False)
    values = values | {"what": named(therapy)}
    if sure := given(therapy):
        return Finding("suppressed", (*facts, *sure), values)
    if therapy:
        return Finding("therapy_ordered", (*facts, *therapy), values)
    return Finding("no_therapy", facts, values)


def _load_says(rule: ControlledInfectionRule, one: Result) -> str:
    """Detail 18: undetectable by words, by a comparator at a low limit, or by a low value."""
    if one.state is ResultState.UNUSABLE:
        return "unclear"
    if one.answers.intersection(rule.undetectable):
        return "suppressed"
    if one.answers.intersection(rule.detectable):
        return "detectable"
    amount = one.amount
    if amount is None:
        return "unclear"
    value = amount.exact
    if value is not None:
        return "suppressed" if value <= rule.value_limit else "detectable"
    if amount.low is None and amount.high is not None:
        return "suppressed" if amount.high <= rule.comparator_limit else "unclear"
    return "detectable" if against(amount, ">", rule.value_limit) == "met" else "unclear"


# --- Brain metastases --------------------------------------------------------------------------


def brain_metastases(rule: BrainMetastasesRule, context: Context) -> Finding:
    """None, or a person weighs treatment, steroids and imaging; a recent steroid excludes."""
    found = context.view.diagnoses(rule.metastasis)
    if not found:
        return Finding("none")
    view = context.view
    steroids = [one for one in view.exposures(rule.steroid) if not one.local]
    if any(one.confirmed for one in found):
        excluded = _on_steroid(rule, found, given(steroids), context)
        if excluded is not None:
            return excluded
    treatment = view.procedures(rule.treatment, dated=False)
    imaging = newest(one for one in view.scans(rule.imaging))
    nothing = context.phrase("nothing_found")
    values = {
        "treatment": dated(treatment) or nothing,
        "steroid": dated(steroids) or nothing,
        "imaging": dated(imaging) or nothing,
    }
    return Finding("judge", (*found, *treatment, *steroids, *imaging), values)


def _on_steroid(
    rule: BrainMetastasesRule,
    found: Sequence[Diagnosis],
    steroids: Sequence[Exposure],
    context: Context,
) -> Finding | None:
    clock = context.view.clock
    current = [one for one in steroids if _goes_on(one)]
    if current:
        on: tuple[Diagnosis | Exposure, ...] = (*found, *current)
        return Finding("on_steroid", on, {"what": named(current)}, stands=True)
    recent = []
    for one in steroids:
        last = one.end or one.start
        if last is None:
            continue
        # A course whose end lies ahead is still running; its last day counts, not today's.
        clock.note(last.first + timedelta(days=rule.off_steroid_days))
        if last.first > clock.today or clock.within_days(last.first, rule.off_steroid_days - 1):
            recent.append((last.first, one))
    if not recent:
        return None
    day = max(last for last, _ in recent)
    taken = [one for _, one in recent]
    values = {"what": named(taken), "date": day.isoformat()}
    return Finding("recent_steroid", (*found, *taken), values, stands=True)


def _goes_on(one: Exposure) -> bool:
    return one.ongoing if one.end is None else one.end.endless


# --- Heart failure -----------------------------------------------------------------------------


def heart_failure(rule: HeartFailureRule, context: Context) -> Finding:
    """The latest NYHA class, then heart failure itself, then carcinoid heart disease."""
    view = context.view
    failure = view.diagnoses(rule.heart_failure)
    classed = _class(rule, context)
    if classed is not None and classed.outcome in (
        "severe",
        "disagree",
        "unreadable",
        "severe_unconfirmed",
    ):
        return classed
    if failure and classed is not None:
        classed.facts = (*failure, *classed.facts)
        return classed
    if failure:
        return Finding("unclassified", tuple(failure), {"what": dated(failure)})
    if valve := view.diagnoses(rule.valve_disease):
        return Finding("valve_disease", tuple(valve), {"what": dated(valve)})
    return Finding("mild_alone", classed.facts, classed.values) if classed else Finding("none")


def _class(rule: HeartFailureRule, context: Context) -> Finding | None:
    classes = (*rule.mild, *rule.severe)
    observed = [
        one
        for one in context.view.results(rule.functional_class)
        if one.state is not ResultState.EMPTY
    ]
    coded = context.view.diagnoses(classes, dated=True)
    known: list[Result | Diagnosis] = [*observed, *coded]
    # One without a date may be the newest.
    facts = (*newest(known), *(one for one in known if one.when is None))
    if not facts:
        return None
    names = sorted(
        context.words.label(name)
        for name in classes
        if any(name in _classes_of(one) for one in facts)
    )
    values = {"class": ", ".join(names), "date": shown_date(facts[0].when)}
    said = {_class_says(rule, one) for one in facts}
    outcome = said.pop() if len(said) == 1 else "disagree"
    if outcome == "severe" and not any(isinstance(o, Result) or o.confirmed for o in facts):
        outcome = "severe_unconfirmed"
    return Finding(outcome, facts, values)


def _classes_of(one: Result | Diagnosis) -> frozenset[str]:
    return one.answers if isinstance(one, Result) else one.concepts


def _class_says(rule: HeartFailureRule, one: Result | Diagnosis) -> str:
    held = _classes_of(one)
    if held.intersection(rule.severe):
        return "severe"
    return "mild" if held.intersection(rule.mild) else "unreadable"
