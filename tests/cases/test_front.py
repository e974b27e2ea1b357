"""Slow clients, by the hundred, at the front proxy that is shipped, with the service behind it."""

from __future__ import annotations

import json
import select
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.cases.conftest import SERVICE, Answered
from tests.cases.others import another
from tests.cases.sent import chart, prefetch
from tests.deploy.conftest import NAME, nginx, proxied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from tests.cases.conftest import Running
    from tests.deploy.conftest import Proxy

# Of each kind, from so many addresses: the proxy's limits are for each of them.
SLOW, ADDRESSES = 250, 5
HEAD_S, BODY_S = 10, 5
# A machine that does other work closes late.
LATE_S = 3
HOOKS = 10


@dataclass
class Slow:
    """Connections that are kept waiting, and when each began to wait and was closed."""

    heads: dict[ssl.SSLSocket, float] = field(default_factory=dict)
    bodies: dict[ssl.SSLSocket, float] = field(default_factory=dict)
    closed: dict[ssl.SSLSocket, float] = field(default_factory=dict)

    def waited(self, kind: dict[ssl.SSLSocket, float]) -> list[float]:
        """For how long each of a kind was kept; only those that were closed."""
        return [self.closed[one] - began for one, began in kind.items() if one in self.closed]


@pytest.mark.case("LOD-03")
def test_five_hundred_slow_sockets(tmp_path: Path, today: date) -> None:
    """Heads and bodies that never end are closed at the proxy's limits, and slow nobody else.

    The service behind it does not even hear of them.
    """
    (tmp_path / "nginx").mkdir()
    program = nginx()
    with another(tmp_path, today, CDS_PUBLIC_URL=f"https://{NAME}") as service:
        for tenant in service.tenants.values():
            tenant.public_url = f"https://{NAME}"
        port = int(service.url.rpartition(":")[2])
        with (
            proxied(program, tmp_path / "nginx", port) as proxy,
            _client(proxy) as client,
        ):
            _hook(service, client)
            handles, heard = service.handles(), _heard(service)
            with _slow(proxy) as slow:
                answers = [_hook(service, client) for _ in range(HOOKS)]
                open_then = len(slow.heads) + len(slow.bodies) - len(slow.closed)
                handles_then = service.handles()
                give_up = time.monotonic() + HEAD_S + LATE_S
                while len(slow.closed) < 2 * SLOW and time.monotonic() < give_up:
                    time.sleep(0.1)
            after = _hook(service, client)
            heard = _heard(service) - heard

    assert [200] * (HOOKS + 1) == [one.response.status_code for one in (*answers, after)]
    assert 2 * SLOW == open_then, "the hooks were sent while all of these were open"
    assert handles_then <= handles + 4
    assert HOOKS + 1 == heard
    bodies, heads = slow.waited(slow.bodies), slow.waited(slow.heads)
    assert [SLOW, SLOW] == [len(bodies), len(heads)]
    assert BODY_S - 1 < min(bodies) <= max(bodies) < BODY_S + LATE_S
    assert HEAD_S - 1 < min(heads) <= max(heads) < HEAD_S + LATE_S


@contextmanager
def _client(proxy: Proxy) -> Iterator[httpx2.Client]:
    """A client of an EHR, which knows the service by its name at the proxy."""
    trusted = ssl.create_default_context(cafile=str(proxy.certificate))
    url = f"https://127.0.0.1:{proxy.port}"
    with httpx2.Client(base_url=url, verify=trusted, trust_env=False, timeout=30) as client:
        yield client


def _hook(service: Running, client: httpx2.Client) -> Answered:
    """A hook that goes through the proxy, with a token that is good."""
    members: dict[str, Any] = {"fhirServer": None, "fhirAuthorization": None}
    body = json.dumps(service.hook(prefetch=prefetch(chart()), **members)).encode()
    headers = {
        "content-type": "application/json",
        "authorization": service.tenants["alpha"].bearer(),
        "host": NAME,
    }
    waited, began = service.waited_s(), time.monotonic()
    response = client.post(
        SERVICE, content=body, headers=headers, extensions={"sni_hostname": NAME}
    )
    ended, after = time.monotonic(), service.waited_s()
    unknown = waited is None or after is None
    answer = Answered(SERVICE, body, response, began, ended, None if unknown else after - waited)
    service.answers.append(answer)
    return answer


def _heard(service: Running) -> int:
    """How many requests the service has heard of that are none of an operator's."""
    return sum(one["event"] in {"hook", "refused"} for one in service.log())


@contextmanager
def _slow(proxy: Proxy) -> Iterator[Slow]:
    """So many connections, each with a head that goes on for ever or a body that stopped."""
    found = Slow()
    head = f"POST {SERVICE} HTTP/1.1\r\nHost: {NAME}\r\n".encode()
    body = head + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    enough = threading.Event()
    keeping = threading.Thread(target=_keep, args=(found, enough), daemon=True)
    for number in range(2 * SLOW):
        connection = proxy.connect(source=f"127.0.0.{2 + number % ADDRESSES}")
        connection.setblocking(False)  # noqa: FBT003
        (found.bodies if number % 2 else found.heads)[connection] = time.monotonic()
    for connection in found.heads:  # whose time counts from when they were let in
        connection.send(head)
    for connection in found.bodies:
        connection.send(body)
        found.bodies[connection] = time.monotonic()
    keeping.start()
    try:
        yield found
    finally:
        enough.set()
        keeping.join()
        for connection in (*found.heads, *found.bodies):
            connection.close()


def _keep(slow: Slow, enough: threading.Event) -> None:
    """Add a line to each head every second, and note when each connection is closed."""
    poll = select.poll()
    known = {one.fileno(): one for one in (*slow.heads, *slow.bodies)}
    for number in known:
        poll.register(number, select.POLLIN)
    due = time.monotonic() + 1
    while not enough.is_set():
        for number, _ in poll.poll(50):
            if _is_closed(known[number]):
                slow.closed[known[number]] = time.monotonic()
                poll.unregister(number)
        if time.monotonic() > due:
            due += 1
            for one in slow.heads:
                if one not in slow.closed:
                    _add_a_line(one)


def _is_closed(connection: ssl.SSLSocket) -> bool:
    """Whether the proxy has ended a connection of which there is something to read."""
    try:
        while connection.recv(65536):
            pass
    except ssl.SSLWantReadError:
        return False
    except OSError:
        pass
    return True


def _add_a_line(connection: ssl.SSLSocket) -> None:
    with suppress(OSError):  # it is closed, as the next poll will tell
        connection.send(b"X-Slow: y\r\n")
