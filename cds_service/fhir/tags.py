"""The tags and security labels of a chart's Patient, by which a hospital marks its test patients.

They are read only where a site asks for them, and apart from the record: no criterion may depend on
a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from cds_service.fhir.chart import Chart
from cds_service.fhir.decoding import UNDECODABLE
from cds_service.fhir.views import CodingView

T = TypeVar("T")

_PATIENT: Final = "Patient"
_NOTHING: Final = msgspec.Raw(b"null")


class _Meta(msgspec.Struct):
    tag: msgspec.Raw = _NOTHING
    security: msgspec.Raw = _NOTHING


class _Marked(msgspec.Struct):
    id: msgspec.Raw = _NOTHING
    meta: msgspec.Raw = _NOTHING


def patient_tags(chart: Chart) -> frozenset[str]:
    """The tags and security labels of the Patient, each as ``system|code``.

    Of two versions with no order, those that both bear. What cannot be read is no tag: a patient
    is a real one unless the chart says otherwise.
    """
    versions = [
        frozenset(_tags(one.meta))
        for entry in chart.entries
        if entry.kind == _PATIENT and (one := _decoded(entry.raw, _Marked)) is not None
        if _decoded(one.id, str) == chart.patient_id
    ]
    return frozenset.intersection(*versions) if versions else frozenset()


def _tags(raw: msgspec.Raw) -> Iterator[str]:
    meta = _decoded(raw, _Meta) or _Meta()
    for part in (meta.tag, meta.security):
        for one in _decoded(part, list[msgspec.Raw]) or ():
            coding = _decoded(one, CodingView)
            if coding is not None and coding.system and coding.code:
                yield f"{coding.system}|{coding.code}"


def _decoded(raw: msgspec.Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNDECODABLE:
        return None
