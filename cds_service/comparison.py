"""How two reports on one chart differ, such as those of two versions of a trial. Pure."""

from __future__ import annotations

import msgspec

from cds_service.report import Overall, Report, Status


class Difference(msgspec.Struct, frozen=True, rename="camel"):
    """One criterion that two reports judge differently; None where one of them does not have it."""

    criterion: str
    before: Status | None
    after: Status | None


class Comparison(msgspec.Struct, frozen=True, rename="camel"):
    """What a second report says otherwise.

    Args:
        digest: of the trial file behind the second report.
        before, after: the overall results.
        differences: the criteria judged differently, in the order of the first report.
    """

    digest: str
    before: Overall
    after: Overall
    differences: tuple[Difference, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.before == self.after and not self.differences


def compare(first: Report, second: Report) -> Comparison:
    """Compare two reports on one chart and one day."""
    before = {result.id: result.status for result in first.criteria}
    after = {result.id: result.status for result in second.criteria}
    return Comparison(
        second.trial.digest,
        first.overall,
        second.overall,
        tuple(
            Difference(id_, before.get(id_), after.get(id_))
            for id_ in dict.fromkeys((*before, *after))
            if before.get(id_) != after.get(id_)
        ),
    )
