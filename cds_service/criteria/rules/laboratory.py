"""The rule on a laboratory result: a limit, a multiple of normal, a derived count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from cds_service.criteria.derived import Derived, derived_counts
from cds_service.criteria.finding import Context, Finding
from cds_service.criteria.latest import Latest, against, day_of, latest
from cds_service.criteria.normal import upper_limit
from cds_service.criteria.showing import as_shown, last_digit, rounded, times_normal
from cds_service.record.model import Result
from cds_service.trial.rules.laboratory import LabRule

# --- The latest result against a limit ---------------------------------------------------------


def lab(rule: LabRule, context: Context) -> Finding:
    """The latest result in the window against the limit."""
    every = context.view.results(rule.result)
    deciding = latest(in_window(every, rule.within_days, context))
    if deciding is not None:
        return _decide(rule, deciding, context)
    derived = _derive(rule, context)
    if derived is not None:
        return derived
    return none_in_window(every, rule.limit, context)


def _decide(rule: LabRule, deciding: Latest, context: Context) -> Finding:
    facts, broken = deciding.results, deciding.unusable
    values = {
        "value": shown_values(facts),
        "date": day_of(facts),
        "limit": _limit_shown(rule, context),
    }
    if broken is not None:
        return Finding("unusable", facts, values | {"problem": broken.problem or ""})
    facts = tuple(as_shown(one, _limits(rule, one, context), context.words) for one in facts)
    values |= {"value": shown_values(facts), "multiple": _multiples(rule, facts, context)}
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
        return in_window(context.view.results(concepts), rule.within_days, context)

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
        "value": shown_values(parts), "date": day_of(parts), "limit": _limit_shown(rule, context),
    }  # fmt: skip
    if amount is None or rule.limit is None:
        return Finding("unusable", parts, values | {"problem": count.problem})
    quantity = context.words.quantity_of(frozenset(rule.result))
    if quantity and amount.exact is not None:
        measured = [one for part in parts if (one := exact_amount(part)) is not None]
        place = last_digit(amount.exact, max(len(one.as_tuple().digits) for one in measured))
        value = rounded(amount.exact, place, (rule.limit,))
        values["value"] = context.words.shown(quantity, value)
    outcome = against(amount, rule.comparison, rule.limit)
    how = ", ".join(f"{one.source.display} {one.normalized}" for one in parts)
    return Finding(outcome, parts, values, phrases=(("derived", {"how": how}),))


# --- Results of the window, for a clearance too ------------------------------------------------


def in_window(found: Iterable[Result], days: int, context: Context) -> list[Result]:
    """The results of at most so many days ago."""
    clock = context.view.clock
    return [
        one for one in found if one.when is not None and clock.within_days(one.when.first, days)
    ]


def none_in_window(every: Sequence[Result], limit: Decimal | None, context: Context) -> Finding:
    """The latest result that is too old, or none at all."""
    older = latest(every)
    if older is None:
        return Finding("none")
    facts = for_reader(older.results, limit, context)
    return Finding("outdated", facts, {"value": shown_values(facts), "date": day_of(facts)})


def for_reader(
    results: Iterable[Result], limit: Decimal | None, context: Context
) -> tuple[Result, ...]:
    """The results, each with the text that a reader sees."""
    return tuple(as_shown(one, (limit,), context.words) for one in results)


def shown_values(facts: Sequence[Result]) -> str:
    """The results for a reader, each text once."""
    return ", ".join(dict.fromkeys(one.text for one in facts))


def exact_amount(one: Result) -> Decimal | None:
    """The amount of a result that is one number."""
    return None if one.amount is None else one.amount.exact
