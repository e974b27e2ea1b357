"""What one page of search results says: its resources, whether there are more, what went wrong.

Pure: bytes in, values out. Each entry is decoded by itself, so that a broken one costs only itself;
the resources stay raw JSON for the reader. Patients are not looked at here. Source: FHIR R4 search,
"handling search results" and "bundle".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from cds_service.errors import FhirUnavailable
from cds_service.fhir.chart import Entry
from cds_service.record.model import DataIssue

# What decoding foreign JSON may raise; msgspec gives up on deep nesting by a RecursionError.
UNDECODABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
SEARCH_RESULT: Final = frozenset({"searchset"})
_ERRORS: Final = frozenset({"error", "fatal"})


class Found(msgspec.Struct, frozen=True):
    """A resource in a page.

    Args:
        entry: for the chart.
        resource_type, id: empty where it has none.
        matched: it is a result, and not only included with one.
        version, updated: ``meta.versionId`` and ``meta.lastUpdated``.
        medications: references to Medications, as written.
    """

    entry: Entry
    resource_type: str
    id: str = ""
    matched: bool = True
    version: str = ""
    updated: str = ""
    medications: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str] | None:
        """What tells that two of them are one resource; None where nothing does."""
        return (self.resource_type, self.id) if self.id else None


class Page(msgspec.Struct, frozen=True):
    """One page of results; without arguments, a search that found nothing.

    Args:
        total: how many results there are in all, where the server says so.
        next_url, self_url: links as given, not checked.
        troubles: why results may be missing from this page.
        issues: the server's warnings.
    """

    found: tuple[Found, ...] = ()
    total: int | None = None
    next_url: str | None = None
    self_url: str | None = None
    troubles: tuple[str, ...] = ()
    issues: tuple[DataIssue, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether this page alone is everything."""
        enough = self.total is None or self.total <= count_matches(self.found)
        return self.next_url is None and not self.troubles and enough


class _Wire(msgspec.Struct, rename="camel"):
    """Base of what is read of FHIR JSON; members that are not named are skipped."""


class _Link(_Wire):
    relation: str | None = None
    url: str | None = None


class _Bundle(_Wire):
    resource_type: str | None = None
    type: str | None = None
    total: int | None = None
    link: list[_Link] | None = None
    entry: list[msgspec.Raw] | None = None


class _Search(_Wire):
    mode: str | None = None


class _Entry(_Wire):
    resource: msgspec.Raw
    full_url: str | None = None
    search: _Search | None = None


class _Meta(_Wire):
    version_id: str | None = None
    last_updated: str | None = None


class _Reference(_Wire):
    reference: str | None = None


class _Ingredient(_Wire):
    item_reference: _Reference | None = None


class _Kind(_Wire):
    resource_type: str


class _Head(_Wire):
    resource_type: str
    id: str | None = None
    meta: _Meta | None = None
    medication_reference: _Reference | None = None
    ingredient: list[_Ingredient] | None = None


class _Issue(_Wire):
    severity: str | None = None


class _Outcome(_Wire):
    issue: list[_Issue] | None = None


_BUNDLE: Final = msgspec.json.Decoder(_Bundle)
_ENTRY: Final = msgspec.json.Decoder(_Entry)
_HEAD: Final = msgspec.json.Decoder(_Head)
_KIND: Final = msgspec.json.Decoder(_Kind)
_OUTCOME: Final = msgspec.json.Decoder(_Outcome)


def read_page(
    body: bytes | msgspec.Raw, searched: str, kinds: Collection[str] = SEARCH_RESULT
) -> Page:
    """Read one page of the results of a search.

    Args:
        body: JSON of the Bundle.
        searched: the resource type that was searched for.
        kinds: types of Bundle that may hold results.

    Raises:
        FhirUnavailable: it is not a search result.
    """
    bundle = _bundle(body, kinds)
    entries = _Entries(searched)
    for raw in bundle.entry or ():
        entries.add(raw)
    return Page(
        found=tuple(entries.found),
        total=bundle.total,
        next_url=_link(bundle, "next"),
        self_url=_link(bundle, "self"),
        troubles=tuple(dict.fromkeys(entries.troubles)),
        issues=tuple(dict.fromkeys(entries.issues)),
    )


