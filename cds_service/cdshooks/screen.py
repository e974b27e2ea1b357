"""From a hook request to a report: what was sent, what must be read, and the one evaluator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import date

import msgspec

from cds_service.cdshooks.judging import Judging
from cds_service.cdshooks.models import HookRequest
from cds_service.comparison import Comparison
from cds_service.errors import HookError
from cds_service.fhir.http import FhirClient, FhirClients, SecretToken, allowed_server
from cds_service.fhir.prefetch import read_prefetch
from cds_service.fhir.pull import NO_SERVER, UNLISTED_SERVER, read_chart
from cds_service.fhir.queries import SearchPlan
from cds_service.fhir.scopes import read_scopes
from cds_service.fhir.tags import patient_tags
from cds_service.operations.request_ids import outbound_headers
from cds_service.operations.tracing import NO_TRACING, Tracing
from cds_service.record.reads import Complete, Failed, NotPermitted, Partial, Read
from cds_service.report import Report
from cds_service.screening import NotConcerned, Screener
from cds_service.trust.caller import Caller

_FORBIDDEN = 403
# Of all the time, to judge a chart without what takes long, where that did.
_SHARE_TO_SPARE = 0.25


class Screened(msgspec.Struct, frozen=True):
    """What a hook's screening gave.

    Args:
        report: the report.
        reads: by resource type, how the read went: ``complete``, ``partial``, ``failed``,
            ``not-permitted``.
        comparison: how another version of the trial judges the same chart; None where there is
            none.
        why_not: why the trial does not concern the patient; None where it may.
        test_patient: whether the Patient bears a tag of the site's test patients.
    """

    report: Report
    reads: dict[str, str] = {}
    comparison: Comparison | None = None
    why_not: NotConcerned | None = None
    test_patient: bool = False


class HookScreening:
    """Screens the patients of hooks.

    Args:
        screener: the evaluator of charts.
        plan: what to read of a chart.
        clients: connections to FHIR servers.
        today: the day at the site.
        candidate: the evaluator of another version of the trial, with the same tables.
        tracing: makes spans, where they are on.
        test_tags: tags and security labels, as ``system|code``, of patients who are none.
        unlisted: told the caller of a hook that names a server which is not listed.
    """

    def __init__(  # noqa: PLR0913  (the parts that it puts together)
        self,
        screener: Screener,
        plan: SearchPlan,
        clients: FhirClients,
        today: Callable[[], date],
        candidate: Screener | None = None,
        tracing: Tracing = NO_TRACING,
        *,
        test_tags: Collection[str] = (),
        unlisted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._screener = screener
        self._plan = plan
        self._clients = clients
        self._today = today
        self._judge = Judging(screener, candidate)
        self._tracing = tracing
        self._test_tags = frozenset(test_tags)
        self._unlisted = unlisted

    async def __call__(self, hook: HookRequest, caller: Caller, within_s: float) -> Screened:
        """Screen the patient of a hook.

        Args:
            hook: the request.
            caller: who sent it; its servers alone may be read.
            within_s: the time in which reading stops; what is unread then is unknown.

        Raises:
            HookError: the prefetch or the token cannot belong to this hook.
            PatientUnavailable: the Patient can be had neither way.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        patient_id = hook.context.patient_id
        today = self._today()
        opened = self._screener.opened(today)
        with self._tracing.span("read"):
            chart = await read_chart(
                self._client(hook, caller),
                self._plan,
                patient_id,
                deadline,
                opened.relevant,
                read_prefetch(hook.prefetch or {}, self._plan, patient_id, hook.fhir_server),
                no_server=NO_SERVER if hook.fhir_server is None else UNLISTED_SERVER,
            )
        with self._tracing.span("evaluate"):
            left = deadline - loop.time() - within_s * _SHARE_TO_SPARE
            judged = await self._judge(opened, chart, today, left)
        return Screened(
            judged.report,
            {type_: _word(read) for type_, read in judged.reads.items()},
            judged.comparison,
            judged.why_not,
            bool(self._test_tags) and not self._test_tags.isdisjoint(patient_tags(chart)),
        )

    def _client(self, hook: HookRequest, caller: Caller) -> FhirClient | None:
        """A client for the hook's server; None where it names none, or one that is not listed.

        A server that is not listed is no error of the chart: what was sent is evaluated, and what
        was not is unread.
        """
        if hook.fhir_server is None:
            return None
        lent = hook.fhir_authorization
        if lent is not None and caller.client_id not in (None, lent.subject):
            raise HookError(
                "fhirAuthorization is for another client", status=_FORBIDDEN, reason="other-client"
            )
        base = allowed_server(hook.fhir_server, caller.fhir_servers)
        if base is None:
            self._unlisted(caller.name)
            return None
        # So that the server's operator finds its reads by the request, or by the caller's trace.
        known_by = outbound_headers()
        if lent is None:
            return self._clients.client(base, headers=known_by)
        token = SecretToken(lent.access_token)
        return self._clients.client(base, token, read_scopes(lent.scope), known_by)


def _word(read: Read) -> str:
    match read:
        case Complete():
            return "complete"
        case Partial():
            return "partial"
        case Failed():
            return "failed"
        case NotPermitted():
            return "not-permitted"
