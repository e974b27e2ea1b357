"""Whose a resource is: every way in which one may name the patient, and what names another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cds_service.fhir import views
from cds_service.fhir.chart import Chart
from cds_service.fhir.elements import Issues, relative
from cds_service.fhir.entries import NO_FACTS, Item


def is_patient(item: Item, patient_id: str) -> bool:
    """Whether it is the Patient asked for."""
    view = item.decoded.view
    return isinstance(view, views.PatientView) and view.id == patient_id


def own_references(chart: Chart, items: Iterable[Item], people: Iterable[Item]) -> frozenset[str]:
    """Every way in which a resource may name the patient asked for, of whom ``people`` are."""
    name = f"Patient/{chart.patient_id}"
    own = {name, *(f"{base}/{name}" for base in chart.bases or _told(items, people))}
    for item in people:
        url = relative(item.full_url or "")
        if url.startswith("urn:") or ("://" in url and url.endswith(f"/{name}")):
            own.add(url)
    known = {id(item) for item in people}
    others = {relative(item.full_url) for item in items if item.full_url and id(item) not in known}
    return frozenset(own - others)


def _told(items: Iterable[Item], people: Iterable[Item]) -> frozenset[str]:
    """The base URL that the entries' own URLs have, where nothing else tells that of the chart.

    Of two servers each may have a patient of this id, so that two bases tell nothing.
    """
    if any(item.full_url for item in people):
        return frozenset()
    urls = (
        (relative(item.full_url), f"/{item.reference}")
        for item in items
        if item.full_url and not isinstance(item.decoded.view, NO_FACTS)
    )
    bases = {url.removesuffix(end) for url, end in urls if "://" in url and url.endswith(end)}
    return frozenset(bases) if len(bases) == 1 else frozenset()


def belongs(
    view: Any, broken: frozenset[str], reference: str, own: frozenset[str], issues: Issues
) -> bool:
    """Whether a resource is the patient's, as far as can be told; reported where it is not.

    Args:
        broken: elements that are there but cannot be read.
        own: references that name the patient.
    """
    element = "patient" if isinstance(view, views.ConsentView) else "subject"
    named = getattr(view, element)
    text = named.reference if named is not None else None
    if text is None and element in broken:
        # It may be this patient's, so it is kept, and decides nothing.
        issues.add("no-subject", reference, f"its {element} cannot be read")
        return True
    if text is None:
        issues.add("no-subject", reference, f"its {element} is missing; the resource is left out")
        return False
    if relative(text) in own or text in own:
        return True
    issues.add(
        "other-patient", reference, f"its {element} is not this patient; the resource is left out"
    )
    return False
