"""One search read to its end, page by page, on one server; and how that went.

A page that is missing, repeated, on another server or beyond a limit leaves the search *partial*:
what was read is kept, and nothing may be concluded from what was not found. Sources: FHIR R4
search, "paging" and "conformance of servers" (the ``self`` link names the parameters that were
used, and a client must look).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

import msgspec

from cds_service.errors import FhirRefused, FhirRejected, FhirUnavailable
from cds_service.fhir.http import FhirClient
from cds_service.fhir.scopes import Permission
from cds_service.fhir.searchset import Found, Page, count_matches, read_page
from cds_service.record.reads import (
    COMPLETE,
    Complete,
    DataIssue,
    Failed,
    NotPermitted,
    Partial,
    Read,
)

_TIMED_OUT = "timed out"
# Contained resources count, too.
_RESOURCES_TO_AN_ENTRY = 3
NOT_IN_SCOPE = "not permitted (scope)"


class Start(msgspec.Struct, frozen=True):
    """Where to begin reading.

    Args:
        resource_type: what is searched for.
        url: of the first page to read.
        filter_name: the parameter that the ``self`` link must name; None to ask for none.
        simpler_url: to be tried where the server rejects the first one.
        needed: False if a server that rejects it loses nothing but an issue.
        first: a page that came before, and by another way.
    """

    resource_type: str
    url: str
    filter_name: str | None = None
    simpler_url: str | None = None
    needed: bool = True
    first: Page | None = None


class Pulled(msgspec.Struct, frozen=True):
    """What was found of one type, and how the read went."""

    found: tuple[Found, ...] = ()
    read: Read = COMPLETE
    issues: tuple[DataIssue, ...] = ()


async def read_search(client: FhirClient, start: Start, deadline: float) -> Pulled:
    """Read a search to its end or to the deadline, and say how it went; raises nothing.

    Args:
        client: the server.
        start: where to begin.
        deadline: time of the event loop at which reading stops, whatever the server does.
    """
    pages = _Pages(client, start, deadline)
    permission = client.scopes.search(start.resource_type)
    if permission is Permission.NONE:
        return pages.result(NotPermitted(NOT_IN_SCOPE))
    if permission is Permission.PART:
        pages.note("the token covers only some of them")
    if asyncio.get_running_loop().time() >= deadline:
        return pages.result(Failed(_TIMED_OUT))
    try:
        # For all pages together: a server that drips bytes never reaches a read timeout.
        async with asyncio.timeout_at(deadline):
            await pages.read_all()
    except TimeoutError:
        return pages.result(Failed(_TIMED_OUT))
    except FhirRefused as error:
        return pages.result(NotPermitted(str(error)))
    except FhirRejected as error:
        return pages.result(Failed(str(error))) if start.needed else pages.rejected()
    except FhirUnavailable as error:
        return pages.result(Failed(str(error)))
    return pages.result(None)


def combine(parts: Iterable[Pulled]) -> Pulled:
    """What several searches of one type give together: complete only if each of them is."""
    pulled = tuple(parts)
    return Pulled(
        found=tuple(item for part in pulled for item in part.found),
        read=_together([part.read for part in pulled]),
        issues=tuple(dict.fromkeys(issue for part in pulled for issue in part.issues)),
    )


def _together(reads: list[Read]) -> Read:
    gaps = [read for read in reads if not isinstance(read, Complete)]
    if not gaps:
        return COMPLETE
    if len(gaps) == len(reads) and all(isinstance(gap, NotPermitted) for gap in gaps):
        return gaps[0]
    reason = "; ".join(dict.fromkeys(gap.reason for gap in gaps))
    nothing = len(gaps) == len(reads) and not any(isinstance(gap, Partial) for gap in gaps)
    return Failed(reason) if nothing else Partial(reason)


class _Pages:
    """The pages read so far; kept when reading is cut off."""

    def __init__(self, client: FhirClient, start: Start, deadline: float) -> None:
        self._client = client
        self._start = start
        self._deadline = deadline
        self._found: list[Found] = []
        self._count = 0
        self._total = 0
        self._seen: set[str] = set()
        self._troubles: list[str] = []
        self._issues: list[DataIssue] = []
        if start.first is not None:
            self._add(start.first)

    async def read_all(self) -> None:
        """Read page after page.

        Raises:
            FhirError: a page could not be had.
        """
        page = await self._first_page()
        while (url := self._next(page)) is not None:
            page = await self._page(url)

    def note(self, trouble: str) -> None:
        """Take down why results may be missing."""
        self._troubles.append(trouble)

    def result(self, gap: Failed | NotPermitted | None) -> Pulled:
        """What there is, with the reason why reading stopped before the end."""
        if gap is not None and self._count == 0:
            return Pulled(read=gap, issues=tuple(self._issues))
        if gap is not None:
            self._troubles.append(f"page {self._count + 1}: {gap.reason}")
        elif self._total > (matches := count_matches(self._found)):
            self._troubles.append(f"{matches} of {self._total} results were sent")
        reason = "; ".join(dict.fromkeys(self._troubles))
        read = Partial(reason) if reason else COMPLETE
        return Pulled(tuple(self._found), read, tuple(self._issues))

    def rejected(self) -> Pulled:
        """What a search gives that the server does not know how to do, and that is not needed."""
        type_ = self._start.resource_type
        message = f"The FHIR server cannot search for {type_} that only words identify."
        return Pulled(issues=(DataIssue("search-not-supported", type_, message),))

    async def _first_page(self) -> Page:
        start = self._start
        try:
            page = await self._page(start.url)
        except FhirRejected:
            if start.simpler_url is None:
                raise
            page = await self._page(start.simpler_url)
        if start.filter_name is not None and _ignores(page.self_url, start.filter_name):
            self._troubles.append("the server did not apply the filter")
            # What follows is about other patients.
            return msgspec.structs.replace(page, next_url=None)
        return page

    async def _page(self, url: str) -> Page:
        self._seen.add(self._client.address(url) or url)
        kind = self._start.resource_type
        body = await self._client.get_json(url, deadline=self._deadline, kind=kind)
        # Looked for before anything is decoded, which is what would take its time.
        if body.count(b'"resourceType"') > _RESOURCES_TO_AN_ENTRY * self._client.limits.entries:
            raise FhirUnavailable("too many entries")
        page = read_page(body, self._start.resource_type)
        self._add(page)
        return page

    def _add(self, page: Page) -> None:
        room = self._client.limits.entries - len(self._found)
        if len(page.found) > room:
            self._troubles.append("too many entries")
        self._found += page.found[:room]
        self._count += 1
        self._total = max(self._total, page.total or 0)
        self._troubles += page.troubles
        self._issues += page.issues

    def _next(self, page: Page) -> str | None:
        """The next page's address, if it may and need be read."""
        if page.next_url is None:
            return None
        address = self._client.address(page.next_url)
        obstacle = self._obstacle(page, address)
        if obstacle is not None:
            self._troubles.append(obstacle)
        return address if obstacle is None else None

    def _obstacle(self, page: Page, address: str | None) -> str | None:
        limits = self._client.limits
        obstacles = (
            (address is None, "the next page is on another server"),
            (address in self._seen, "the pages repeat"),
            (not page.found, "an empty page says that there are more"),
            (self._count >= limits.pages, "too many pages"),
            (len(self._found) >= limits.entries, "too many entries"),
        )
        return next((reason for holds, reason in obstacles if holds), None)


def _ignores(self_url: str | None, name: str) -> bool:
    """Whether the server says that it searched without the parameter (modifiers do not count)."""
    if self_url is None:
        return False
    try:
        pairs = parse_qsl(urlsplit(self_url).query, keep_blank_values=True)
    except ValueError:
        return True
    used = {key.partition(":")[0].partition(".")[0] for key, _ in pairs}
    # Servers may name the patient by either parameter, whichever was asked for.
    return not used & ({"patient", "subject"} if name in {"patient", "subject"} else {name})
