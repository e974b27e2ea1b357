"""Reads a cohort folder: which patients it has, their charts, and what is true of them.

The truth was written by the generator beside the charts; nothing of it is worked out here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from validation.needs import CannotRun


class Truth(msgspec.Struct, frozen=True, rename="camel"):
    """What is true of one patient, whatever the chart shows.

    Args:
        branch: the story that the generator chose: what is unusual in it, separated by ``;``.
        statuses: the status that each criterion must have on the undamaged chart.
        overall: the overall result that the undamaged chart must have.
        answers: attestations of a clinician who knows the patient, as an attestation file has them.
        attested_statuses: the same with these answers.
        attested_overall: the same with these answers.
        reality: whether each sentence of the trial holds, documented or not.
        candidate: whether all of them do.
    """

    patient: str
    as_of: date
    branch: str
    statuses: dict[str, str]
    overall: str
    answers: tuple[dict[str, Any], ...]
    attested_statuses: dict[str, str]
    attested_overall: str
    reality: dict[str, bool]
    candidate: bool

    @property
    def branches(self) -> tuple[str, ...]:
        """What is unusual in the story, each by itself."""
        return tuple(one.strip() for one in self.branch.split(";") if one.strip())


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """How the cohort was made."""

    seed: int
    as_of: date
    counts: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class Cohort(msgspec.Struct, frozen=True):
    """A cohort on disk.

    Args:
        net: charts of the patients with a truth, in the order of their ids.
        ordinary: charts of patients as Synthea made them, likewise.
    """

    folder: Path
    manifest: Manifest
    net: tuple[Path, ...]
    ordinary: tuple[Path, ...]


def truth_of(chart: Path) -> Truth:
    """What is true of the patient of a chart of the ``net`` folder."""
    file = chart.parent.parent / "truth" / chart.name
    return msgspec.json.decode(file.read_bytes(), type=Truth)


def open_cohort(folder: Path) -> Cohort:
    """Open a cohort folder.

    Raises:
        CannotRun: it has no manifest, or a chart without a truth.
    """
    try:
        written = (folder / "manifest.json").read_bytes()
    except OSError as error:
        raise CannotRun(f"{folder} holds no cohort: {error.strerror}: manifest.json") from error
    manifest = msgspec.json.decode(written, type=Manifest)
    net = tuple(sorted((folder / "net").glob("*.json")))
    lost = [chart.name for chart in net if not (folder / "truth" / chart.name).exists()]
    if lost:
        raise CannotRun(f"{folder}: no truth for {', '.join(lost[:3])}")
    return Cohort(folder, manifest, net, tuple(sorted((folder / "ordinary").glob("*.json"))))


def site_of(manifest: Manifest) -> Mapping[str, Any]:
    """The site's configuration that the cohort was made for; none gives the defaults."""
    site: Mapping[str, Any] = manifest.settings.get("site") or {}
    return site
