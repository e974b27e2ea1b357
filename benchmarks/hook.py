"""The hook with a complete prefetch, beside endpoints that do nothing with the same body."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from benchmarks.charts import NOT_RELEVANT, RELEVANT, hook_bytes, prefetched
from benchmarks.client import Load, load, once, request_bytes
from benchmarks.servers import nothing, service
from benchmarks.table import Table
from cds_service.fhir.queries import SearchPlan, plan
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.trial.load import load_trial

SIZE = 276
MANY = 16
PATH = "/cds-services/net-retreat-eligibility"
_PATIENTS = (("relevant", RELEVANT), ("not relevant", NOT_RELEVANT))
_NOTHING = ("/unparsed", "/msgspec", "/orjson")


@dataclass(frozen=True)
class Endpoint:
    """One address and what is sent there."""

    name: str
    url: str
    request: bytes


def search_plan() -> SearchPlan:
    """What the service asks for."""
    codes = CodeBook(load_tables())
    return plan(load_trial(None, codes), codes)


async def measure(rounds: int, seconds: float) -> list[Table]:
    """Load every endpoint in turn, with one connection and with many."""
    bodies = _bodies()
    with ExitStack() as stack:
        hook = stack.enter_context(service()) + PATH
        plain = stack.enter_context(nothing())
        tuned = stack.enter_context(nothing("tuned"))
        tables = []
        for name, body in bodies.items():
            endpoints = [Endpoint("the hook", hook, request_bytes(hook, body))]
            for url in (*(plain + path for path in _NOTHING), f"{tuned}/orjson"):
                label = "nothing, " + url.rpartition("/")[2] + (" (tuned)" if tuned in url else "")
                endpoints.append(Endpoint(label, url, request_bytes(url, body)))
            await _check(endpoints[0], shown=name == "relevant")
            tables.append(_table(name, body, await _loads(endpoints, rounds, seconds)))
    return tables


def _bodies() -> dict[str, bytes]:
    today = datetime.now().astimezone().date()
    asked = search_plan()
    return {
        name: hook_bytes(prefetched(SIZE, patient, today), asked) for name, patient in _PATIENTS
    }


async def _check(hook: Endpoint, *, shown: bool) -> None:
    cards = json.loads(await once(hook.url, hook.request))["cards"]
    assert bool(cards) == shown, "the hook does not answer as the benchmark expects"


async def _loads(
    endpoints: list[Endpoint], rounds: int, seconds: float
) -> dict[str, tuple[list[Load], list[Load]]]:
    found: dict[str, tuple[list[Load], list[Load]]] = defaultdict(lambda: ([], []))
    for _ in range(rounds):
        for one in endpoints:
            alone, many = found[one.name]
            alone.append(await load(one.url, one.request, 1, seconds))
            many.append(await load(one.url, one.request, MANY, seconds))
    return found


def _table(name: str, body: bytes, loads: dict[str, tuple[list[Load], list[Load]]]) -> Table:
    found = Table(
        f"The hook, {name} patient, {SIZE} resources prefetched ({len(body) / 1000:.0f} kB)",
        ("endpoint", "requests/s", "p50 ms", "p95 ms", f"requests/s, {MANY} connections"),
    )
    medians = {label: _medians(*runs) for label, runs in loads.items()}
    for label, row in medians.items():
        found.add(label, *row)
    hook = medians["the hook"][1]
    for label, row in medians.items():
        if label != "the hook":
            found.note(f"the hook's p50 is {hook / row[1]:.2f} x that of {label}")
    goal = "1.2 x msgspec" if name == "not relevant" else "1.5 x orjson"
    found.note(f"goal: at most {goal}")
    return found


def _medians(alone: list[Load], many: list[Load]) -> tuple[float, float, float, float]:
    return (
        median(run.per_second for run in alone),
        median(run.p50_ms for run in alone),
        median(run.p95_ms for run in alone),
        median(run.per_second for run in many),
    )