def read_resource(raw: msgspec.Raw, full_url: str | None = None, *, matched: bool = True) -> Found:
    """Read what one resource is.

    Raises:
        FhirUnavailable: it is no resource at all.
    """
    entry = Entry(raw, full_url)
    try:
        head = _HEAD.decode(raw)
    except UNDECODABLE:
        return Found(entry, _kind(raw), matched=matched)
    meta = head.meta or _Meta()
    return Found(
        entry=entry,
        resource_type=head.resource_type,
        id=head.id or "",
        matched=matched,
        version=meta.version_id or "",
        updated=meta.last_updated or "",
        medications=tuple(_medications(head)),
    )


def count_matches(found: Iterable[Found]) -> int:
    """How many different results these are."""
    matches = [item for item in found if item.matched]
    keys = {item.key for item in matches if item.key is not None}
    return len(keys) + sum(item.key is None for item in matches)


def _bundle(body: bytes | msgspec.Raw, kinds: Collection[str]) -> _Bundle:
    try:
        bundle = _BUNDLE.decode(body)
    except UNDECODABLE as error:
        raise FhirUnavailable("not FHIR") from error
    if bundle.resource_type == "OperationOutcome":
        raise FhirUnavailable("an OperationOutcome instead of results")
    if bundle.resource_type != "Bundle" or bundle.type not in kinds:
        raise FhirUnavailable("not a search result")
    return bundle


def _link(bundle: _Bundle, relation: str) -> str | None:
    links = bundle.link or ()
    return next((link.url for link in links if link.relation == relation and link.url), None)


class _Entries:
    """The entries of a page, sorted into resources, warnings, and what cannot be read."""

    def __init__(self, searched: str) -> None:
        self._searched = searched
        self.found: list[Found] = []
        self.troubles: list[str] = []
        self.issues: list[DataIssue] = []

    def add(self, raw: msgspec.Raw) -> None:
        """Take one entry."""
        try:
            entry = _ENTRY.decode(raw)
            mode = entry.search.mode if entry.search else None
            found = read_resource(entry.resource, entry.full_url)
        except (*UNDECODABLE, FhirUnavailable):
            self.troubles.append("an entry could not be read")
            return
        if mode == "outcome" or found.resource_type == "OperationOutcome":
            self._outcome(entry.resource, mode)
            return
        if mode not in {"match", None} or (mode is None and found.resource_type != self._searched):
            found = msgspec.structs.replace(found, matched=False)
        self.found.append(found)

    def _outcome(self, raw: msgspec.Raw, mode: str | None) -> None:
        """Take what the server says about its own search.

        A warning that the server itself files as the search's outcome is about missing results
        (left out for lack of permission, a parameter ignored); some servers send one with every
        answer, which then is not known to be complete.
        """
        severities = _severities(raw)
        if severities & _ERRORS:
            self.troubles.append("the server reported an error")
        elif "warning" in severities and mode == "outcome":
            self.troubles.append("the server reported a warning")
        if "warning" in severities:
            message = f"The FHIR server sent a warning with its {self._searched} results."
            self.issues.append(DataIssue("server-warning", self._searched, message))


def _severities(raw: msgspec.Raw) -> frozenset[str]:
    """The severities of an outcome; one that cannot be read counts as an error."""
    try:
        issues = _OUTCOME.decode(raw).issue or ()
    except UNDECODABLE:
        return _ERRORS
    return frozenset(issue.severity or "error" for issue in issues)


def _kind(raw: msgspec.Raw) -> str:
    try:
        return _KIND.decode(raw).resource_type
    except UNDECODABLE as error:
        raise FhirUnavailable("not FHIR") from error


def _medications(head: _Head) -> Iterator[str]:
    ingredients = (ingredient.item_reference for ingredient in head.ingredient or ())
    for reference in (head.medication_reference, *ingredients):
        if reference is not None and reference.reference:
            yield reference.reference
