"""Hooks that come at a steady rate, whatever became of those before: an open loop.

The client costs little beside the service that it measures: bodies and tokens are made beforehand,
connections are kept, and an answer is looked at afterwards.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from bisect import bisect_right
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from tests.cases.conftest import SERVICE, Answered
from tests.cases.invariants import SLACK_UNMEASURED_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.cases.conftest import Running

_SAMPLED_S = 0.02
_INSTANCE = "00000000-0000-0000-0000-000000000000"
# How long a token may be good, and a part of that.
_TOKEN_S = 3000
_LONGEST = 1 << 20
# As the front proxy has it: shorter than the service keeps an idle connection.
_IDLE_S = 20


@dataclass(frozen=True)
class Prepared:
    """A hook as bytes; what is the same in all of them stands in memory once."""

    instance: str
    pieces: tuple[bytes, ...]


def prepared(service: Running, tenant: str, count: int, **members: Any) -> list[Prepared]:
    """So many hooks about one patient, each with an instance and a token of its own."""
    body = json.dumps(service.hook(tenant, hookInstance=_INSTANCE, **members)).encode()
    before, after = body.split(_INSTANCE.encode())
    now = int(time.time())
    found = []
    for _ in range(count):
        instance = str(uuid.uuid4())
        bearer = service.tenants[tenant].bearer(iat=now, exp=now + _TOKEN_S)
        head = (
            f"POST {SERVICE} HTTP/1.1\r\nHost: {urlsplit(service.url).netloc}\r\n"
            f"Content-Type: application/json\r\nAuthorization: {bearer}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        found.append(Prepared(instance, (head.encode(), before, instance.encode(), after)))
    return found


@dataclass
class Waits:
    """How long the service and the test have waited for a processor, time by time."""

    at: list[float] = field(default_factory=list)
    # By process.
    waited: list[dict[int, float]] = field(default_factory=list)

    def sample(self, service: Running) -> None:
        """Note how long it is now."""
        if waited := service.waits_s():
            self.waited.append(waited)
            self.at.append(time.monotonic())

    def between(self, began: float, ended: float) -> float:
        """How long within a time: that of them which waited longest, the client or a worker.

        What is allowed for where nobody knows.
        """
        if not self.at:
            return SLACK_UNMEASURED_S
        before, after = self._until(began), self._until(ended)
        # What a thread has waited is forgotten with the thread.
        return max(max(after[one] - before.get(one, 0), 0) for one in after)

    def _until(self, moment: float) -> dict[int, float]:
        """How long until then, of each process, as a line between two samples has it."""
        place = min(max(bisect_right(self.at, moment), 1), len(self.at) - 1)
        (first, last), (before, after) = self.at[place - 1 :][:2], self.waited[place - 1 :][:2]
        share = min(max((moment - first) / (last - first), 0), 1)
        return {one: before.get(one, 0) * (1 - share) + after[one] * share for one in after}

    def less(self, answers: Sequence[Answered]) -> list[float]:
        """The seconds of answers, without the waits within them."""
        return [max(it.seconds - self.between(it.began, it.ended), 0) for it in answers]


@asynccontextmanager
async def waits(service: Running) -> AsyncIterator[Waits]:
    """The waits within a block."""
    found = Waits()

    async def watch() -> None:
        while True:
            found.sample(service)
            await asyncio.sleep(_SAMPLED_S)

    watching = asyncio.create_task(watch())
    try:
        yield found
    finally:
        watching.cancel()
        found.sample(service)


async def steadily(service: Running, hooks: Sequence[Prepared], pace_s: float) -> list[Answered]:
    """The answers to hooks, one of them due each so many seconds; their time is from then on."""
    client = _Client(service)
    began = time.monotonic() + pace_s

    async def one(hook: Prepared, due: float) -> Answered:
        await asyncio.sleep(max(due - time.monotonic(), 0))
        response, ended = await client.sent(hook)
        # Of what was sent only the instance is looked at afterwards.
        sent = json.dumps({"hookInstance": hook.instance}).encode()
        return Answered(SERVICE, sent, response, due, ended, timed=False)

    try:
        answers = await asyncio.gather(
            *(one(hook, began + n * pace_s) for n, hook in enumerate(hooks))
        )
    finally:
        client.close()
    service.answers += answers
    return answers


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Client:
    """Sends bytes, each request on a connection that is idle or new."""

    def __init__(self, service: Running) -> None:
        parts = urlsplit(service.url)
        self._address = parts.hostname, parts.port
        # Each with the time from which on it was idle.
        self._idle: list[tuple[float, Connection]] = []

    async def sent(self, hook: Prepared) -> tuple[httpx2.Response, float]:
        """The answer, and when it was whole."""
        connection = self._kept() or await asyncio.open_connection(*self._address, limit=_LONGEST)
        reader, writer = connection
        writer.writelines(hook.pieces)
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        headers = httpx2.Headers([tuple(line.split(": ", 1)) for line in lines])
        content = await reader.readexactly(int(headers["content-length"]))
        ended = time.monotonic()
        if headers.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((ended, connection))
        status = int(first.split(" ")[1])
        return httpx2.Response(status, headers=headers, content=content), ended

    def _kept(self) -> Connection | None:
        """A connection that the service has not closed, as it may do with those long idle."""
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < _IDLE_S:
                return connection
            connection[1].close()
        return None

    def close(self) -> None:
        """End the connections."""
        for _, (_, writer) in self._idle:
            writer.close()


def percentile(seconds: Sequence[float], share: float) -> float:
    """The time that so many of a hundred keep to."""
    return sorted(seconds)[max(round(len(seconds) * share / 100) - 1, 0)]


def shown(what: str, seconds: Sequence[float]) -> str:
    """A line about times, for whoever reads what a test prints."""
    found = ", ".join(f"p{share} {percentile(seconds, share):.3f} s" for share in (50, 95, 99, 100))
    return f"{what}: {found}"
