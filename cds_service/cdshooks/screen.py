"""From a hook request to a report: what was sent, what must be read, and the one evaluator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import date

from cds_service.cdshooks.models import HookRequest
from cds_service.fhir.http import FhirClient, FhirClients, SecretToken, allowed_server
from cds_service.fhir.prefetch import read_prefetch
from cds_service.fhir.pull import read_chart
from cds_service.fhir.queries import SearchPlan
from cds_service.report import Report
from cds_service.screening import Screener


class HookScreening:
    """Screens the patients of hooks.

    Args:
        screener: the evaluator of charts.
        plan: what to read of a chart.
        clients: connections to FHIR servers.
        servers: base URLs that may be read from.
        today: the day at the site.
    """

    def __init__(
        self,
        screener: Screener,
        plan: SearchPlan,
        clients: FhirClients,
        servers: Iterable[str],
        today: Callable[[], date],
    ) -> None:
        self._screener = screener
        self._plan = plan
        self._clients = clients
        self._servers = tuple(servers)
        self._today = today

    async def __call__(self, hook: HookRequest, within_s: float) -> Report:
        """The report on the patient of a hook.

        Args:
            hook: the request.
            within_s: the time in which reading stops; what is unread then is unknown.

        Raises:
            HookError: the prefetch or the token cannot belong to this hook.
            PatientUnavailable: the Patient can be had neither way.
        """
        deadline = asyncio.get_running_loop().time() + within_s
        patient_id = hook.context.patient_id
        opened = self._screener.opened(self._today())
        chart = await read_chart(
            self._client(hook),
            self._plan,
            patient_id,
            deadline,
            opened.relevant,
            read_prefetch(hook.prefetch or {}, self._plan, patient_id),
        )
        return opened.report(chart)

    def _client(self, hook: HookRequest) -> FhirClient | None:
        """A client for the hook's server; None where it names none, or one that is not listed.

        A server that is not listed is no error of the chart: what was sent is evaluated, and what
        was not is unread.
        """
        if hook.fhir_server is None:
            return None
        base = allowed_server(hook.fhir_server, self._servers)
        if base is None:
            return None
        lent = hook.fhir_authorization
        return self._clients.client(base, None if lent is None else SecretToken(lent.access_token))
