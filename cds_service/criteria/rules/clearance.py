"""The rule on creatinine clearance: recorded, or by the Cockcroft-Gault formula."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from cds_service.criteria.finding import Context, Finding
from cds_service.criteria.latest import Latest, against, day_of, latest
from cds_service.criteria.rules.laboratory import (
    exact_amount,
    for_reader,
    in_window,
    none_in_window,
    shown_values,
)
from cds_service.criteria.showing import EXACT, last_digit, text_of
from cds_service.record.amounts import Span
from cds_service.record.dates import birthday, completed_years
from cds_service.record.model import Result, ResultState
from cds_service.trial.rules.laboratory import ClearanceRule


def creatinine_clearance(rule: ClearanceRule, context: Context) -> Finding:
    """A recorded clearance of the window decides; else the Cockcroft-Gault formula."""
    recorded = context.view.results((*rule.measured, *rule.calculated))
    recent = [
        one
        for one in in_window(recorded, rule.within_days, context)
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
    facts = for_reader(deciding.results, rule.limit, context)
    values = {
        "value": shown_values(facts), "date": day_of(facts), "limit": f"{rule.limit}",
        "how": context.phrase("how_recorded"),
    }  # fmt: skip
    said = {_over(rule, one.amount) for one in facts}
    return Finding(said.pop() if len(said) == 1 else "disagree", facts, values)


def _unusable(facts: tuple[Result, ...]) -> Finding:
    """What cannot be used, and why."""
    broken = [one for one in facts if one.state is ResultState.UNUSABLE or one.amount is None]
    what = "; ".join(dict.fromkeys(one.source.display for one in broken))
    problem = "; ".join(dict.fromkeys(one.problem or "" for one in broken))
    values = {
        "what": what,
        "value": shown_values(broken),
        "date": day_of(broken),
        "problem": problem,
    }
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
    creatinine = latest(in_window(every, rule.within_days, context))
    weight = latest(in_window(view.results(rule.weight), rule.weight_within_days, context))
    lacks = (*_lacking(rule.creatinine, creatinine), *_lacking(rule.weight, weight))
    if creatinine is None:
        finding = none_in_window(every, None, context)
    else:
        finding = _from_what_is_there(rule, creatinine, weight, context)
    if finding.outcome not in ("met", "not_met"):
        finding.lacks = lacks
    return finding


def _lacking(concepts: Sequence[str], found: Latest | None) -> tuple[str, ...]:
    """The concepts of an input where it is not one value that can be used."""
    amounts = {exact_amount(one) for one in found.results} if found else {None}
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
    facts = for_reader((*inputs.creatinine.results, *inputs.weight.results), None, context)
    said = {
        _formula(rule, inputs, kilograms, level)
        for level in _outermost(inputs.creatinine)
        for kilograms in _outermost(inputs.weight)
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


def _outermost(found: Latest) -> set[Span]:
    """The amounts that begin or end first or last: what they agree on, those between them share."""
    amounts = [one.amount for one in found.results if one.amount is not None]

    def begins(one: Span) -> tuple[bool, Decimal, bool]:
        return one.low is not None, one.low or Decimal(0), one.low_open

    def ends(one: Span) -> tuple[bool, Decimal, bool]:
        return one.high is None, one.high or Decimal(0), not one.high_open

    return {pick(amounts, key=key) for key in (begins, ends) for pick in (min, max)}


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
