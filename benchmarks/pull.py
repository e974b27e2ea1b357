"""The hook with a pull from a FHIR server, beside the slowest single search of each stage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import ExitStack
from statistics import median

import httpx2

from benchmarks.charts import NOT_RELEVANT, RELEVANT, pull_hook_bytes
from benchmarks.client import once, request_bytes
from benchmarks.hook import PATH, search_plan
from benchmarks.servers import demo_fhir, service
from benchmarks.table import Table
from cds_service.fhir.queries import Search

_REPEAT = 10
# As the service asks: a stored answer may be a stale one.
_HEADERS = {"Accept": "application/fhir+json", "Cache-Control": "no-cache"}


async def measure(rounds: int, fhir: str | None) -> Table:
    """Call the hook with nothing prefetched; the FHIR server holds the demo patients."""
    with ExitStack() as stack:
        base = (fhir or stack.enter_context(demo_fhir())).rstrip("/")
        hook = stack.enter_context(service(base)) + PATH
        what = base if fhir else "the demo's own FHIR server, in a process of its own (not HAPI)"
        found = Table(f"The hook with a pull from {what} (ms)", ("what", "p50", "p95"))
        for name, patient in (("relevant", RELEVANT), ("not relevant", NOT_RELEVANT)):
            request = request_bytes(hook, pull_hook_bytes(patient, base))
            shown = await _check(hook, request)
            assert shown == (name == "relevant"), f"{base} does not hold the demo patients"
            found.add(f"hook, {name} patient", *_summary(await _hooks(hook, request, rounds)))
        asked = search_plan()
        for name, searches in (("first", asked.relevance), ("second", asked.rest)):
            label, times = await _slowest(base, searches, rounds)
            found.add(f"slowest search of the {name} stage, alone ({label})", *_summary(times))
    found.note("the stages follow one another: the hook of a relevant patient waits for both")
    found.note("goal: at most 1.3 x the slowest search of the relevant stage, and the evaluation")
    return found


async def _check(hook: str, request: bytes) -> bool:
    cards = json.loads(await once(hook, request))["cards"]
    assert not cards or "incomplete" not in cards[0]["summary"], cards[0]["summary"]
    return bool(cards)


async def _hooks(hook: str, request: bytes, rounds: int) -> list[float]:
    times = []
    for _ in range(rounds * _REPEAT):
        started = time.perf_counter()
        await once(hook, request)
        times.append(time.perf_counter() - started)
    return times


async def _slowest(base: str, searches: Iterable[Search], rounds: int) -> tuple[str, list[float]]:
    """The search that takes longest, each sent alone, and its times."""
    found: list[tuple[str, list[float]]] = []
    async with httpx2.AsyncClient(trust_env=False, timeout=30, headers=_HEADERS) as client:
        for search in searches:
            url = f"{base}/{search.url(RELEVANT)}"
            if not (await client.get(url)).is_success:
                # The service does without a search that the server does not offer.
                assert not search.needed, url
                continue
            found.append((search.resource_type, await _times(client, url, rounds)))
    return max(found, key=lambda item: median(item[1]))


async def _times(client: httpx2.AsyncClient, url: str, rounds: int) -> list[float]:
    times = []
    for _ in range(rounds * _REPEAT):
        started = time.perf_counter()
        answer = await client.get(url)
        times.append(time.perf_counter() - started)
        assert answer.is_success, answer.text[:200]
    return times


def _summary(times: list[float]) -> tuple[float, float]:
    ordered = sorted(times)
    return median(times) * 1000, ordered[int(len(ordered) * 0.95)] * 1000
