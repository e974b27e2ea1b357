"""Rules on laboratory results: a limit, a multiple of normal, a derived count, a clearance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from cds_service.criteria.derived import Derived, derived_counts
from cds_service.criteria.finding import Context, Finding
from cds_service.criteria.latest import Latest, against, day_of, latest
from cds_service.criteria.normal import upper_limit
from cds_service.criteria.showing import EXACT, as_shown, last_digit, rounded, text_of, times_normal
from cds_service.record.dates import birthday, completed_years
from cds_service.record.model import Result, ResultState, Span
from cds_service.trial.rules import ClearanceRule, LabRule

# --- The latest result against a limit ---------------------------------------------------------


def lab(rule: LabRule, context: Context) -> Finding:
    """The latest result in the window against the limit."""
    every = context.view.results(rule.result)
    deciding = latest(_recent(every, rule.within_days, context))
    if deciding is not None:
        return _decide(rule, deciding, context)
    derived = _derive(rule, context)
    if derived is not None:
        return derived
    return _no_recent(every, rule.limit, context)


def _no_recent(every: Sequence[Result], limit: Decimal | None, context: Context) -> Finding:
    """The latest result that is too old, or none at all."""
    older = latest(every)
    if older is None:
        return Finding("none")
    facts = _rounded(older.results, limit, context)
    return Finding("outdated", facts, {"value": _shown(facts), "date": day_of(facts)})


def _recent(found: Iterable[Result], days: int, context: Context) -> list[Result]:
    clock = context.view.clock
    return [
        one for one in found if one.when is not None and clock.within_days(one.when.first, days)
    ]


def _decide(rule: LabRule, deciding: Latest, context: Context) -> Finding:
    facts, broken = deciding.results, deciding.unusable
    values = {"value": _shown(facts), "date": day_of(facts), "limit": _limit_shown(rule, context)}
    if broken is not None:
        return Finding("unusable", facts, values | {"problem": broken.problem or ""})
    facts = tuple(as_shown(one, _limits(rule, one, context), context.words) for one in facts)
    values |= {"value": _shown(facts), "multiple": _multiples(rule, facts, context)}
    said = {_against(rule, one, context) for one in facts}
    if len(said) > 1:
        return Finding("disagree", facts, values)
    phrases = (("advisory_older", {"date": values["date"]}),) if deciding.passed_over else ()
    finding = Finding(said.pop(), facts, values, phrases=phrases)
    if finding.outcome in ("not_met", "straddles") and rule.exception_diagnosis:
        return _exception(rule, finding, context)
    return finding


def _against(rule: LabRule, one: Result, context: Context) -> str:
    limit = next(iter(_limits(rule, one, context)), None)
    if limit is None and rule.times_uln is not None:
        return "no_uln"
    if one.amount is None or limit is None:
        return "unusable"
    return against(one.amount, rule.comparison, limit)


def _limits(rule: LabRule, one: Result, context: Context) -> tuple[Decimal, ...]:
    """What a result is compared with: the rule's limit, then that of an exception."""
    if rule.times_uln is None:
        return () if rule.limit is None else (rule.limit,)
    normal = upper_limit(one, rule.uln, context)
    return () if normal is None else tuple(times * normal for times in _times(rule, context))


def _times(rule: LabRule, context: Context) -> tuple[Decimal, ...]:
    """The multiples of normal that may decide."""
    exception = context.site.exception_multiple if rule.exception_diagnosis else None
    return tuple(times for times in (rule.times_uln, exception) if times is not None)


def _multiples(rule: LabRule, facts: Sequence[Result], context: Context) -> str:
    """How many times the upper limit of normal the results are."""
    if rule.times_uln is None:
        return ""
    times = _times(rule, context)
    texts = (times_normal(one, upper_limit(one, rule.uln, context), times) for one in facts)
    return ", ".join(dict.fromkeys(texts))


def _rounded(
    results: Iterable[Result], limit: Decimal | None, context: Context
) -> tuple[Result, ...]:
    """The results, each with the text that a reader sees."""
    return tuple(as_shown(one, (limit,), context.words) for one in results)


