"""A worker that writes hooks: run as a program with a database URL, its name, and how many."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from cds_service.store.store import Store
from tests.store.entries import hook


async def _main(url: str, name: str, number: int) -> None:
    store = Store(url, now=lambda: datetime.now(UTC), patience_s=20)
    await store.start()
    for start in range(0, number, 10):
        together = range(start, start + 10)
        await asyncio.gather(*(store.write_hook(hook(card=f"{name}-{n}")) for n in together))
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
