"""Reads from a server that sends too much, and prints what that cost: run as a process of its own.

``python -m tests.faults.bombed BASE_URL PATIENT``: one line with the megabytes that the highest
resident memory grew beyond that of reads without faults, and the reason why a type is unread.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from cds_service.fhir.http import FhirClients
from cds_service.fhir.paging import Start, read_search
from cds_service.knowledge import load_knowledge


def _peak() -> float:
    # Not getrusage: that begins with the peak of the process that started this one.
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def _main(base: str, patient: str) -> None:
    known = load_knowledge(None)
    assert known.searches.rest
    loop = asyncio.get_running_loop()
    async with FhirClients() as clients:
        client = clients.client(base)
        for type_ in ("Condition", "Procedure"):
            await read_search(client, Start(type_, f"{type_}?patient={patient}"), loop.time() + 5)
        before = _peak()
        starts = [Start("Observation", f"Observation?patient={patient}&n={n}") for n in range(8)]
        pulled = await asyncio.gather(
            *(read_search(client, start, loop.time() + 30) for start in starts)
        )
    reasons = sorted({getattr(one.read, "reason", "complete") for one in pulled})
    print(f"{_peak() - before:.0f} {'; '.join(reasons)}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
