"""The form of an answer: what the chart must show, and what is really so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What one criterion comes to.

    Args:
        status: what the rules prescribe for the chart, with no attestation and no site file.
        truly: whether the sentence of the trial holds for this patient, documented or not.
        change: what can still change a `not_met`: `time`, `new_data` or `permanent`.
    """

    status: str
    truly: bool
    change: str | None = None


def met() -> Finding:
    """Documented, and so."""
    return Finding("met", truly=True)


def not_applicable() -> Finding:
    """Does not concern this patient."""
    return Finding("not_applicable", truly=True)


def not_met(change: str, *, truly: bool = False) -> Finding:
    """Documented to be otherwise; `truly` where the chart lags behind."""
    return Finding("not_met", truly, change)


def unknown(*, truly: bool) -> Finding:
    """Nothing usable is documented."""
    return Finding("unknown", truly)


def ask(*, truly: bool) -> Finding:
    """A person must say: needs confirmation."""
    return Finding("needs_confirmation", truly)