def _limit_shown(rule: LabRule, context: Context) -> str:
    if rule.limit is None:
        return f"{rule.times_uln}"
    quantity = context.words.quantity_of(frozenset(rule.result))
    return context.words.shown(quantity, rule.limit) if quantity else f"{rule.limit}"


def _exception(rule: LabRule, finding: Finding, context: Context) -> Finding:
    """A diagnosis for which the public text has lost its number: a person, or the site, decides."""
    found = context.view.diagnoses(rule.exception_diagnosis)
    if not found:
        return finding
    facts = (*finding.facts, *found)
    multiple = context.site.exception_multiple
    confirmed = any(one.confirmed for one in found)
    if multiple is None or not confirmed:
        return Finding("exception_open", facts, finding.values)
    said = set()
    for one in finding.facts:
        normal = upper_limit(one, rule.uln, context) if isinstance(one, Result) else None
        if normal is None or not isinstance(one, Result) or one.amount is None:
            return finding
        said.add(against(one.amount, "<=", multiple * normal))
    values = finding.values | {"limit": f"{multiple}"}
    if len(said) > 1:
        return Finding("disagree", facts, values)
    outcome = said.pop()
    return Finding(outcome if outcome == "straddles" else f"exception_{outcome}", facts, values)


# --- Derived counts ----------------------------------------------------------------------------


def _derive(rule: LabRule, context: Context) -> Finding | None:
    """The count of the latest sampling time from which one can be made."""

    def recent(concepts: Sequence[str]) -> list[Result]:
        return _recent(context.view.results(concepts), rule.within_days, context)

    counts = derived_counts(rule.derived, recent)
    findings = [_decide_derived(rule, count, context) for count in counts]
    if not findings:
        return None
    if len({one.outcome for one in findings}) > 1:
        facts = tuple(dict.fromkeys(fact for one in findings for fact in one.facts))
        return Finding("disagree", facts, findings[0].values)
    return findings[0]


def _decide_derived(rule: LabRule, count: Derived, context: Context) -> Finding:
    parts, amount = count.parts, count.amount
    values = {
        "value": _shown(parts), "date": day_of(parts), "limit": _limit_shown(rule, context),
    }  # fmt: skip
    if amount is None or rule.limit is None:
        return Finding("unusable", parts, values | {"problem": count.problem})
    quantity = context.words.quantity_of(frozenset(rule.result))
    if quantity and amount.exact is not None:
        measured = [one for part in parts if (one := _exact(part)) is not None]
        place = last_digit(amount.exact, max(len(one.as_tuple().digits) for one in measured))
        value = rounded(amount.exact, place, (rule.limit,))
        values["value"] = context.words.shown(quantity, value)
    outcome = against(amount, rule.comparison, rule.limit)
    how = ", ".join(f"{one.source.display} {one.normalized}" for one in parts)
    return Finding(outcome, parts, values, phrases=(("derived", {"how": how}),))


def _shown(facts: Sequence[Result]) -> str:
    return ", ".join(dict.fromkeys(one.text for one in facts))


def _exact(one: Result) -> Decimal | None:
    return None if one.amount is None else one.amount.exact


# --- Creatinine clearance ----------------------------------------------------------------------


def creatinine_clearance(rule: ClearanceRule, context: Context) -> Finding:
    """A recorded clearance of the window decides; else the Cockcroft-Gault formula."""
    recorded = context.view.results((*rule.measured, *rule.calculated))
    recent = [
        one
        for one in _recent(recorded, rule.within_days, context)
        if one.state is not ResultState.EMPTY
    ]
    if recent:
        return _recorded(rule, _measured_first(rule, recent), context)
    return _computed(rule, context)


def _measured_first(rule: ClearanceRule, recent: Sequence[Result]) -> list[Result]:
    """The results of the latest day: the measured ones, or else the calculated ones."""
    day = max(one.when.first for one in recent if one.when is not None)
    of_day = [one for one in recent if one.when is not None and one.when.first == day]
    measured = [one for one in of_day if one.concepts.intersection(rule.measured)]
    return measured or of_day


