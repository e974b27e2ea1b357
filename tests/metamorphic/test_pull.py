"""The same chart from a server, over HTTP: in pages of any size, and where a search goes wrong."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import pytest
import uvicorn
from starlette.responses import JSONResponse

from cds_service.demo.fhir_server import fhir_app
from cds_service.fhir.chart import CHART_TYPES
from cds_service.fhir.http import FhirClients
from cds_service.fhir.pull import read_chart
from cds_service.report import report_builtins
from tests import charts
from tests.charts import TODAY, Json
from tests.metamorphic.support import (
    Resources,
    decided,
    differences,
    pool,
    report_of,
    search_plan,
    statuses,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (1, 2, 7, 50, 200)
START_SECONDS = 30


def own_chart(name: str) -> Resources:
    """A chart of the pool whose ids are not those of another chart."""
    chart = pool()[name]
    patient = chart[0]["id"]
    text = json.dumps(chart).replace(f"Patient/{patient}", f"Patient/{_id(name)}")
    resources: Resources = json.loads(text)
    resources[0]["id"] = _id(name)
    if patient == "anna":
        for one in resources[1:]:
            one["id"] = f"{_id(name)}-{one['id']}"
    return resources


def _id(name: str) -> str:
    return name.replace(" ", "-")


class Ehr:
    """A FHIR server with every chart of the pool, whose first path segment says how it behaves.

    ``size-7`` gives pages of at most 7 entries, ``refuse-Condition`` answers searches of that type
    with 403, ``cut-Condition`` gives pages of one and fails from the second on.
    """

    def __init__(self) -> None:
        self._app = fhir_app([one for name in pool() for one in own_chart(name)])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the first segment of the path says."""
        _, how, rest = scope["path"].split("/", 2)
        what, _, value = how.partition("-")
        query = dict(parse_qsl(scope["query_string"].decode()))
        kind = rest.partition("/")[0]
        size = value if what == "size" else "1" if what == "cut" else None
        wrong = kind == value and (what == "refuse" or (what == "cut" and "_offset" in query))
        if wrong:
            outcome = {"resourceType": "OperationOutcome", "issue": []}
            await JSONResponse(outcome, 403 if what == "refuse" else 404)(scope, receive, send)
            return
        pairs = parse_qsl(scope["query_string"].decode())
        if size is not None:
            pairs = [(name, size if name == "_count" else held) for name, held in pairs]
        changed = {"query_string": urlencode(pairs).encode(), "root_path": f"/{how}"}
        await self._app(scope | changed, receive, send)


@pytest.fixture(scope="module")
def ehr() -> Iterator[str]:
    """The server's address."""
    config = uvicorn.Config(Ehr(), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    give_up = time.monotonic() + START_SECONDS
    while not server.started and time.monotonic() < give_up:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(START_SECONDS)


def pulled(base: str, patients: list[str]) -> dict[str, Json]:
    """The reports on charts that are read from a server."""

    async def read(clients: FhirClients, name: str) -> Json:
        opened = charts.screener().opened(TODAY)
        deadline = asyncio.get_running_loop().time() + 120
        chart = await read_chart(
            clients.client(base), search_plan(), _id(name), deadline, opened.relevant
        )
        return report_builtins(opened.report(chart))

    async def read_all() -> dict[str, Json]:
        async with FhirClients() as clients:
            return {name: await read(clients, name) for name in patients}

    return asyncio.run(read_all())


@pytest.mark.parametrize("size", SIZES)
def test_pages_of_any_size_give_the_report_of_the_file(ehr: str, size: int) -> None:
    """Field for field, but for the order of reading, and what only a file can hold of others."""
    names = sorted(pool())
    # The smallest pages cost a request for each resource.
    chosen = names[:: 3 if size < 50 else 1]

    for name, report in pulled(f"{ehr}/size-{size}", chosen).items():
        assert [] == differences(_in_order(report_of(own_chart(name))), _in_order(report)), name


def _in_order(report: Json) -> Json:
    """A report with the lists sorted whose order is that of reading."""
    criteria = [
        one | {"evidence": sorted(one["evidence"], key=json.dumps)} for one in report["criteria"]
    ]
    # A search by patient does not even bring what belongs to another.
    own = [one for one in report["dataIssues"] if one["code"] != "other-patient"]
    issues = sorted(own, key=json.dumps)
    return report | {"criteria": criteria, "dataIssues": issues}


@pytest.mark.parametrize("how", ["refuse", "cut"])
@pytest.mark.parametrize("kind", CHART_TYPES)
def test_a_search_that_goes_wrong_makes_nothing_met(ehr: str, kind: str, how: str) -> None:
    """Refused, or broken off after the first page."""
    names = ["everything-met", "series", "drugs", "messy", "brain-metastases"]

    for name, less in pulled(f"{ehr}/{how}-{kind}", names).items():
        whole = report_of(own_chart(name))
        before = statuses(whole)
        for now in less["criteria"]:
            if now["status"] in {"met", "not_applicable"}:
                assert before[now["id"]] in {"met", "not_applicable"}, (name, now["id"])
        if not less["unread"]:
            assert [] == differences(decided(whole), decided(less))
            assert how == "cut"
