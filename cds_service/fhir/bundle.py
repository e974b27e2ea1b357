"""Reads a chart from a file: a Bundle of any kind, or NDJSON with a resource on each line."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import msgspec

from cds_service.errors import InputError
from cds_service.fhir.chart import CHART_TYPES, Chart, Entry
from cds_service.record.model import COMPLETE, Complete, DataIssue, Partial, Read


class _Link(msgspec.Struct):
    relation: str | None = None
    url: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None


class _BundleEntry(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw(b"")
    full_url: str | None = None
    response: _Response | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str | None = None
    type: str | None = None
    link: list[_Link] | None = None
    entry: list[msgspec.Raw] | None = None


class _Head(msgspec.Struct, rename="camel"):
    resource_type: str | None = None
    id: str | None = None


class _Issue(msgspec.Struct):
    severity: str | None = None


class _Outcome(msgspec.Struct):
    issue: list[_Issue] | None = None


_BUNDLE = msgspec.json.Decoder(_Bundle)
_ENTRY = msgspec.json.Decoder(_BundleEntry)
_HEAD = msgspec.json.Decoder(_Head)
_FINE = ("2", "3")
_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Found(msgspec.Struct):
    """Entries, which types they leave incomplete (None for all), and what was wrong."""

    entries: list[Entry]
    truncated: set[str | None]
    issues: list[DataIssue]


def read_chart_file(data: bytes, patient: str | None, *, name: str = "input") -> Chart:
    """Read a Bundle or NDJSON into a chart of one patient.

    Args:
        data: the file's bytes.
        patient: id of the patient; None where the file holds just one.
        name: the file's name for messages.

    Raises:
        InputError: not JSON, not a Bundle, no Patient, several and none chosen, or not the chosen one.
    """
    found = _read(data, name)
    patient_id = _choose(found.entries, patient, name)
    reads: dict[str, Read] = {}
    for kind in CHART_TYPES:
        cut = None in found.truncated or kind in found.truncated
        reads[kind] = Partial("the file holds only a part of the search") if cut else COMPLETE
    if "Medication" in found.truncated or None in found.truncated:
        reads["Medication"] = Partial("the file holds only a part of the search")
    return Chart(patient_id, tuple(found.entries), reads, issues=tuple(found.issues))


def _read(data: bytes, name: str) -> _Found:
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise InputError(f"{name} is empty")
    try:
        bundle = _BUNDLE.decode(data)
    except msgspec.ValidationError as error:
        raise InputError(f"{name} is not a FHIR Bundle: {error}") from error
    except _ERRORS as error:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) > 1 and _is_resource(lines[0]):
            return _read_lines(data, name)
        raise InputError(f"{name} is not JSON") from error
    if bundle.resource_type == "Bundle":
        return _read_bundle(bundle)
    if bundle.resource_type is not None and len(data.splitlines()) == 1:
        return _Found([Entry(msgspec.Raw(data))], set(), [])
    raise InputError(f"{name} is not a FHIR Bundle")


def _is_resource(line: bytes) -> bool:
    try:
        return bool(_HEAD.decode(line).resource_type)
    except _ERRORS:
        return False


def _read_lines(data: bytes, name: str) -> _Found:
    found = _Found([], set(), [])
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            kind = _HEAD.decode(line).resource_type
        except _ERRORS:
            # The line may have held anything, so no search can be taken as complete.
            found.truncated.add(None)
            found.issues.append(
                DataIssue("broken-line", f"{name}:{number}", "the line is not a JSON resource")
            )
            continue
        if kind == "Bundle":
            inner = _read_bundle(_BUNDLE.decode(line))
            found.entries.extend(inner.entries)
            found.truncated |= inner.truncated
            found.issues.extend(inner.issues)
        else:
            found.entries.append(Entry(msgspec.Raw(line)))
    return found


def _read_bundle(bundle: _Bundle) -> _Found:
    found = _Found([], set(), [])
    own_type = _self_type(bundle)
    if any(link.relation == "next" for link in bundle.link or ()):
        _truncate(found, own_type, "the Bundle has a next page that is not in the file")
    for position, raw in enumerate(bundle.entry or ()):
        _read_entry(raw, position, own_type, found)
    return found


def _truncate(found: _Found, own_type: str | None, message: str) -> None:
    found.truncated.add(own_type)
    found.issues.append(DataIssue("truncated", own_type or "Bundle", message))


def _read_entry(raw: msgspec.Raw, position: int, own_type: str | None, found: _Found) -> None:
    try:
        entry = _ENTRY.decode(raw)
        status = entry.response.status if entry.response else None
        if status and not status.startswith(_FINE):
            # Which search of the batch failed cannot be told.
            _truncate(found, own_type, f"a request of the batch was answered with {status[:3]}")
        if not bytes(entry.resource):
            return
        head = _HEAD.decode(entry.resource)
    except _ERRORS:
        _salvage_entry(raw, position, found)
        return
    if head.resource_type == "OperationOutcome":
        if _is_error(entry.resource):
            _truncate(found, own_type, "the Bundle holds an error of the server")
        return
    if head.resource_type == "Bundle":
        # A batch response holds the searchsets it was asked for.
        inner = _read_bundle(_BUNDLE.decode(entry.resource))
        found.entries.extend(inner.entries)
        found.truncated |= inner.truncated
        found.issues.extend(inner.issues)
        return
    found.entries.append(Entry(entry.resource, entry.full_url))


class _Bare(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")


def _salvage_entry(raw: msgspec.Raw, position: int, found: _Found) -> None:
    """An entry whose frame is broken may still hold a resource, which says itself what is broken."""
    try:
        resource = msgspec.json.decode(raw, type=_Bare).resource
    except _ERRORS:
        resource = msgspec.Raw(b"")
    if bytes(resource):
        found.entries.append(Entry(resource))
        return
    found.truncated.add(None)
    found.issues.append(DataIssue("broken-entry", f"Bundle.entry[{position}]", "is no entry"))


def _is_error(raw: msgspec.Raw) -> bool:
    try:
        outcome = msgspec.json.decode(raw, type=_Outcome)
    except _ERRORS:
        return True
    return any(issue.severity in ("error", "fatal") for issue in outcome.issue or ())


def _self_type(bundle: _Bundle) -> str | None:
    """The resource type that the ``self`` link names, where it names one that is read."""
    for link in bundle.link or ():
        if link.relation == "self" and link.url:
            parts = urlsplit(link.url)
            for part in reversed(parts.path.split("/")):
                if part in CHART_TYPES or part in ("Medication", "Patient"):
                    return part
            types = parse_qs(parts.query).get("_type", [])
            if len(types) == 1 and types[0] in CHART_TYPES:
                return types[0]
    return None


def _choose(entries: list[Entry], patient: str | None, name: str) -> str:
    ids = []
    for entry in entries:
        try:
            head = _HEAD.decode(entry.raw)
        except _ERRORS:
            continue
        if head.resource_type == "Patient" and head.id:
            ids.append(head.id)
    ids = list(dict.fromkeys(ids))
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


def is_complete(chart: Chart) -> bool:
    """Whether every read of a chart is complete."""
    return all(isinstance(read, Complete) for read in chart.reads.values())
