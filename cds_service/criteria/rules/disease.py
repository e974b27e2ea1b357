"""Rules on the tumour: site, spread, histology, grade."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cds_service.criteria.finding import Context, Finding, dated, named, shown_date, types_of
from cds_service.criteria.latest import against, day_of, latest, newest
from cds_service.criteria.view import Fact
from cds_service.record.model import Diagnosis, Result, ResultState
from cds_service.trial.rules.disease import GradeRule, HistologyRule, MetastaticRule, TumorSiteRule


def tumor_site(rule: TumorSiteRule, context: Context) -> Finding:
    """Sort every diagnosis of the tumour by its site; a confirmed accepted site decides."""
    sorted_by: dict[str, list[Diagnosis]] = {}
    for one in context.view.diagnoses((*rule.tumor, *rule.morphology)):
        sorted_by.setdefault(_site(rule, one), []).append(one)
    accepted = sorted_by.get("accepted", [])
    confirmed = [one for one in accepted if one.confirmed]
    if confirmed:
        return _diagnosis("accepted", confirmed, stands=False)
    if accepted:
        return _diagnosis("unconfirmed", accepted)
    if review := sorted_by.get("review"):
        return _diagnosis("review", review)
    if other := sorted_by.get("other_site"):
        sure = [one for one in other if one.confirmed]
        return _diagnosis("other_site", sure) if sure else _diagnosis("unconfirmed", other)
    if spread := sorted_by.get("metastasis"):
        return _diagnosis("review", spread)
    return Finding("none")


def _site(rule: TumorSiteRule, one: Diagnosis) -> str:
    """The best that one Condition's codes together say about the primary site."""
    if one.concepts.intersection(rule.accepted):
        return "accepted"
    has_morphology = (one.morphology | one.concepts).intersection(rule.morphology)
    if has_morphology and one.concepts.intersection(rule.accepted_sites_with_morphology):
        return "accepted"
    if one.body_site.intersection(rule.accepted_body_sites) and not one.concepts.intersection(
        (*rule.other_site, *rule.metastasis, *rule.review)
    ):
        return "accepted"
    if one.concepts.intersection(rule.other_site):
        return "other_site"
    if one.body_site.intersection(rule.other_body_sites) and not one.concepts.intersection(
        (*rule.metastasis, *rule.review)
    ):
        return "other_site"
    if one.concepts.intersection(rule.metastasis) and not one.concepts.intersection(rule.review):
        return "metastasis"
    return "review"


def _diagnosis(outcome: str, facts: Sequence[Diagnosis], *, stands: bool = False) -> Finding:
    return Finding(outcome, tuple(facts), {"diagnosis": named(facts)}, stands=stands)


def metastatic(rule: MetastaticRule, context: Context) -> Finding:
    """A confirmed metastasis, or a stage that says so."""
    view = context.view
    spread = view.diagnoses(rule.metastasis)
    staged = [
        one
        for one in view.results(rule.stage_observation, dated=False)
        if one.state is ResultState.USABLE and one.answers.intersection(rule.stage)
    ]
    with_stage = [one for one in view.diagnoses(rule.tumor) if one.stage.intersection(rule.stage)]
    sure: list[Diagnosis | Result] = [one for one in (*spread, *with_stage) if one.confirmed]
    sure.extend(staged)
    if sure:
        values = {"what": _with_stages(rule, context, sure)}
        return Finding("metastasis", tuple(dict.fromkeys(sure)), values, proofs=types_of(sure))
    unsure = (*spread, *with_stage)
    if unsure:
        return Finding("unconfirmed", unsure, {"what": _with_stages(rule, context, unsure)})
    return Finding("none")


def _with_stages(
    rule: MetastaticRule, context: Context, facts: Sequence[Diagnosis | Result]
) -> str:
    """The displays of facts with the stage that they tell and their dates, each once."""
    told = []
    for one in facts:
        stage = one.answers if isinstance(one, Result) else one.stage
        label = context.label(stage, rule.stage)
        what = f"{one.source.display}, {label}" if label else one.source.display
        told.append(f"{what} ({shown_date(one.when)})")
    return ", ".join(dict.fromkeys(told))


