"""The upper limit of normal of a result.

Source: the ``bilirubin`` rule and detail 33: the result's own reference range (type normal or none
given; where several, the one that fits age and sex), else the site's configured limit. One that is
for another age or sex is not this patient's, also where it is the only one.
"""

from __future__ import annotations

from decimal import Decimal

from cds_service.criteria.finding import Context
from cds_service.record.amounts import ReferenceRange
from cds_service.record.dates import completed_years
from cds_service.record.model import Result


def upper_limit(result: Result, quantity: str | None, context: Context) -> Decimal | None:
    """The upper limit of normal in the result's canonical unit; None where none is known.

    Args:
        quantity: name under which the site may configure a limit.
    """
    ranges = [one for one in result.ranges if one.normal and (one.doubtful or one.high is not None)]
    ranges = [one for one in ranges if _fits(one, context)]
    if any(one.doubtful for one in ranges):
        return None
    highs = {
        one.high for one in ranges if one.low is None or one.high is None or one.low <= one.high
    }
    if len(highs) == 1:
        return highs.pop()
    if quantity is None:
        return None
    limit: Decimal | None = context.site.normal_limits.get(quantity)
    return limit


def _fits(one: ReferenceRange, context: Context) -> bool:
    sex = context.view.sex()
    if not one.in_years or (one.sex is not None and one.sex != sex):
        return False
    if one.age_low is None and one.age_high is None:
        return True
    birth = context.view.birth()
    if birth is None:
        return False
    age = completed_years(birth, context.view.clock.today)
    return (one.age_low is None or age >= one.age_low) and (
        one.age_high is None or age <= one.age_high
    )