def _recorded(rule: ClearanceRule, results: Sequence[Result], context: Context) -> Finding:
    deciding = latest(results)
    if deciding is None:
        return Finding("none")
    if deciding.unusable is not None:
        return _unusable(deciding.results)
    facts = _rounded(deciding.results, rule.limit, context)
    values = {
        "value": _shown(facts), "date": day_of(facts), "limit": f"{rule.limit}",
        "how": context.phrase("how_recorded"),
    }  # fmt: skip
    said = {_over(rule, one.amount) for one in facts}
    return Finding(said.pop() if len(said) == 1 else "disagree", facts, values)


def _unusable(facts: tuple[Result, ...]) -> Finding:
    """What cannot be used, and why."""
    broken = [one for one in facts if one.state is ResultState.UNUSABLE or one.amount is None]
    what = "; ".join(dict.fromkeys(one.source.display for one in broken))
    problem = "; ".join(dict.fromkeys(one.problem or "" for one in broken))
    values = {"what": what, "value": _shown(broken), "date": day_of(broken), "problem": problem}
    return Finding("unusable", facts, values)


def _over(rule: ClearanceRule, amount: Span | None) -> str:
    return "unusable" if amount is None else against(amount, ">", rule.limit)


class _Inputs(msgspec.Struct, frozen=True):
    """The inputs of the formula, each settled on the deciding results."""

    creatinine: Latest
    weight: Latest
    age: int
    sex: Literal["male", "female"]


def _computed(rule: ClearanceRule, context: Context) -> Finding:
    view = context.view
    every = view.results(rule.creatinine)
    creatinine = latest(_recent(every, rule.within_days, context))
    weight = latest(_recent(view.results(rule.weight), rule.weight_within_days, context))
    lacks = (*_lacking(rule.creatinine, creatinine), *_lacking(rule.weight, weight))
    if creatinine is None:
        finding = _no_recent(every, None, context)
    else:
        finding = _from_what_is_there(rule, creatinine, weight, context)
    if finding.outcome not in ("met", "not_met"):
        finding.lacks = lacks
    return finding


def _lacking(concepts: Sequence[str], found: Latest | None) -> tuple[str, ...]:
    """The concepts of an input where it is not one value that can be used."""
    amounts = {_exact(one) for one in found.results} if found else {None}
    return tuple(concepts) if None in amounts or len(amounts) > 1 else ()


def _from_what_is_there(
    rule: ClearanceRule, creatinine: Latest, weight: Latest | None, context: Context
) -> Finding:
    view = context.view
    birth = view.birth()
    sex = view.sex()
    facts = (*creatinine.results, *(weight.results if weight else ()))
    if any(one.state is ResultState.UNUSABLE or one.amount is None for one in facts):
        return _unusable(facts)
    missing = [
        context.phrase(key)
        for key, absent in (
            ("missing_weight", weight is None),
            ("missing_sex", sex is None),
            ("missing_birth_date", birth is None),
        )
        if absent
    ]
    if missing or weight is None or birth is None or sex is None:
        return Finding("incomplete", creatinine.results, {"what": ", ".join(missing)})
    age = completed_years(birth, view.clock.today)
    view.clock.note(birthday(birth, age + 1))
    inputs = _Inputs(creatinine, weight, age, "male" if sex == "male" else "female")
    return _from_inputs(rule, inputs, context)


def _from_inputs(rule: ClearanceRule, inputs: _Inputs, context: Context) -> Finding:
    facts = _rounded((*inputs.creatinine.results, *inputs.weight.results), None, context)
    said = {
        _formula(rule, inputs, kilograms.amount, level.amount)
        for level in inputs.creatinine.results
        for kilograms in inputs.weight.results
        if level.amount is not None and kilograms.amount is not None
    }
    values = {
        "value": _clearance_shown(rule, inputs, context),
        "date": day_of(inputs.creatinine.results),
        "limit": f"{rule.limit}",
        "how": context.phrase(
            "how_computed",
            creatinine=_recorded_text(inputs.creatinine),
            weight=_recorded_text(inputs.weight),
            age=str(inputs.age),
        ),
    }
    if len(said) > 1:
        return Finding("disagree", facts, values)
    outcome = said.pop()
    return Finding(outcome, facts, values, phrases=_ideal(rule, inputs, outcome, context))