def histology(rule: HistologyRule, context: Context) -> Finding:
    """A morphology code on a diagnosis, or the tumour in a pathology report or observation."""
    view = context.view
    coded = view.diagnoses(rule.morphology)
    wanted = frozenset((*rule.morphology, *rule.tumor))
    reports = [one for one in view.reports(rule.pathology) if one.conclusion & wanted]
    observed = [
        one
        for one in view.results(rule.morphology_observation, dated=False)
        if one.state is ResultState.USABLE and one.answers & wanted
    ]
    sure: tuple[Fact, ...] = (
        *(one for one in coded if one.confirmed), *reports, *observed,
    )  # fmt: skip
    if sure:
        return Finding("confirmed", sure, {"what": dated(sure)}, proofs=types_of(sure))
    if coded:
        return Finding("unconfirmed", tuple(coded), {"what": dated(coded)})
    return Finding("none")


def grade(rule: GradeRule, context: Context) -> Finding:
    """The latest grade among observations and diagnosis codes; Ki-67 where there is none."""
    view = context.view
    grades = frozenset((*rule.accepted, *rule.refused))
    observed = [one for one in view.results(rule.observation) if one.state is not ResultState.EMPTY]
    coded = view.diagnoses(grades, dated=True)
    known: list[Result | Diagnosis] = [*observed, *coded]
    # One without a date may be the newest.
    facts = (*newest(known), *(one for one in known if one.when is None))
    if not facts:
        return _proliferation(rule, context)
    values = {
        "grade": _grade_names(context, facts, grades),
        "value": ", ".join(one.original for one in facts if isinstance(one, Result)),
        "date": shown_date(facts[0].when),
    }
    said = {_says(rule, one) for one in facts}
    if said == {"unreadable"}:
        return Finding("unreadable", facts, values)
    if len(said) > 1:
        unsure = {_says(rule, one) for one in facts if _sure(one)}
        outcome = "unreadable" if "unreadable" in unsure else "disagree"
        return Finding(outcome, facts, values)
    if not any(_sure(one) for one in facts):
        return Finding("unconfirmed", facts, values)
    return Finding(said.pop(), facts, values, phrases=_passed_over(rule, context, facts))


def _passed_over(
    rule: GradeRule, context: Context, facts: Sequence[Result | Diagnosis]
) -> tuple[tuple[str, dict[str, str]], ...]:
    """The note that a newer observation has no value."""
    days = [one.when.first for one in facts if one.when is not None]
    empty = [
        one
        for one in context.view.results(rule.observation)
        if one.state is ResultState.EMPTY and one.when is not None
    ]
    if not days or not any(one.when and one.when.first > max(days) for one in empty):
        return ()
    return (("advisory_older", {"date": shown_date(facts[0].when)}),)


def _sure(one: Result | Diagnosis) -> bool:
    return isinstance(one, Result) or one.confirmed


def _says(rule: GradeRule, one: Result | Diagnosis) -> str:
    if isinstance(one, Result) and one.state is ResultState.UNUSABLE:
        return "unreadable"
    held = one.answers if isinstance(one, Result) else one.concepts | one.morphology
    if held.intersection(rule.refused):
        return "refused"
    return "accepted" if held.intersection(rule.accepted) else "unreadable"


def _grade_names(
    context: Context, facts: Iterable[Result | Diagnosis], grades: frozenset[str]
) -> str:
    names = {
        context.words.label(concept)
        for one in facts
        for concept in (one.answers if isinstance(one, Result) else one.concepts | one.morphology)
        if concept in grades
    }
    return ", ".join(sorted(names))


def _proliferation(rule: GradeRule, context: Context) -> Finding:
    deciding = latest(context.view.results(rule.proliferation))
    if deciding is None:
        return Finding("none")
    facts = deciding.results
    if deciding.unusable is not None or any(one.amount is None for one in facts):
        told = {"value": facts[0].original, "date": day_of(facts)}
        return Finding("proliferation_unreadable", facts, told)
    values = {"value": facts[0].normalized, "date": day_of(facts)}
    low = all(
        one.amount is not None and against(one.amount, "<=", rule.proliferation_limit) == "met"
        for one in facts
    )
    return Finding("proliferation_low" if low else "proliferation_high", facts, values)
