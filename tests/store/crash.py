"""Writers that are killed: starts one after another, ends each with SIGKILL at a random moment.

Run as a program with a database URL, a number of rounds and a seed. It prints what the writers saw
acknowledged, a line for each: ``hook CARD`` or ``feedback CARD``.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime

import psycopg  # noqa: F401  (imported here once, and not by every writer)

from cds_service.store.store import Store
from tests.store.entries import CALLER, SERVICE, feedback, hook

_SIDE_BY_SIDE = 4


def _now() -> datetime:
    return datetime.now(UTC)


async def _write(store: Store, name: str, acknowledged: int) -> None:
    number = 0
    while True:
        number += 1
        first, second = f"{name}-{number}a", f"{name}-{number}b"
        for card in (first, second):
            await store.write_hook(hook(card=card, hook_instance=card))
            os.write(acknowledged, f"hook {card}\n".encode())
        both = [
            feedback(card=card, outcome_timestamp=_now(), comment=f"on {card}")
            for card in (first, second)
        ]
        await store.write_feedback(CALLER, SERVICE, both)
        os.write(acknowledged, f"feedback {first}\n".encode())


async def _writer(url: str, name: str, acknowledged: int) -> None:
    store = Store(url, now=_now, patience_s=20)
    await store.start()
    await asyncio.gather(
        *(_write(store, f"{name}-{side}", acknowledged) for side in range(_SIDE_BY_SIDE))
    )


def _round(url: str, name: str, life_s: float, *, early: bool) -> bytes:
    """One writer's life; what it saw acknowledged.

    Args:
        url: of the database.
        name: of the writer.
        life_s: how long it lives, from its first acknowledged write on.
        early: count its life from its birth on, so that it may die while it opens the store.
    """
    ours, its = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(ours)
        asyncio.run(_writer(url, name, its))
    os.close(its)
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        first = b"" if early else pipe.read(4096)
        time.sleep(life_s)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            sys.exit("a writer ended before it was killed")
        return first + pipe.readall()


def main() -> None:
    """All rounds; every eighth writer may die early."""
    url, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)  # noqa: S311  (no secret)
    for number in range(rounds):
        heard = _round(url, str(number), chance.uniform(0, 0.05), early=number % 8 == 0)
        sys.stdout.write(heard.decode())
        sys.stdout.flush()


if __name__ == "__main__":
    main()
