"""Rules on a therapy given in courses, and on what followed it: progression, therapy, toxicity."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

from cds_service.trial.rules.laboratory import Derivation
from cds_service.trial.rules.model import Concept, Outcomes, Results, RuleModel, outcomes


class CourseRule(RuleModel):
    """Cycles of a therapy given in courses, and how records become cycles.

    Args:
        unnamed_therapy: records that do not say which therapy of the kind it was.
        named_therapy: agents; a record of one of them is not of an unnamed therapy.
        same_event_days: records at most this many days after the first are one cycle.
        separate_event_days: from this many days apart, records are surely two cycles.
        course_days: a cycle belongs to the initial course up to this many days after its first.
    """

    kind: Literal["course"]
    therapy: tuple[Concept, ...]
    not_therapy: tuple[Concept, ...]
    unnamed_therapy: tuple[Concept, ...]
    named_therapy: tuple[Concept, ...]
    same_event_days: int
    separate_event_days: int
    course_days: int
    activity_agreement: Decimal
    OUTCOMES: ClassVar[Outcomes] = {}


class CourseExposureRule(RuleModel):
    """How many cycles, or how much activity, the initial course had."""

    kind: Literal["course-exposure"]
    course: CourseRule
    cycles: tuple[int, ...]
    total_activities: tuple[Decimal, ...]
    tolerance: Decimal
    under_way_days: int
    OUTCOMES = outcomes(
        cycles="count first last", activity="count total target first last",
        under_way="count last", too_few="count last", too_many="count first last total",
        count_uncertain="low high", activity_unusable="count", period_only="period",
        beside="count what", undated="count", ordered_only="what", none="",
    )  # fmt: skip


class ProgressionRule(RuleModel):
    """Progression after a course of therapy, no sooner than so many months after the first scan."""

    kind: Literal["progression"]
    course: CourseRule
    assessment: Results
    general: Results
    other_criteria: Results
    progressive: tuple[Concept, ...]
    controlled: tuple[Concept, ...]
    general_worse: tuple[Concept, ...]
    general_controlled: tuple[Concept, ...]
    not_evaluable: tuple[Concept, ...]
    minimum_months: int
    OUTCOMES = outcomes(
        progressed="reference progression", too_soon="reference progression",
        too_soon_after_course="last progression", no_reference="last progression",
        not_progressed="latest", better_afterwards="progression better", same_day="date",
        unreadable="date", unusable="what", general_worse="date", report_only="date",
        no_assessment="", no_course="", advisory_not_evaluable="date", course_uncertain="",
    )  # fmt: skip


class InterveningRule(RuleModel):
    """No antitumour therapy that started after a course."""

    kind: Literal["no-intervening-therapy"]
    course: CourseRule
    antitumor: tuple[Concept, ...]
    limited_drug: tuple[Concept, ...]
    limited_other_product: tuple[Concept, ...]
    limited_days: int
    procedures: tuple[Concept, ...]
    review_drugs: tuple[Concept, ...]
    review_procedures: tuple[Concept, ...]
    review_diagnoses: tuple[Concept, ...]
    OUTCOMES = outcomes(
        given="what date", undated="what", limited="what days", review="what date",
        ordered="what", overlapping="what", no_course="", course_uncertain="", none="last",
    )  # fmt: skip


class ToxicityLimit(RuleModel):
    """One laboratory limit of grade 3: an absolute value, or a multiple of normal.

    Args:
        derived: ways to calculate a count where none was reported.
    """

    result: Results
    direction: Literal["below", "above"]
    value: Decimal | None = None
    times_uln: Decimal | None = None
    uln: Concept | None = None
    derived: tuple[Derivation, ...] = ()


class ToxicityRule(RuleModel):
    """No toxicity of grade 3 or more that is still there after a course."""

    kind: Literal["toxicity"]
    course: CourseRule
    within_days: int
    limits: tuple[ToxicityLimit, ...]
    graded: Results
    graded_words: tuple[Concept, ...]
    grade_limit: int
    OUTCOMES = outcomes(toxic="what", judge="found listed")
