"""Reading one patient's chart: what the EHR sent, then what that lacks, until the deadline.

Two stages: the types that tell whether the chart is relevant, and the rest only if it is, or if the
first stage does not end. Searches of a stage run side by side. Every type ends with a
:class:`~cds_service.record.reads.Read` that says how it went; only a Patient that cannot be had is
an error. Whose resources these are is for the reader to check, one by one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from cds_service.errors import FhirError, OtherPatient, PatientUnavailable
from cds_service.fhir.chart import LARGE_CHART, Chart
from cds_service.fhir.http import FhirClient
from cds_service.fhir.pace import TOO_LARGE
from cds_service.fhir.paging import NOT_IN_SCOPE, Pulled, Start, combine, read_search
from cds_service.fhir.prefetch import Prefetched, Unread
from cds_service.fhir.queries import Search, SearchPlan, medications, search_types
from cds_service.fhir.scopes import Permission
from cds_service.fhir.searchset import Found, Page, read_resource
from cds_service.fhir.versions import merge
from cds_service.record.reads import COMPLETE, Complete, DataIssue, Failed, Partial

NO_SERVER: Final = "and there is no FHIR server to ask"
"""Why nothing was read, for a hook that names no server."""

UNLISTED_SERVER: Final = "and this service may not read the server named"
"""The same for one that names a server which is not listed for its caller."""

_MEDICATION: Final = re.compile(
    r"Medication/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?"
)
# A Medication may name others as ingredients; a circle of them must end.
_MEDICATION_ROUNDS: Final = 2
# Of the time until the deadline; then the second stage begins, whatever the first one waits for.
_SHARE_OF_THE_FIRST: Final = 0.5
# Of a page that was sent; some 1,500 results, which take a few milliseconds.
_LARGE_PAGE: Final = 512 * 1024

Stage = dict[str, Pulled]


async def pull_stage(
    client: FhirClient, searches: Iterable[Search], patient_id: str, deadline: float
) -> Stage:
    """Run searches side by side; by resource type, what was found and how the read went.

    Args:
        client: the server.
        searches: what to search for; several of one type count as one.
        patient_id: whose.
        deadline: time of the event loop at which everything stops. What was not read by then has
            failed, and nothing goes on afterwards.
    """
    return await _run(client, [_start(search, patient_id) for search in searches], deadline)


async def read_chart(  # noqa: PLR0913  (what a read needs)
    client: FhirClient | None,
    plan: SearchPlan,
    patient_id: str,
    deadline: float,
    relevant: Callable[[Chart], bool],
    prefetched: Prefetched | None = None,
    *,
    no_server: str = NO_SERVER,
) -> Chart:
    """Read what a trial needs of a chart.

    Args:
        client: the server to ask for what was not sent; None where there is none.
        plan: the trial's searches.
        patient_id: whose chart.
        deadline: time of the event loop at which reading stops.
        relevant: whether a chart of the first stage is worth the second. Not asked where a read of
            the first stage has a gap: what is missing might be what makes it relevant. Nor of a
            large one, which takes long to answer.
        prefetched: what the EHR sent.
        no_server: where there is no client, why, in words that follow what was not sent.

    Raises:
        OtherPatient: the server answers with another Patient.
        PatientUnavailable: the Patient cannot be had.
    """
    reading = _Reading(client, plan, patient_id, deadline, prefetched or Prefetched(), no_server)
    try:
        return await reading.chart(relevant)
    finally:
        if client is not None:
            client.finished()


class _Reading:
    """One chart being read."""

    def __init__(
        self,
        client: FhirClient | None,
        plan: SearchPlan,
        patient_id: str,
        deadline: float,
        prefetched: Prefetched,
        no_server: str,
    ) -> None:
        self._client = client
        self._plan = plan
        self._patient_id = patient_id
        self._deadline = deadline
        self._prefetched = prefetched
        self._no_server = no_server
        self._found: list[Found] = []
        self._issues: list[DataIssue] = []
        self._stage: Stage = {}

    async def chart(self, relevant: Callable[[Chart], bool]) -> Chart:
        """Read both stages, or the first alone where that is enough.

        Raises:
            PatientUnavailable: see :func:`read_chart`.
        """
        refusals: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as group:
                first = group.create_task(self._first_stage())
                # One read that hangs must not take the rest with it: after a while both go on.
                await asyncio.wait({first}, timeout=self._time_for_the_first())
                if first.done() and not _leads_on(first.result(), relevant):
                    return first.result()
                rest = group.create_task(self._read(self._plan.rest))
        except* PatientUnavailable as failures:
            refusals += failures.exceptions
        # Raised out here, since an error raised above would come out wrapped in a group.
        for refusal in refusals:
            raise refusal
        self._take(rest.result())
        return await self._chart()

    def _time_for_the_first(self) -> float:
        left = self._deadline - asyncio.get_running_loop().time()
        return max(left, 0) * _SHARE_OF_THE_FIRST

    async def _first_stage(self) -> Chart:
        """Read the Patient and what tells whether the chart is relevant.

        Raises:
            PatientUnavailable: see :func:`read_chart`.
        """
        refusals: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as group:
                # Without a patient there is no answer, so a failure here ends the searches at once.
                patient = group.create_task(self._patient())
                stage = group.create_task(self._read(self._plan.relevance))
        except* PatientUnavailable as failures:
            refusals += failures.exceptions
        # Raised out here, since an error raised above would come out wrapped in a group.
        for refusal in refusals:
            raise refusal
        self._found.append(patient.result())
        self._take(stage.result())
        await self._resolve_medications()
        return await self._chart()

    def _take(self, stage: Stage) -> None:
        self._stage |= stage
        # Whoever has no time to read a large chart to its end shall have read what is rare.
        for pulled in sorted(stage.values(), key=lambda one: len(one.found)):
            self._found += pulled.found
        for pulled in stage.values():
            self._issues += pulled.issues

    async def _chart(self) -> Chart:
        large = len(self._found) > LARGE_CHART
        merged = await asyncio.to_thread(merge, self._found) if large else merge(self._found)
        return Chart(
            patient_id=self._patient_id,
            entries=merged.entries,
            reads={type_: pulled.read for type_, pulled in self._stage.items()},
            bases=self._bases(),
            issues=tuple(dict.fromkeys((*self._issues, *merged.issues))),
        )

    def _bases(self) -> tuple[str, ...]:
        own = () if self._client is None else (self._client.base_url,)
        return tuple(dict.fromkeys((*own, *self._prefetched.bases)))

    async def _patient(self) -> Found:
        """The Patient, sent or read."""
        if self._prefetched.patient is not None:
            return self._prefetched.patient
        if self._client is None:
            raise PatientUnavailable(f"Patient: {self._prefetched.no_patient} {self._no_server}")
        if self._client.scopes.read("Patient") is Permission.NONE:
            raise PatientUnavailable(f"Patient: {NOT_IN_SCOPE}")
        url = self._plan.patient_url(self._patient_id)
        try:
            async with asyncio.timeout_at(self._deadline):
                body = await self._client.get_json(url, deadline=self._deadline, kind="Patient")
            found = read_resource(msgspec.Raw(body))
        except TimeoutError:
            raise PatientUnavailable("Patient: timed out") from None
        except FhirError as error:
            raise PatientUnavailable(f"Patient: {error}") from error
        if found.resource_type != "Patient" or not found.id:
            raise PatientUnavailable("Patient: the server answered with something else")
        if found.id != self._patient_id:
            raise OtherPatient("Patient: the server answered with something else")
        return found

    async def _read(self, searches: Sequence[Search]) -> Stage:
        """What was sent of some types, and the rest of them from the server."""
        pages = {type_: await self._sent(type_) for type_ in search_types(searches)}
        sent = {type_: _as_sent(page, self._no_server) for type_, page in pages.items()}
        if self._client is None:
            return sent
        lacking = [type_ for type_ in pages if not isinstance(sent[type_].read, Complete)]
        starts = [
            start
            for type_ in lacking
            for start in self._starts(
                pages[type_], [search for search in searches if search.resource_type == type_]
            )
        ]
        pulled = await _run(self._client, starts, self._deadline)
        return sent | {type_: _better(sent[type_], pulled[type_]) for type_ in lacking}

    async def _sent(self, type_: str) -> Page | Unread:
        """What was sent of a type; a large page is read aside, so that others have their turns."""
        if self._prefetched.bytes_of(type_) <= _LARGE_PAGE:
            return self._prefetched.page(type_)
        try:
            async with asyncio.timeout_at(self._deadline):
                return await asyncio.to_thread(self._prefetched.page, type_)
        except TimeoutError:
            return Unread(f"provided, and {TOO_LARGE}")

    def _starts(self, page: Page | Unread, searches: Sequence[Search]) -> list[Start]:
        """Where to read on: after the page that was sent, or from the beginning."""
        if self._client is not None and isinstance(page, Page) and not page.troubles:
            address = self._client.address(page.next_url) if page.next_url else None
            if address is not None:
                return [Start(searches[0].resource_type, address, first=page)]
        return [_start(search, self._patient_id) for search in searches]

    async def _resolve_medications(self) -> None:
        """Read the Medications that are referred to and not there.

        One that cannot be had stays unresolved, which the reader reports with what refers to it.
        """
        if self._client is None:
            return
        asked: set[str] = set()
        for _ in range(_MEDICATION_ROUNDS):
            missing = _missing_medications(self._found, self._client.base_url) - asked
            if not missing:
                return
            asked |= missing
            searches = medications(sorted(missing))
            stage = await pull_stage(self._client, searches, self._patient_id, self._deadline)
            for pulled in stage.values():
                self._found += pulled.found
                self._issues += (*pulled.issues, *_unread_medications(pulled))


def _leads_on(first: Chart, relevant: Callable[[Chart], bool]) -> bool:
    """Whether the second stage is read: what the first one lacks may be what asks for it."""
    whole = all(isinstance(read, Complete) for read in first.reads.values())
    return not whole or len(first.entries) > LARGE_CHART or relevant(first)


def _start(search: Search, patient_id: str) -> Start:
    return Start(
        resource_type=search.resource_type,
        url=search.url(patient_id),
        filter_name=search.filter_name,
        simpler_url=search.simpler_url(patient_id),
        needed=search.needed,
    )


async def _run(client: FhirClient, starts: Sequence[Start], deadline: float) -> Stage:
    """Read all searches, some at a time; results in the order of the searches, not of arrival."""
    slots = asyncio.Semaphore(client.limits.searches)

    async def one(start: Start) -> Pulled:
        async with slots:
            return await read_search(client, start, deadline)

    async with asyncio.TaskGroup() as group:
        tasks = [(start.resource_type, group.create_task(one(start))) for start in starts]
    types = dict.fromkeys(type_ for type_, _ in tasks)
    return {
        type_: combine([task.result() for other, task in tasks if other == type_])
        for type_ in types
    }


def _as_sent(page: Page | Unread, no_server: str) -> Pulled:
    """What was sent of a type, as all there is."""
    if isinstance(page, Unread):
        return Pulled(read=Failed(f"{page.reason} {no_server}"))
    reason = "; ".join(page.troubles) or "provided in part"
    return Pulled(page.found, COMPLETE if page.whole else Partial(reason), page.issues)


def _better(sent: Pulled, pulled: Pulled) -> Pulled:
    """What was read, and with it what was sent if not all was read."""
    read = pulled.read
    if isinstance(read, Complete) or not sent.found:
        return pulled
    if not isinstance(read, Partial):
        read = Partial(read.reason)
    return Pulled((*sent.found, *pulled.found), read, (*sent.issues, *pulled.issues))


def _missing_medications(found: Iterable[Found], base: str) -> set[str]:
    """Ids of Medications on this server that are referred to, and not among what was found."""
    resources = tuple(found)
    present = {item.id for item in resources if item.resource_type == "Medication"}
    wanted = (_medication_id(ref, base) for item in resources for ref in item.medications)
    return {id_ for id_ in wanted if id_ is not None} - present


def _medication_id(reference: str, base: str) -> str | None:
    """The id in a reference; None for a contained one, and for one on another server."""
    named = _MEDICATION.fullmatch(reference.removeprefix(f"{base}/"))
    return named[1] if named else None


def _unread_medications(pulled: Pulled) -> tuple[DataIssue, ...]:
    if isinstance(pulled.read, Complete):
        return ()
    message = f"Medications that orders refer to could not be read: {pulled.read.reason}."
    return (DataIssue("medications-unread", "Medication", message),)
