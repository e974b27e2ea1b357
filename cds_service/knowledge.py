"""The reviewed files that decide about patients, read together: site file, tables, trial file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec

from cds_service.fhir.queries import SearchPlan, plan
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from cds_service.screening import Screener
from cds_service.settings import Settings
from cds_service.trial.load import load_trial
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site, load_site
from cds_service.trust.approval import Approval, check_approval, file_digest


class Knowledge(msgspec.Struct, frozen=True):
    """What decides about patients.

    Args:
        screener: judges charts for the trial at the site.
        searches: what the trial needs of a chart.
        codes, units: the tables, the site's own included.
    """

    site: Site
    trial: Trial
    screener: Screener
    searches: SearchPlan
    codes: CodeBook
    units: UnitBook

    def other_version(self, trial_file: Path) -> Screener:
        """What judges charts for another version of the trial, with the same tables.

        Raises:
            TrialFileError: the file is wrong.
        """
        return Screener(load_trial(trial_file, self.codes), self.site, self.codes, self.units)

    def to_approve(self, site_file: Path | None, by: str, on: date) -> Approval:
        """What a signer approves by signing.

        Raises:
            ConfigError: the site file cannot be read.
        """
        return Approval(
            trial=self.trial.digest,
            mappings=self.codes.digest,
            site=file_digest(site_file),
            by=by,
            on=on,
        )


def load_knowledge(site_file: Path | None, trial_file: Path | None = None) -> Knowledge:
    """Read the files.

    Args:
        site_file: the site file; None for the defaults.
        trial_file: the trial file; None for NET RETREAT.

    Raises:
        InputError: the site file is wrong.
        MappingError: a code table is wrong.
        TrialFileError: the trial file is wrong.
    """
    site = load_site(site_file)
    tables = load_tables(extra=site.mappings)
    codes, units = CodeBook(tables), UnitBook(tables)
    trial = load_trial(trial_file, codes)
    screener = Screener(trial, site, codes, units)
    return Knowledge(site, trial, screener, plan(trial, codes), codes, units)


def approved_knowledge(settings: Settings) -> Knowledge:
    """Read the files that are in force, and check their approval where the site asks for one.

    Raises:
        InputError, MappingError, TrialFileError: see :func:`load_knowledge`.
        ConfigError: they are not what a listed signer approved.
    """
    knowledge = load_knowledge(settings.site_file)
    if settings.approval_keys is not None:
        wanted = knowledge.to_approve(settings.site_file, by="", on=date.min)
        check_approval(settings.approval_file, settings.approval_keys, wanted)
    return knowledge
