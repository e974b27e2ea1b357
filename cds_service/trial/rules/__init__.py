"""The kinds of rule a trial file may use, and what each may find.

A rule's parameters (concepts, limits, windows) come from the trial file. What it can find is fixed
here as outcome keys, each with the values its words may mention; the trial file says for every key
which status it means and how it is worded. Sources: the sentences of the trial's eligibility text,
named beside each criterion in the trial file.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cds_service.trial.rules import (
    childbearing,
    course,
    diagnosis,
    disease,
    drugs,
    laboratory,
    person,
)

Rule = Annotated[
    person.AgeRule
    | person.AttestationRule
    | person.SiteSettingRule
    | disease.TumorSiteRule
    | disease.MetastaticRule
    | disease.HistologyRule
    | disease.GradeRule
    | disease.ScanRule
    | disease.UptakeRule
    | course.CourseExposureRule
    | drugs.ExposureDaysRule
    | drugs.NoExposureRule
    | course.ProgressionRule
    | course.InterveningRule
    | course.ToxicityRule
    | person.PerformanceRule
    | laboratory.LabRule
    | laboratory.ClearanceRule
    | drugs.InformationRule
    | person.ConsentRule
    | childbearing.ContraceptionRule
    | childbearing.PregnancyTestRule
    | childbearing.PregnancyRule
    | childbearing.BreastfeedingRule
    | diagnosis.ControlledInfectionRule
    | diagnosis.OtherMalignancyRule
    | diagnosis.RecentProcedureRule
    | diagnosis.BrainMetastasesRule
    | diagnosis.HeartFailureRule
    | diagnosis.ActiveConditionRule,
    Field(discriminator="kind"),
]
