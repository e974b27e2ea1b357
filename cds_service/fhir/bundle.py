"""Reads a chart from a file: a Bundle of any kind, or NDJSON with a resource on each line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlsplit

import msgspec

from cds_service.errors import InputError
from cds_service.fhir.chart import CHART_TYPES, Chart, Entry
from cds_service.fhir.decoding import UNDECODABLE
from cds_service.fhir.repair import repaired
from cds_service.record.reads import COMPLETE, DataIssue, Partial, Read

_NOTHING = msgspec.Raw(b"")


class _Link(msgspec.Struct):
    relation: str | None = None
    url: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None


class _BundleEntry(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = _NOTHING
    full_url: str | None = None
    response: msgspec.Raw = _NOTHING
    request: msgspec.Raw = _NOTHING


class _OddEntry(msgspec.Struct, rename="camel"):
    """An entry whose URL may be anything."""

    resource: msgspec.Raw = _NOTHING
    full_url: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING
    request: msgspec.Raw = _NOTHING


class _Envelope(msgspec.Struct, rename="camel"):
    resource_type: str | None = None
    link: msgspec.Raw = _NOTHING


class _Bundle(_Envelope):
    entry: list[_BundleEntry] | None = None


class _LooseBundle(_Envelope):
    entry: list[msgspec.Raw] | None = None


class _Head(msgspec.Struct, rename="camel"):
    resource_type: str | None = None
    id: str | None = None


class _Kind(msgspec.Struct, rename="camel"):
    resource_type: str | None = None


class _Issue(msgspec.Struct):
    severity: str | None = None


class _Outcome(msgspec.Struct):
    issue: list[_Issue] | None = None


_BUNDLE = msgspec.json.Decoder(_Bundle)
_LOOSE_BUNDLE = msgspec.json.Decoder(_LooseBundle)
_ENTRY = msgspec.json.Decoder(_BundleEntry)
_ODD_ENTRY = msgspec.json.Decoder(_OddEntry)
_HEAD = msgspec.json.Decoder(_Head)
_KIND = msgspec.json.Decoder(_Kind)
_FINE = ("2", "3")
_CUT = Partial("the file holds only a part of the search")
# What a search may be for; a chart's types, and those that come with them.
_SEARCHED = frozenset({*CHART_TYPES, "Medication", "Patient"})


class _Found(msgspec.Struct):
    """Entries, which types they leave incomplete (None for all), and what was wrong.

    Args:
        patients: those entries that are Patients.
    """

    entries: list[Entry]
    truncated: set[str | None]
    issues: list[DataIssue]
    patients: list[Entry]

    def add(self, entry: Entry, kind: str | None) -> None:
        """Take in a resource of a type."""
        self.entries.append(entry)
        if kind == "Patient":
            self.patients.append(entry)

    def cut(self, kind: str | None, code: str, where: str, message: str) -> None:
        """Note that resources of a type (None for any) may be missing, and why."""
        self.truncated.add(kind)
        self.issues.append(DataIssue(code, where, message))


def read_chart_file(data: bytes, patient: str | None, *, name: str = "input") -> Chart:
    """Read a Bundle or NDJSON into a chart of one patient.

    Args:
        data: the file's bytes.
        patient: id of the patient; None where the file holds just one.
        name: the file's name for messages.

    Raises:
        InputError: not JSON, not a Bundle, no Patient, several with none chosen, or not the one
            that was chosen.
    """
    found = _read(data, name)
    patient_id = _choose(found.patients, patient, name)
    all_cut = None in found.truncated
    reads: dict[str, Read] = {
        kind: _CUT if all_cut or kind in found.truncated else COMPLETE for kind in CHART_TYPES
    }
    if all_cut or "Medication" in found.truncated:
        reads["Medication"] = _CUT
    return Chart(patient_id, tuple(found.entries), reads, issues=tuple(found.issues))


def _read(data: bytes, name: str) -> _Found:
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise InputError(f"{name} is empty")
    try:
        bundle, entries = _bundle(data)
    except UNDECODABLE as error:
        if _is_lines(data):
            return _read_lines(data, name)
        is_json = isinstance(error, msgspec.ValidationError)
        what = f"a FHIR Bundle: {error}" if is_json else "JSON"
        raise InputError(f"{name} is not {what}") from error
    found = _Found([], set(), [], [])
    if bundle.resource_type == "Bundle":
        _read_bundle(bundle, entries, found)
    elif bundle.resource_type and len(data.splitlines()) == 1:
        found.add(Entry(msgspec.Raw(data)), bundle.resource_type)
    else:
        raise InputError(f"{name} is not a FHIR Bundle")
    return found


def _bundle(data: bytes | msgspec.Raw) -> tuple[_Envelope, list[_BundleEntry | None]]:
    """Decode a Bundle and its entries; None for one that is no entry."""
    try:
        bundle = _BUNDLE.decode(data)
    except UNDECODABLE:
        return _bundle_one_by_one(data)
    return bundle, [*(bundle.entry or ())]


def _bundle_one_by_one(data: bytes | msgspec.Raw) -> tuple[_Envelope, list[_BundleEntry | None]]:
    """The same where something in it is odd: slower, and an odd entry costs only itself.

    One resource that is nested without end does not hide the others either.
    """
    try:
        bundle = _LOOSE_BUNDLE.decode(data)
    except msgspec.ValidationError:
        raise
    except UNDECODABLE:
        bundle = _LOOSE_BUNDLE.decode(repaired(bytes(data)))
    return bundle, [_entry(raw) for raw in bundle.entry or ()]


def _entry(raw: msgspec.Raw) -> _BundleEntry | None:
    try:
        return _ENTRY.decode(raw)
    except UNDECODABLE:
        pass
    try:
        odd = _ODD_ENTRY.decode(raw)
    except UNDECODABLE:
        return None
    # A URL that cannot be read costs only itself.
    return _BundleEntry(odd.resource, _text(odd.full_url), odd.response, odd.request)


# --- NDJSON ------------------------------------------------------------------------------------


def _is_lines(data: bytes) -> bool:
    """Whether most lines are resources; a broken one among them may be any, the first included."""
    lines = [line for line in data.splitlines() if line.strip()]
    return len(lines) > 1 and 2 * sum(bool(_kind(line)) for line in lines) >= len(lines)


def _kind(raw: bytes | msgspec.Raw) -> str | None:
    """The resource type that a resource says; None where it says none that can be read."""
    try:
        return _KIND.decode(raw).resource_type
    except msgspec.ValidationError:
        return None
    except UNDECODABLE:
        pass
    try:
        return _KIND.decode(repaired(bytes(raw))).resource_type
    except UNDECODABLE:
        return None


def _read_lines(data: bytes, name: str) -> _Found:
    found = _Found([], set(), [], [])
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        if _kind(line) is None:
            # The line may have held anything, so no search can be taken as complete.
            found.cut(None, "broken-line", where, "the line is not a JSON resource")
        else:
            _read_resource(Entry(msgspec.Raw(line)), where, None, found)
    return found


# --- Bundles -----------------------------------------------------------------------------------


def _read_bundle(bundle: _Envelope, entries: Sequence[_BundleEntry | None], found: _Found) -> None:
    links = _links(bundle, found)
    own_type = _self_type(links)
    if any(link.relation == "next" for link in links):
        message = "the Bundle has a next page that is not in the file"
        found.cut(own_type, "truncated", own_type or "Bundle", message)
    for position, entry in enumerate(entries):
        _read_entry(entry, f"Bundle.entry[{position}]", own_type, found)


def _links(bundle: _Envelope, found: _Found) -> list[_Link]:
    if not bundle.link:
        return []
    try:
        return msgspec.json.decode(bundle.link, type=list[_Link] | None) or []
    except UNDECODABLE:
        found.cut(None, "truncated", "Bundle", "its links cannot be read, so pages may be missing")
        return []


def _read_entry(
    entry: _BundleEntry | None, where: str, own_type: str | None, found: _Found
) -> None:
    if entry is None:
        found.cut(None, "broken-entry", where, "is no entry")
        return
    status = _status(entry)
    if status is not None and not status.startswith(_FINE):
        # Which search of the batch failed cannot be told.
        message = f"a request of the batch was answered with {status[:3]}"
        found.cut(own_type, "truncated", own_type or "Bundle", message)
    if entry.resource:
        _read_resource(Entry(entry.resource, entry.full_url), where, own_type, found)
    elif not entry.response and not entry.request:
        found.cut(None, "broken-entry", where, "holds no resource")


def _status(entry: _BundleEntry) -> str | None:
    """The HTTP status of an answer in a batch; empty where there is one that cannot be read."""
    if not entry.response:
        return None
    try:
        answer = msgspec.json.decode(entry.response, type=_Response | None)
    except UNDECODABLE:
        return ""
    return answer.status if answer else None


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str | None)
    except UNDECODABLE:
        return None


def _read_resource(entry: Entry, where: str, own_type: str | None, found: _Found) -> None:
    kind = _kind(entry.raw)
    if kind == "OperationOutcome":
        if _is_error(entry.raw):
            message = "the Bundle holds an error of the server"
            found.cut(own_type, "truncated", own_type or "Bundle", message)
        return
    if kind != "Bundle":
        found.add(entry, kind)
        return
    # A batch response holds the searchsets it was asked for.
    try:
        inner, entries = _bundle(entry.raw)
    except UNDECODABLE:
        found.cut(None, "broken-entry", where, "is a Bundle that cannot be read")
        return
    _read_bundle(inner, entries, found)


def _is_error(raw: msgspec.Raw) -> bool:
    try:
        outcome = msgspec.json.decode(raw, type=_Outcome)
    except UNDECODABLE:
        return True
    return any(issue.severity in ("error", "fatal") for issue in outcome.issue or ())


def _self_type(links: list[_Link]) -> str | None:
    """The resource type that the ``self`` link names, where it names just one that is read."""
    url = next((link.url for link in links if link.relation == "self" and link.url), "")
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    asked = parse_qs(parts.query)
    types = asked.get("_type", [])
    if len(types) == 1 and types[0] in CHART_TYPES:
        return types[0]
    last = parts.path.removesuffix("/_search").rpartition("/")[2]
    # A search that brings in resources of other types is cut for those as well.
    return last if last in _SEARCHED and "_revinclude" not in asked else None


# --- The patient -------------------------------------------------------------------------------


def _choose(patients: Iterable[Entry], patient: str | None, name: str) -> str:
    ids = list(dict.fromkeys(id_ for entry in patients if (id_ := _id(entry))))
    if not ids:
        raise InputError(f"{name} holds no Patient")
    if patient is not None:
        wanted = patient.removeprefix("Patient/")
        if wanted not in ids:
            raise InputError(f"{name} does not hold the patient that was asked for")
        return wanted
    if len(ids) > 1:
        raise InputError(f"{name} holds {len(ids)} patients: choose one with --patient")
    return ids[0]


def _id(entry: Entry) -> str | None:
    try:
        return _HEAD.decode(repaired(bytes(entry.raw))).id
    except UNDECODABLE:
        return None
