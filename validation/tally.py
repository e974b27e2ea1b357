"""Compares what the service says of patients with what is true of them, and adds it up.

Nothing is decided here about charts: verdicts and truths come in, counts go out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from validation.cohort_folder import Truth
from validation.judging import Readings, Verdict
from validation.rates import TwoByTwo

CANDIDATE_BY_RECORD = frozenset({"possible", "all_met"})
DECIDED = frozenset({"met", "not_met", "not_applicable"})
SATISFIED = frozenset({"met", "not_applicable"})

Cell = tuple[str, str, str]


class Mistake(msgspec.Struct, frozen=True, order=True):
    """The service said something that is not so.

    Args:
        sort: ``evidence``: satisfied by evidence; ``absence``: satisfied by absence; ``refusal``:
            not met by evidence; in each case the truth is otherwise. ``all_met``: said of no
            candidate.
        criterion: empty for ``all_met``.
    """

    sort: str
    criterion: str
    patient: str


# What must never happen, whatever the mess.
UNSAFE = frozenset({"evidence", "all_met"})


class Tally(msgspec.Struct):
    """What was found in some patients, at one kind and level of mess.

    Args:
        statuses: (criterion, status in truth, status by the record) and how often.
        attested: the same with the clinician's answers, the truth's status being with them too.
        overalls: (overall in truth, overall by the record), and likewise ``attested_overalls``.
        by_record: *candidate* called where the overall result is ``possible`` or ``all_met``.
        by_answers: *candidate* called where it is ``all_met`` with the clinician's answers.
        by_asking: the same with truthful answers to all that is asked.
        mistakes: each one.
        crashes: patients whose evaluation ended with an error, and the error.
        branches: (branch, candidate in truth) and how many patients; a story has several.
    """

    patients: int = 0
    branches: Counter[tuple[str, bool]] = msgspec.field(default_factory=Counter)
    statuses: Counter[Cell] = msgspec.field(default_factory=Counter)
    attested: Counter[Cell] = msgspec.field(default_factory=Counter)
    overalls: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    attested_overalls: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    by_record: TwoByTwo = TwoByTwo()
    by_answers: TwoByTwo = TwoByTwo()
    by_asking: TwoByTwo = TwoByTwo()
    mistakes: list[Mistake] = msgspec.field(default_factory=list)
    crashes: list[tuple[str, str]] = msgspec.field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what was found in other patients."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def count(self, sort: str) -> int:
        """How many mistakes of a sort there are."""
        return sum(one.sort == sort for one in self.mistakes)

    @property
    def unsafe(self) -> tuple[Mistake, ...]:
        """The mistakes that must not be."""
        return tuple(one for one in self.mistakes if one.sort in UNSAFE)

    @property
    def disagreements(self) -> int:
        """How many statuses and overall results differ from what they must be on a clean chart."""
        cells = [*self.statuses.items(), *self.attested.items()]
        pairs = [*self.overalls.items(), *self.attested_overalls.items()]
        return sum(n for (_, true, said), n in cells if true != said) + sum(
            n for (true, said), n in pairs if true != said
        )


def tally(truth: Truth, found: Readings) -> Tally:
    """What was found in one patient."""
    return Tally(
        patients=1,
        branches=Counter((one, truth.candidate) for one in truth.branches),
        statuses=_cells(truth.statuses, found.record),
        attested=_cells(truth.attested_statuses, found.attested),
        overalls=Counter([(truth.overall, found.record.overall)]),
        attested_overalls=Counter([(truth.attested_overall, found.attested.overall)]),
        by_record=_case(truth, called=found.record.overall in CANDIDATE_BY_RECORD),
        by_answers=_case(truth, called=found.attested.overall == "all_met"),
        by_asking=_case(truth, called=found.answered.overall == "all_met"),
        mistakes=sorted(_mistakes(truth, found)),
    )


def _cells(true: dict[str, str], said: Verdict) -> Counter[Cell]:
    # A report on a patient who is not relevant holds no criteria.
    return Counter((name, status, said.statuses.get(name, "none")) for name, status in true.items())


def _case(truth: Truth, *, called: bool) -> TwoByTwo:
    return TwoByTwo().with_case(called=called, true=truth.candidate)


def _mistakes(truth: Truth, found: Readings) -> Iterable[Mistake]:
    for criterion, status in found.record.statuses.items():
        so, basis = truth.reality[criterion], found.record.bases[criterion]
        if status in SATISFIED and not so and basis in {"evidence", "absence"}:
            yield Mistake(basis, criterion, truth.patient)
        elif status == "not_met" and so and basis == "evidence":
            yield Mistake("refusal", criterion, truth.patient)
    if not truth.candidate and "all_met" in {found.attested.overall, found.answered.overall}:
        yield Mistake("all_met", "", truth.patient)
