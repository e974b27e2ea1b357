"""What one page of search results says: its resources, whether there are more, what went wrong.

Pure: bytes in, values out. Each entry is decoded by itself, so that a broken one costs only itself;
the resources stay raw JSON for the reader. Patients are not looked at here. Source: FHIR R4 search,
"handling search results" and "bundle".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from cds_service.errors import FhirUnavailable
from cds_service.fhir.chart import Entry
from cds_service.record.reads import DataIssue

# What decoding foreign JSON may raise; msgspec gives up on deep nesting by a RecursionError.
UNDECODABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
SEARCH_RESULT: Final = frozenset({"searchset"})
_ERRORS: Final = frozenset({"error", "fatal"})
# Of a page in which something is odd: there may be as many entries as commas, each an error.
_MOST_COMMAS: Final = 500_000


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


class _Search(_Wire):
    mode: str | None = None


class _Entry(_Wire):
    resource: msgspec.Raw
    full_url: str | None = None
    search: _Search | None = None


class _Envelope(_Wire):
    resource_type: str | None = None
    type: str | None = None
    total: int | None = None
    link: list[_Link] | None = None


class _Bundle(_Envelope):
    entry: list[_Entry] | None = None


class _LooseBundle(_Envelope):
    entry: list[msgspec.Raw] | None = None


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
_LOOSE_BUNDLE: Final = msgspec.json.Decoder(_LooseBundle)
_ENTRY: Final = msgspec.json.Decoder(_Entry)
_HEAD: Final = msgspec.json.Decoder(_Head)
_NO_META: Final = _Meta()
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
    bundle, contents = _decoded(body)
    if bundle.resource_type == "OperationOutcome":
        raise FhirUnavailable("an OperationOutcome instead of results")
    if bundle.resource_type != "Bundle" or bundle.type not in kinds:
        raise FhirUnavailable("not a search result")
    entries = _Entries(searched)
    for entry in contents:
        entries.add(entry)
    entries.check_types()
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
    try:
        head = _HEAD.decode(raw)
    except UNDECODABLE:
        kind = _kind(raw)
        return Found(Entry(raw, full_url, kind), kind, matched=matched)
    meta = head.meta or _NO_META
    return Found(
        entry=Entry(raw, full_url, head.resource_type),
        resource_type=head.resource_type,
        id=head.id or "",
        matched=matched,
        version=meta.version_id or "",
        updated=meta.last_updated or "",
        medications=_medications(head),
    )


def count_matches(found: Iterable[Found]) -> int:
    """How many different results these are."""
    matches = [item for item in found if item.matched]
    keys = {item.key for item in matches if item.key is not None}
    return len(keys) + sum(item.key is None for item in matches)


def _decoded(body: bytes | msgspec.Raw) -> tuple[_Envelope, list[_Entry | None]]:
    """The Bundle and its entries; None for an entry that cannot be read."""
    try:
        bundle = _BUNDLE.decode(body)
    except msgspec.ValidationError:
        return _decoded_one_by_one(body)
    except UNDECODABLE as error:
        raise FhirUnavailable("not FHIR") from error
    return bundle, [*(bundle.entry or ())]


def _decoded_one_by_one(body: bytes | msgspec.Raw) -> tuple[_Envelope, list[_Entry | None]]:
    """The same where something in it is odd: slower, and an odd entry costs only itself."""
    if bytes(body).count(b",") > _MOST_COMMAS:
        raise FhirUnavailable("too large to look for the entry that cannot be read")
    try:
        bundle = _LOOSE_BUNDLE.decode(body)
    except UNDECODABLE as error:
        raise FhirUnavailable("not FHIR") from error
    return bundle, [_entry(raw) for raw in bundle.entry or ()]


def _entry(raw: msgspec.Raw) -> _Entry | None:
    try:
        return _ENTRY.decode(raw)
    except UNDECODABLE:
        return None


def _link(bundle: _Envelope, relation: str) -> str | None:
    links = bundle.link or ()
    return next((link.url for link in links if link.relation == relation and link.url), None)


class _Entries:
    """The entries of a page, sorted into resources, warnings, and what cannot be read."""

    def __init__(self, searched: str) -> None:
        self._searched = searched
        self.found: list[Found] = []
        self.troubles: list[str] = []
        self.issues: list[DataIssue] = []

    def add(self, entry: _Entry | None) -> None:
        """Take one entry."""
        mode = entry.search.mode if entry is not None and entry.search is not None else None
        try:
            found = _found(entry, matched=mode in {"match", None})
        except FhirUnavailable:
            self.troubles.append("an entry could not be read")
            return
        if mode == "outcome" or found.resource_type == "OperationOutcome":
            self._outcome(found.entry.raw, mode)
            return
        if mode is None and found.resource_type != self._searched:
            found = msgspec.structs.replace(found, matched=False)
        self.found.append(found)

    def check_types(self) -> None:
        """Notice results that answer another question; resources that came along are no matter."""
        types = {item.resource_type for item in self.found}
        if types and self._searched not in types:
            self.troubles.append("the results are of another type")

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


def _found(entry: _Entry | None, *, matched: bool) -> Found:
    if entry is None:
        raise FhirUnavailable("not FHIR")
    return read_resource(entry.resource, entry.full_url, matched=matched)


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


def _medications(head: _Head) -> tuple[str, ...]:
    if head.medication_reference is None and not head.ingredient:
        return ()
    ingredients = (ingredient.item_reference for ingredient in head.ingredient or ())
    references = (head.medication_reference, *ingredients)
    return tuple(found.reference for found in references if found and found.reference)
