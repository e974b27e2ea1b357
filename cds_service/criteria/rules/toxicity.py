"""The rule on toxicity that is still there after a course of therapy.

Sources: the ``toxicity`` rule, details 1, 19, 32 and 43 of the eligibility rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from cds_service.criteria.course import read_courses
from cds_service.criteria.derived import derived_counts
from cds_service.criteria.finding import Context, Finding, dated
from cds_service.criteria.latest import against, latest
from cds_service.criteria.normal import upper_limit
from cds_service.criteria.showing import as_shown
from cds_service.record.amounts import Span
from cds_service.record.model import AdverseEvent, Result, ResultState
from cds_service.trial.rules.course import ToxicityLimit, ToxicityRule


def toxicity(rule: ToxicityRule, context: Context) -> Finding:
    """The latest results since the latest cycle of all; beyond a limit of grade 3 they exclude."""
    since = read_courses(rule.course, context.view).latest_cycle
    severe = [one for one in context.view.adverse_events() if one.severe and not one.resolved]
    if since is None:
        return _judge([], severe)
    listed: list[Result] = []
    toxic: list[Result] = []
    for deciding in _deciding(rule, since, context):
        listed.extend(deciding[0])
        if deciding[1]:
            toxic.extend(deciding[0])
    if toxic:
        return Finding("toxic", tuple(toxic), {"what": _values(toxic)})
    return _judge(listed, severe)


def _judge(listed: Sequence[Result], severe: Sequence[AdverseEvent]) -> Finding:
    values = {"found": _values(listed), "listed": dated(severe)}
    return Finding("judge", (*listed, *severe), values)


def _values(results: Sequence[Result]) -> str:
    return ", ".join(dict.fromkeys(_told(one.source.display, _value(one)) for one in results))


def _told(display: str, value: str) -> str:
    """A name and its value, without saying the word twice that ends one and begins the other."""
    first, _, rest = value.partition(" ")
    words = display.split()
    twice = bool(rest and words) and words[-1].casefold() == first.casefold()
    return f"{display} {rest if twice else value}"


def _value(one: Result) -> str:
    problem = f"({one.problem})" if one.state is ResultState.UNUSABLE else ""
    return f"{one.text} {problem}".strip()


def _deciding(
    rule: ToxicityRule, since: date, context: Context
) -> list[tuple[tuple[Result, ...], bool]]:
    """For each limit and each graded finding: the latest results, and whether they are beyond."""
    found = []
    for limit in rule.limits:
        newest = latest(_window(rule, since, limit.result, context))
        if newest is not None:
            beyond = all(_beyond(limit, one, context) for one in newest.results)
            found.append((_shown(limit, newest.results, context), beyond))
        else:
            found.extend(_calculated(rule, limit, since, context))
    by_label: dict[tuple[str, ...], list[Result]] = {}
    for one in _window(rule, since, rule.graded, context):
        by_label.setdefault(one.labels, []).append(one)
    for group in by_label.values():
        newest = latest(group)
        if newest is not None:
            beyond = all(_graded_beyond(rule, one) for one in newest.results)
            found.append((newest.results, beyond))
    return found


def _calculated(
    rule: ToxicityRule, limit: ToxicityLimit, since: date, context: Context
) -> list[tuple[tuple[Result, ...], bool]]:
    """As for the limit's own results, from what such a result can be calculated from."""

    def window(concepts: Sequence[str]) -> list[Result]:
        return _window(rule, since, concepts, context)

    counts = derived_counts(limit.derived, window)
    if not counts:
        return []
    parts = tuple(dict.fromkeys(part for count in counts for part in count.parts))
    return [(parts, all(_amount_beyond(limit, count.amount, limit.value) for count in counts))]


def _window(
    rule: ToxicityRule, since: date, concepts: Sequence[str], context: Context
) -> list[Result]:
    clock = context.view.clock
    oldest = max(since, clock.today - timedelta(days=rule.within_days + 1))
    return [
        one
        for one in context.view.results(concepts, after=oldest)
        if one.when is not None
        and one.when.first > since
        and clock.within_days(one.when.first, rule.within_days)
    ]


def _graded_beyond(rule: ToxicityRule, one: Result) -> bool:
    """Whether a grade, as a number or in words, is surely at the limit or above."""
    if one.state is ResultState.UNUSABLE:
        return False
    if one.amount is not None:
        return against(one.amount, ">=", Decimal(rule.grade_limit)) == "met"
    return bool(one.answers.intersection(rule.graded_words))


def _beyond(limit: ToxicityLimit, one: Result, context: Context) -> bool:
    """Whether a result is surely beyond the limit; an unusable one decides nothing."""
    if one.state is ResultState.UNUSABLE or one.amount is None:
        return False
    return _amount_beyond(limit, one.amount, _bound(limit, one, context))


def _bound(limit: ToxicityLimit, one: Result, context: Context) -> Decimal | None:
    if limit.times_uln is None:
        return limit.value
    normal = upper_limit(one, limit.uln, context)
    return None if normal is None else limit.times_uln * normal


def _shown(limit: ToxicityLimit, results: Sequence[Result], context: Context) -> tuple[Result, ...]:
    """The results, each with the text that a reader sees."""
    return tuple(
        one if one.place is None else as_shown(one, [_bound(limit, one, context)], context.words)
        for one in results
    )


def _amount_beyond(limit: ToxicityLimit, amount: Span | None, bound: Decimal | None) -> bool:
    if amount is None or bound is None:
        return False
    return against(amount, "<" if limit.direction == "below" else ">", bound) == "met"
