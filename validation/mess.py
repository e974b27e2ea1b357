"""The dial of mess: damages a chart by a known share, the same way each time.

Whether a resource is hit follows from a hash of the seed, the kind of mess, the patient and the
resource, compared with the level. So no order and no process matters, and the resources that are
hit at 10 % are among those hit at 20 %: turning the dial only adds damage.

What each kind does stands in :mod:`validation.mess_kinds`. Mess loses or repeats what is known; it
never writes a false value, since a chart that lies can be told from a true one by nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, tzinfo
from typing import Any, Final

import msgspec

from validation import mess_kinds
from validation.mess_kinds import Json

SILENT: Final = "dropped resources, silently"
TOLD: Final = "dropped resources, told"
TOGETHER: Final = "all but silent drops"
EVERYTHING: Final = "all of them"
WITHOUT_LOSS: Final = "all but dropped resources"

# What the service reads; damage to anything else could not show.
READ_TYPES: Final = frozenset(
    {
        *("Condition", "Observation", "Procedure", "ImagingStudy", "DiagnosticReport"),
        *("MedicationAdministration", "MedicationStatement", "MedicationRequest"),
        *("MedicationDispense", "Medication", "AdverseEvent", "Consent"),
    }
)

# In the order in which they are done: what is lost is not damaged, and a copy may be damaged
# otherwise than its original.
SINGLE: Final[tuple[str, ...]] = (
    *(TOLD, "duplicated records", "local codes", "free-text drugs"),
    *("partial dates", "missing units", "missing ranges"),
)
KINDS: Final[tuple[str, ...]] = (*SINGLE, TOGETHER, SILENT, EVERYTHING)

# Those that leave dates vague.
DATED: Final = frozenset({"partial dates", TOGETHER, EVERYTHING})


class Dial(msgspec.Struct, frozen=True):
    """How much of which mess.

    Args:
        kind: one of :data:`KINDS`, or :data:`WITHOUT_LOSS`.
        level: the share of resources that are hit, 0 to 1.
        seed: other seeds hit other resources.
        zone: the site's time zone, in which a date is cut to its month.
    """

    kind: str
    level: float
    seed: int
    zone: tzinfo = UTC

    def kinds(self) -> tuple[str, ...]:
        """The single kinds that this one is made of, in the order in which they are done."""
        if self.kind == TOGETHER:
            return SINGLE
        if self.kind == WITHOUT_LOSS:
            return SINGLE[1:]
        if self.kind == EVERYTHING:
            return (SILENT, *SINGLE)
        return (self.kind,)

    def draw(self, kind: str, patient: str, resource: str) -> float:
        """A number from 0 to 1 that belongs to one kind of mess and one resource."""
        text = f"{self.seed}|{kind}|{patient}|{resource}".encode()
        whole = hashlib.blake2b(text, digest_size=8).digest()
        return int.from_bytes(whole, "big") / 2**64

    def hits(self, kind: str, patient: str, resource: str) -> bool:
        """Whether this kind of mess hits a resource."""
        return self.draw(kind, patient, resource) < self.level


class _Chart(msgspec.Struct):
    """A chart while it is being damaged.

    Args:
        lost: types of which some were lost, where the reader is told.
    """

    patient: str
    entries: list[Json]
    lost: set[str] = msgspec.field(default_factory=set)


def make_messy(chart: bytes, patient: str, dial: Dial) -> bytes:
    """A chart (a Bundle of any kind) with some of its resources damaged.

    Args:
        patient: the id of its patient.
    """
    bundle: Json = msgspec.json.decode(chart)
    messy = _Chart(patient, list(bundle.get("entry") or ()))
    for kind in dial.kinds():
        messy.entries = list(_after(kind, messy, dial))
    if not messy.lost:
        return msgspec.json.encode({**bundle, "entry": messy.entries})
    draws = {type_: dial.draw("how it is told", patient, type_) for type_ in messy.lost}
    return msgspec.json.encode(mess_kinds.cut_searches(patient, messy.entries, draws))


def _after(kind: str, chart: _Chart, dial: Dial) -> Iterable[Json]:
    """The entries after one kind of mess."""
    for entry in chart.entries:
        resource: Json = entry.get("resource") or {}
        name = f"{resource.get('resourceType')}/{resource.get('id')}"
        if not _concerns(kind, resource) or not dial.hits(kind, chart.patient, name):
            yield entry
        elif kind == TOLD:
            chart.lost.add(resource["resourceType"])
        elif kind != SILENT:
            second = dial.draw(f"{kind}, how", chart.patient, name)
            yield from _damaged(kind, entry, second, dial)


def _damaged(kind: str, entry: Json, second: float, dial: Dial) -> Iterable[Json]:
    if kind == "duplicated records":
        yield entry
        yield mess_kinds.copied(entry, second)
        return
    how: dict[str, Any] = {
        "local codes": mess_kinds.with_local_codes,
        "free-text drugs": mess_kinds.with_drug_in_words,
        "partial dates": lambda held: mess_kinds.with_partial_dates(held, second, dial.zone),
        "missing units": mess_kinds.without_units,
        "missing ranges": mess_kinds.without_ranges,
    }
    yield {**entry, "resource": how[kind](entry["resource"])}


def _concerns(kind: str, resource: Json) -> bool:
    type_ = resource.get("resourceType")
    # A patient's record is not lost, but a birthday may be known to the month or year only.
    return type_ in READ_TYPES or (kind == "partial dates" and type_ == "Patient")
