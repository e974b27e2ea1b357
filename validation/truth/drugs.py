"""Drugs and procedures against the tumour: before PRRT, and between PRRT and now."""

from __future__ import annotations

from datetime import date
from typing import Final

from validation.decisions import Decisions, Event
from validation.truth.finding import Finding, ask, met, not_met, unknown
from validation.truth.prrt import Course, agree, initial_course, later_cycles, readings

_EVEROLIMUS_DAYS: Final = 31
# By the names of the simulation's events.
_ANTITUMOUR: Final = (
    "Temozolomide",
    "Temozolomide after PRRT",
    "Streptozocin",
    "Radium",
    "Sunitinib",
    "Interferon",
    "Embolisation",
    "Ablation",
)
_ORDERED_OR_WORDS: Final = (
    "Temozolomide ordered",
    "Temozolomide by text",
    "Radium ordered",
    "Actinium",
    "Capecitabine ordered",
)
_LOCAL: Final = ("Radiotherapy", "Resection")
# Operations on the bowel are resections, too; the generator has them done for other reasons.
_BOWEL: Final = ("Surgery recent", "Surgery day 42", "Surgery day 43", "Bowel resection long ago")


def everolimus_limit(decisions: Decisions) -> Finding:
    """Inclusion: everolimus for at most one month."""
    event = next(iter(decisions.named("Everolimus ", kind="MedicationOrder")), None)
    if event is None:
        return met()
    if event.name == "Everolimus ordered":
        # The generator has it that the patient never took it.
        return ask(truly=True)
    few = _days_on(event, decisions) <= _EVEROLIMUS_DAYS
    if event.name in {"Everolimus transplant", "Everolimus without end"}:
        return ask(truly=few)
    if not few:
        return not_met("permanent")
    return ask(truly=True) if decisions.added["everolimusOrderKept"] else met()


def _days_on(event: Event, decisions: Decisions) -> int:
    end = decisions.ends.get(f"End of {event.name}", decisions.as_of)
    return (end - event.day).days + 1


def no_alpha_therapy(decisions: Decisions) -> Finding:
    """Inclusion: no targeted alpha therapy."""
    if decisions.event("Radium") is not None:
        return not_met("permanent")
    if decisions.event("Actinium") is not None:
        # Given, but known by its name only: there is no code for it.
        return ask(truly=False)
    return met() if decisions.event("Radium ordered") is None else ask(truly=True)


def no_alkylator(decisions: Decisions) -> Finding:
    """Inclusion: no alkylating agent, ever."""
    given = ("Temozolomide", "Temozolomide after PRRT", "Streptozocin")
    if any(decisions.event(name) is not None for name in given):
        return not_met("permanent")
    doubtful = ("Temozolomide ordered", "Temozolomide by text")
    if any(decisions.event(name) is not None for name in doubtful):
        return ask(truly=decisions.choice("alkylator_in_truth") == "not_taken")
    return met()


def no_intervening_therapy(decisions: Decisions) -> Finding:
    """Inclusion: no therapy against the tumour since the initial PRRT."""
    ways = readings(decisions)
    if not ways:
        # Nobody knows what "after PRRT" is; what was given at any time decides the truth.
        truly = _intervened(decisions, date.min, ()) != "given"
        return unknown(truly=truly)
    findings = [_judge(decisions, way) for way in ways]
    return agree(findings, truly=all(finding.truly for finding in findings))


def _judge(decisions: Decisions, cycles: Course) -> Finding:
    last = initial_course(cycles)[-1].day
    found = _intervened(decisions, last, later_cycles(cycles))
    if found == "given":
        return not_met("permanent")
    open_end = decisions.event("Everolimus without end")
    if found == "nothing" and open_end is not None and open_end.day <= last:
        # It may have been taken beyond the last cycle; the text says what holds then, and not what
        # holds when nobody knows. The generator ended it before.
        return ask(truly=True)
    counts = decisions.choice("intervening_in_truth") == "counts"
    asked = (*_LOCAL, "Capecitabine ordered")
    truly = not (counts and any(event.day > last for event in decisions.named(*asked)))
    return met() if found == "nothing" else ask(truly=truly)


def _intervened(decisions: Decisions, last: date, later: Course) -> str:
    """What began after that day: "given" is decisive, "asked" is for a person, or "nothing"."""
    after = {event.name: event for event in decisions.events if event.day > last}
    everolimus = [event for name, event in after.items() if name.startswith("Everolimus ")]
    if later or any(name in after for name in _ANTITUMOUR):
        return "given"
    if any(_days_on(event, decisions) > _EVEROLIMUS_DAYS for event in everolimus):
        return "given"
    asked = (*_ORDERED_OR_WORDS, *_LOCAL, *_BOWEL)
    return "asked" if everolimus or any(name in after for name in asked) else "nothing"
