"""What a criterion's status is when dates are vague, facts are doubtful or reads incomplete.

A rule is written for exact facts. Here it is tried in every case that the record allows: each vague
date on the days that could matter, each doubtful fact there and not there. If every case gives the
same status, that is the status; if not, it is unknown. Then incomplete reads take back what they
could overturn. Sources: "Time" (partial dates), details 1, 5 and 34 of the eligibility rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import product
from typing import Any

import msgspec

from cds_service.criteria.clock import Clock
from cds_service.criteria.finding import Context, Finding, SiteFacts, Wording
from cds_service.criteria.view import Fact, RecordIndex, Settled, View, possible_days
from cds_service.record.dates import LAST_DAY, When
from cds_service.record.model import Exposure, ProcedureDone, Record
from cds_service.record.reads import Complete, Unreadable
from cds_service.report import Basis, Change, Status
from cds_service.trial.schema import CriterionSpec

# More cases than this are not tried: the status is then unknown, and the dates are named.
MOST_CASES = 1024
# Nor more than this in one evaluation, so that a chart of vague dates holds nobody up. In a large
# chart each case takes longer: of so many facts, each as many again cost as many cases.
MOST_CASES_IN_ALL = 8192
FACTS_OF_A_CASE = 100
# Of vague dates that share an interval, so many are tried on days of their own: five such dates
# are just not too many cases, and a course of therapy is told by four cycles.
MOST_DAYS_APART = 4
_MILDER: tuple[Change | None, ...] = ("time", "new_data", "permanent", None)
_DAY = timedelta(days=1)


class Judgement(msgspec.Struct):
    """A criterion's status on one day, before attestations.

    Args:
        reason: ``imprecise``, ``doubtful`` or ``unread`` where the engine, not the rule, decided.
        culprits: the facts with vague dates or doubts that made it so.
        birth: the birth date, where that is too vague.
        unread: how reads went that it depends on, as (resource type, reason).
        unreadable: resources that may be about anything of a type it depends on.
        flips: later days on which the status may be another one with no new data.
    """

    status: Status
    basis: Basis | None
    change: Change | None
    finding: Finding
    flips: set[date]
    reason: str = ""
    culprits: tuple[Fact, ...] = ()
    birth: When | None = None
    unread: tuple[tuple[str, str], ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


class Patience(msgspec.Struct):
    """How many cases one evaluation may still try.

    Without any left, what has vague dates is unknown; so the day asked about comes first.
    """

    cases: int = MOST_CASES_IN_ALL

    @classmethod
    def with_chart(cls, facts: int) -> Patience:
        """For a chart of so many facts."""
        return cls(MOST_CASES_IN_ALL // (1 + facts // FACTS_OF_A_CASE))

    def keep(self, part: int, *, of: int) -> None:
        """Give up what goes beyond a part of the cases that are left."""
        self.cases = self.cases * part // of

    def allows(self, cases: int) -> bool:
        """Whether so many may be tried; they are then counted as tried."""
        if cases > min(MOST_CASES, self.cases):
            return False
        self.cases -= cases
        return True


class Rulebook(msgspec.Struct, frozen=True):
    """Everything a criterion is judged with, beside the record and the day."""

    functions: dict[str, Any]
    site: SiteFacts
    words: Wording


class _Question(msgspec.Struct, frozen=True):
    """One criterion about one record, asked in one case after another."""

    spec: CriterionSpec
    index: RecordIndex
    book: Rulebook
    patience: Patience

    def find(self, view: View) -> Finding:
        """What the rule finds in this view."""
        context = Context(view, self.book.site, self.book.words, self.spec.phrases)
        finding: Finding = self.book.functions[self.spec.rule.kind](self.spec.rule, context)
        return finding

    def judge(self, view: View) -> Judgement:
        """The status that this has."""
        finding = self.find(view)
        outcome = self.spec.outcomes[finding.outcome]
        basis = outcome.basis
        if basis is None and outcome.status in ("met", "not_met", "not_applicable"):
            basis = "evidence"
        return Judgement(outcome.status, basis, outcome.change, finding, set(view.clock.flips))


def judge(
    spec: CriterionSpec, index: RecordIndex, day: date, book: Rulebook, patience: Patience
) -> Judgement:
    """Judge one criterion on one day."""
    question = _Question(spec, index, book, patience)
    view = View(index, Clock(day))
    judged = question.judge(view)
    if view.loose or view.vague_birth:
        judged = _across_cases(question, view, judged)
    return _with_reads(judged, index, view.reads)


# --- Cases -------------------------------------------------------------------------------------


def _across_cases(question: _Question, view: View, first: Judgement) -> Judgement:
    judged: list[Judgement] | None = [first]
    ahead = _cut_off(view)
    unsettled = first.flips
    if ahead is not None:
        # Seen on the last day that a vague date can mean today, and tomorrow on tomorrow's.
        first.flips = set()
    asked = -1
    # A rule may ask for more facts in some cases than in others: rounds go on until it asks
    # for no more.
    while judged is not None and asked != _asked(view):
        asked = _asked(view)
        judged = _round(question, view, first)
    loose = view.loose
    if judged is not None:
        flips = {flip for one in judged for flip in one.flips} | (ahead or set())
        if len({one.status for one in judged}) == 1:
            mildest = min(judged, key=lambda one: _MILDER.index(one.change))
            mildest.flips = flips
            return mildest
    else:
        flips = unsettled
    doubtful = any(getattr(fact, "doubtful", False) for fact in loose.values())
    return Judgement(
        "unknown", None, None, first.finding, flips,
        reason="doubtful" if doubtful else "imprecise",
        culprits=tuple(loose.values()),
        birth=view.patient.birth if view.vague_birth else None,
    )  # fmt: skip


def _cut_off(view: View) -> set[date] | None:
    """Days to come on which vague dates may mean something else; None where none reaches there.

    These are the last days that they can mean, and those after facts of today or later, which the
    vague ones may then be newer than.
    """
    today = view.clock.today
    dates = (day for fact in view.loose.values() for day in (fact.when, getattr(fact, "end", None)))
    reaching = [day for day in dates if day is not None and not day.exact and day.last > today]
    if not reaching:
        return None
    passed = {day + _DAY for day in view.exact_days if today <= day < LAST_DAY}
    return passed | {day.last for day in reaching if not day.unreadable}


def _asked(view: View) -> int:
    return len(view.loose) + len(view.exact_days) + len(view.clock.windows) + view.vague_birth


def _round(question: _Question, view: View, first: Judgement) -> list[Judgement] | None:
    """Judge every case of what is known to be loose; None where there are too many cases."""
    if len(view.loose) > question.patience.cases:
        return None
    loose, judged = dict(view.loose), [first]
    births = _births(view)
    still = _still_births(view)
    if _case_count(loose.values(), births, view) > MOST_CASES:
        narrowed = _deciding(question, view)
        if narrowed is None:
            return None
        loose, judged = narrowed[0], [first, *narrowed[1]]
        if len({one.status for one in judged}) > 1:
            return judged
    if not question.patience.allows(_case_count(loose.values(), births, view)):
        return None
    for settled, birth in _cases(loose, births, view):
        tried = View(question.index, Clock(view.clock.today), settled, birth)
        judged.append(_in_case(question, tried, settled, moving=birth not in still))
        _learn(view, tried)
    return judged


def _in_case(
    question: _Question, tried: View, settled: Mapping[int, Settled], *, moving: bool = False
) -> Judgement:
    """What is judged in one case.

    What is possible changes when the first or the last day of an interval leaves a window, or a day
    beside another fact does. A day next to today's window would name tomorrow, and tomorrow the day
    after: the whole outlook, day by day, for nothing.
    """
    judged = question.judge(tried)
    if moving or any(one.moving for one in settled.values()):
        judged.flips = set()
    return judged


def _learn(view: View, tried: View) -> None:
    """Take note of what the rule asked for in one case."""
    view.reads |= tried.reads
    view.clock.windows |= tried.clock.windows
    view.vague_birth = view.vague_birth or tried.vague_birth
    for key, fact in tried.loose.items():
        view.loose.setdefault(key, fact)
    view.exact_days |= tried.exact_days


def _deciding(question: _Question, view: View) -> tuple[dict[int, Fact], list[Judgement]] | None:
    """The loose facts that matter, each tried alone among the others, and what was judged.

    A fact matters if something is found that rests on it, or if another thing is found when it
    alone is settled in another way. An old result with a vague date is passed over whichever day
    it means, so that any number of them makes no case. None where even this is too much to try.
    """
    choices = {key: _settlements(fact, view) for key, fact in view.loose.items()}
    if not question.patience.allows(2 * sum(map(len, choices.values()))):
        return None
    judged: list[Judgement] = []
    rested: set[str] = set()
    moving: set[int] = set()
    for at in (0, -1):
        others = {key: cases[at] for key, cases in choices.items()}
        for key, cases in choices.items():
            views = [
                View(question.index, Clock(view.clock.today), others | {key: case})
                for case in cases
            ]
            found = [
                _in_case(question, tried, {key: case})
                for tried, case in zip(views, cases, strict=True)
            ]
            said = [(one.finding.outcome, _rests_on(one.finding)) for one in found]
            rested.update(*(references for _, references in said))
            if len(set(said)) > 1:
                moving.add(key)
            judged += found
    loose = {
        key: fact
        for key, fact in view.loose.items()
        if key in moving or fact.source.reference in rested
    }
    return loose, judged


def _rests_on(finding: Finding) -> frozenset[str]:
    return frozenset(fact.source.reference for fact in finding.facts)


def _births(view: View) -> Sequence[date | None]:
    known = view.patient.birth
    if not view.vague_birth or known is None:
        return (None,)
    return _days_that_matter(known.first, known.last, view)


def _still_births(view: View) -> set[date | None]:
    """Those of them that do not depend on the day that is asked about."""
    known = view.patient.birth
    if not view.vague_birth or known is None:
        return {None}
    return {*_fixed_days(known.first, known.last, view)}


def _days_that_matter(first: date, last: date, view: View) -> tuple[date, ...]:
    """The days of an interval on which a comparison can turn, both ends included."""
    fixed = _fixed_days(first, last, view)
    return tuple(sorted({*fixed, last, *_near(view.clock.windows, first, last)}))


def _fixed_days(first: date, last: date, view: View, *, cut_off: bool = False) -> set[date]:
    """Those of them that do not depend on the day that is asked about.

    Args:
        cut_off: the last one does, as the date reaches beyond it.
    """
    found = {first, *_days_apart(first, last, view), *_near(view.exact_days, first, last)}
    return found if cut_off else found | {last}


def _near(others: Iterable[date], first: date, last: date) -> set[date]:
    """The days of an interval that are some other day, or next to it."""
    return {
        day
        for other in others
        for day in (other - _DAY, other, other + _DAY)
        if first <= day <= last
    }


def _days_apart(first: date, last: date, view: View) -> Iterator[date]:
    """Days between the ends of an interval that three or more vague dates share.

    At the ends alone, three cycles of one year would never be three.
    """
    today = view.clock.today
    vague = (fact.when for fact in view.loose.values() if fact.when and not fact.when.exact)
    others = (possible_days(when, today) for when in vague)
    sharing = sum(other[0] <= last and first <= other[1] for other in others)
    steps = min(sharing, MOST_DAYS_APART) - 1
    for step in range(1, steps):
        yield first + (last - first) * step // steps


def _case_count(loose: Iterable[Fact], births: Sequence[date | None], view: View) -> int:
    count = len(births)
    for fact in loose:
        count *= len(_settlements(fact, view))
        if count > MOST_CASES:
            break
    return count


def _settlements(fact: Fact, view: View) -> tuple[Settled, ...]:
    """How a vague or doubtful fact may be settled."""
    end = fact.end if isinstance(fact, Exposure | ProcedureDone) else None
    cases = _days_of(fact, end, view)
    return (*cases, Settled(absent=True)) if getattr(fact, "doubtful", False) else cases


def _days_of(fact: Fact, end: When | None, view: View) -> tuple[Settled, ...]:
    today = view.clock.today
    period = isinstance(fact, Exposure) and fact.period
    if end is not None and not end.exact and end == fact.when and not period:
        # It happened on one day, whichever that was.
        first, last = possible_days(end, today)
        days = _days_that_matter(first, last, view)
        fixed = _fixed_days(first, last, view, cut_off=end.last > last)
        return tuple(Settled(day, day, moving=day not in fixed) for day in days)
    starts: Sequence[date | None] = (None,)
    ends: Sequence[date | None] = (None,)
    still: set[date | None] = {None}
    if fact.when is not None and not fact.when.exact:
        first, last = possible_days(fact.when, today)
        starts = _days_that_matter(first, last, view)
        still |= _fixed_days(first, last, view, cut_off=fact.when.last > last)
    if end is not None and not end.exact:
        first = possible_days(end, today)[0]
        last = max(first, min(end.last, today))
        ends = _days_that_matter(first, last, view)
        still |= _fixed_days(first, last, view, cut_off=end.last > last)
    return tuple(
        Settled(start, finish, moving=not {start, finish} <= still)
        for start, finish in product(starts, ends)
        if start is None or finish is None or start <= finish
    ) or (Settled(starts[0], ends[-1]),)


def _cases(
    loose: dict[int, Fact], births: Sequence[date | None], view: View
) -> Iterator[tuple[dict[int, Settled], date | None]]:
    keys = tuple(loose)
    choices = [_settlements(loose[key], view) for key in keys]
    for birth in births:
        for chosen in product(*choices):
            yield dict(zip(keys, chosen, strict=True)), birth


# --- Reads -------------------------------------------------------------------------------------


def _with_reads(judged: Judgement, index: RecordIndex, reads: set[str]) -> Judgement:
    """Take back what an incomplete read, or a resource that could not be read, may overturn."""
    record = index.record
    settled = judged.status in ("met", "not_met", "not_applicable")
    proved = settled and bool(judged.finding.proofs & index.complete)
    if (gaps := reads - index.complete) and not proved:
        judged.unread = tuple((name, _gap(record, name)) for name in sorted(gaps))
    if record.unreadable:
        judged.unreadable = tuple(one for one in record.unreadable if one.resource_type in reads)
    taken_back = judged.unread or (judged.unreadable and judged.basis == "absence")
    if taken_back and settled and not (judged.finding.stands or judged.finding.always):
        judged.status, judged.basis, judged.change = "unknown", None, None
        judged.reason = "unread" if judged.unread else "unreadable"
    return judged


def _gap(record: Record, name: str) -> str:
    """Why a read is not complete."""
    state = record.reads.get(name)
    return "not asked for" if state is None or isinstance(state, Complete) else state.reason