def _recorded_text(found: Latest) -> str:
    """The values as they were recorded, so that a reader can repeat the calculation."""
    return ", ".join(dict.fromkeys(one.original for one in found.results))


def _formula(rule: ClearanceRule, inputs: _Inputs, weight: Span, creatinine: Span) -> str:
    """Compare without dividing, so that a value exactly on the limit stays there."""
    factor = _per_kilogram(rule, inputs)
    divisor = rule.divisor * rule.limit
    # Clearance > limit  <=>  factor x weight > limit x divisor x creatinine.
    product = Span(
        None if weight.low is None else weight.low * factor,
        None if weight.high is None else weight.high * factor,
        weight.low_open,
        weight.high_open,
    )
    bound = Span(
        None if creatinine.low is None else creatinine.low * divisor,
        None if creatinine.high is None else creatinine.high * divisor,
        creatinine.low_open,
        creatinine.high_open,
    )
    if bound.high is not None:
        # Where the creatinine is surely below its high end, a clearance that meets the limit there
        # is above it.
        over = ">=" if bound.high_open else ">"
        if against(product, over, bound.high) == "met":
            return "met"
    if bound.low is not None and against(product, "<=", bound.low) == "met":
        return "not_met"
    return "straddles"


def _per_kilogram(rule: ClearanceRule, inputs: _Inputs) -> Decimal:
    """(140 - age) x (0.85 if female) x the umol/L of 1 mg/dL: creatinine is held in umol/L."""
    sex_factor = rule.female_factor if inputs.sex == "female" else Decimal(1)
    return (rule.age_minuend - inputs.age) * sex_factor * rule.creatinine_umol_per_mg_dl


def _clearance(rule: ClearanceRule, inputs: _Inputs, weight: Span, creatinine: Span) -> Span:
    """The clearance, between the least and the most that it can be."""
    factor = _per_kilogram(rule, inputs)

    def quotient(kilograms: Decimal | None, level: Decimal | None) -> Decimal | None:
        if kilograms is None or not level:
            return None
        return EXACT.divide(factor * kilograms, rule.divisor * level)

    return Span(
        quotient(weight.low, creatinine.high),
        quotient(weight.high, creatinine.low),
        weight.low_open or creatinine.high_open,
        weight.high_open or creatinine.low_open,
    )


def _clearance_shown(rule: ClearanceRule, inputs: _Inputs, context: Context) -> str:
    weight = inputs.weight.results[0].amount
    creatinine = inputs.creatinine.results[0].amount
    if weight is None or creatinine is None:
        return ""
    amount = _clearance(rule, inputs, weight, creatinine)
    place = min(0, last_digit(amount.end or Decimal(1)))
    quantity = context.words.quantity_of(frozenset(rule.measured))
    return text_of(amount, quantity, place, (rule.limit,), context.words)


def _ideal(
    rule: ClearanceRule, inputs: _Inputs, outcome: str, context: Context
) -> tuple[tuple[str, dict[str, str]], ...]:
    """An advisory where the ideal weight would change the answer (actual weight decides)."""
    height = latest(context.view.results(rule.height, dated=False))
    amount = height.results[0].amount if height else None
    if amount is None or amount.exact is None:
        return ()
    base = rule.ideal_weight_male_kg if inputs.sex == "male" else rule.ideal_weight_female_kg
    inches = amount.exact / rule.cm_per_inch
    ideal = base + rule.ideal_weight_kg_per_inch * (inches - rule.ideal_weight_from_inches)
    creatinine = inputs.creatinine.results[0].amount
    if ideal <= 0 or creatinine is None:
        return ()
    if _formula(rule, inputs, Span(ideal, ideal), creatinine) == outcome:
        return ()
    return (("advisory_ideal_weight", {"ideal": f"{ideal.quantize(Decimal(1))} kg"}),)
