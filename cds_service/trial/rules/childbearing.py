"""Rules on childbearing potential, pregnancy, contraception and breastfeeding."""

from __future__ import annotations

from typing import Literal

from cds_service.trial.rules.model import Concept, Results, RuleModel, outcomes


class Childbearing(RuleModel):
    """What ends or suspends childbearing potential."""

    ended: tuple[Concept, ...]
    contraceptive_surgery: tuple[Concept, ...]
    postmenopausal: tuple[Concept, ...]
    menopause_unproven: tuple[Concept, ...]
    last_menses: Results
    menses_months: int
    test: Results
    test_within_days: int
    positive: tuple[Concept, ...]
    negative: tuple[Concept, ...]
    test_number: Results


class ContraceptionRule(RuleModel):
    """Contraception, for whom it applies."""

    kind: Literal["contraception"]
    childbearing: Childbearing
    OUTCOMES = outcomes(
        male="", sex_unknown="", surgery="what", postmenopausal="what",
        menopause_unproven="what", menses_unclear="what", ask="",
    )  # fmt: skip


class PregnancyTestRule(RuleModel):
    """A recent pregnancy test, for whom it applies."""

    kind: Literal["pregnancy-test"]
    childbearing: Childbearing
    OUTCOMES = outcomes(
        male="", sex_unknown="", childbearing_ended="what", postmenopausal="what",
        negative="date", positive="date", disagree="date", number_only="value date",
        unusable="date", menopause_unproven="what", none="",
    )  # fmt: skip


class PregnancyRule(RuleModel):
    """Not pregnant, for whom it applies."""

    kind: Literal["pregnancy"]
    childbearing: Childbearing
    pregnancy: tuple[Concept, ...]
    status: Results
    pregnant: tuple[Concept, ...]
    status_within_days: int
    OUTCOMES = PregnancyTestRule.OUTCOMES | outcomes(pregnant="what date", unconfirmed="what")


class BreastfeedingRule(RuleModel):
    """Lactation recorded as active."""

    kind: Literal["breastfeeding"]
    lactation: tuple[Concept, ...]
    status: Results
    OUTCOMES = outcomes(male="", sex_unknown="", active="what", none="")
