"""The shipped front proxy, a real nginx: what it stops, and what it lets through."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.deploy.conftest import NAME, read_all

if TYPE_CHECKING:
    from tests.deploy.conftest import Proxy

HOOK = "/cds-services/net-retreat-eligibility"
SLOW = "127.0.0.2"  # an address of its own: limits are for each
SOCKETS = 100


def request(
    method: str = "POST", path: str = HOOK, *headers: str, body: bytes = b"{}", close: bool = True
) -> bytes:
    """A request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {NAME}", f"Content-Length: {len(body)}"]
    lines += [*headers, *(["Connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _head(*lines: str) -> bytes:
    """The head of a hook, with nothing behind it."""
    return "\r\n".join([f"POST {HOOK} HTTP/1.1", f"Host: {NAME}", *lines, "", ""]).encode()


def outcome(said: bytes) -> str:
    """The code of the OperationOutcome in an answer."""
    content = json.loads(said.partition(b"\r\n\r\n")[2])
    assert "OperationOutcome" == content["resourceType"]
    code: str = content["issue"][0]["code"]
    return code


def _status_and_outcome(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], outcome(answer[1])


class TestGoodRequests:
    """Go through."""

    def test_a_hook(self, proxy: Proxy) -> None:
        """With its body, and the headers that the service reads."""
        status, said = proxy.ask(
            request(
                "POST",
                HOOK,
                "Authorization: Bearer x",
                "Content-Type: application/json",
                "Content-Encoding: gzip",
                "Origin: https://ehr.example",
                "X-Request-ID: 0F8FAD5B-D9CB-469F-A165-70867728950E",
                "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                body=b'{"hook": 1}',
            )
        )

        assert 200 == status
        assert b"strict-transport-security" in said.lower()
        method, path, headers, body = proxy.requests[-1]
        assert ("POST", HOOK, b'{"hook": 1}') == (method, path, body)
        assert {
            "Host": NAME,
            "Authorization": "Bearer x",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Content-Length": "11",
            "Origin": "https://ehr.example",
            "X-Request-ID": "0F8FAD5B-D9CB-469F-A165-70867728950E",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        } == headers

    def test_no_other_header(self, proxy: Proxy) -> None:
        """What the service does not read does not reach it, forwarding headers least of all."""
        proxy.ask(
            request(
                "GET",
                "/cds-services",
                "X-Forwarded-For: 1.2.3.4",
                "X-Forwarded-Host: evil.example",
                "Forwarded: for=1.2.3.4",
                "Cookie: a=b",
                "X-Anything: ZZ",
                "X-Request-ID: 4711",
                body=b"",
            )
        )

        headers = proxy.requests[-1][2]
        assert {"Host", "Content-Length", "X-Request-ID"} == set(headers)
        assert 32 == len(headers["X-Request-ID"])

    def test_a_large_hook(self, proxy: Proxy) -> None:
        """A chart of several megabytes."""
        body = b"x" * (5 * 1024 * 1024)

        assert 200 == proxy.ask(request(body=body))[0]
        assert body == proxy.requests[-1][3]


class TestRefused:
    """Never reach the service; answered in the form of its own errors."""

    @pytest.mark.parametrize(
        ("asked", "status", "code"),
        [
            (request("TRACE", "/cds-services", body=b""), 405, "not-supported"),
            (request("PUT", HOOK), 405, "not-supported"),
            (request("CONNECT", HOOK), 405, "not-supported"),
            (request("GET", "/metrics", body=b""), 404, "not-found"),
            (request("GET", "/docs", body=b""), 404, "not-found"),
            (request("GET", "/cds-services/../metrics", body=b""), 404, "not-found"),
            (request("GET", "/cds-services/%2e%2e/metrics", body=b""), 404, "not-found"),
            (request("POST", HOOK, "X-Large: " + "x" * 20_000), 431, "too-long"),
            (request("POST", HOOK, *[f"X-{n}: {'x' * 8000}" for n in range(10)]), 431, "too-long"),
            (request("GET", "/cds-services?" + "x" * 20_000, body=b""), 431, "too-long"),
            (
                _head("Content-Length: 30000000"),
                413,
                "too-long",
            ),
            (f"POST {HOOK} HTTP/1.1\r\nHost: {NAME}\r\nHost: x\r\n\r\n".encode(), 400, "invalid"),
            (b"\x16\x03\x01 what is this\r\n\r\n", 400, "invalid"),
        ],
    )
    def test_refused(self, proxy: Proxy, asked: bytes, status: int, code: str) -> None:
        """By method, path, size or form."""
        before = len(proxy.requests)
        found, said = proxy.ask(asked)

        assert (status, code) == (found, outcome(said))
        assert before == len(proxy.requests)

    @pytest.mark.parametrize(
        ("host", "status"), [("", 400), ("Host: other.example\r\nConnection: close\r\n", 421)]
    )
    def test_no_host_or_another(self, proxy: Proxy, host: str, status: int) -> None:
        """After a good handshake, too."""
        before = len(proxy.requests)
        found, said = proxy.ask(f"GET /cds-services HTTP/1.1\r\n{host}\r\n".encode())

        assert status == found
        assert b"nginx/" not in said
        assert before == len(proxy.requests)

    def test_too_large_without_a_length(self, proxy: Proxy) -> None:
        """An endless body in chunks is cut off at the limit."""
        head = (
            f"POST {HOOK} HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        before = len(proxy.requests)

        assert (413, "too-long") == _status_and_outcome(proxy.ask(head + chunk * 40))
        assert before == len(proxy.requests)

    @pytest.mark.parametrize(
        "lengths",
        [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "Content-Length: 4\r\nContent-Length: 5",
            "Transfer-Encoding: identity\r\nContent-Length: 4",
            "Content-Length: +4",
        ],
    )
    def test_two_lengths(self, proxy: Proxy, lengths: str) -> None:
        """A request within a request is not seen by the service."""
        hidden = f"GET /metrics HTTP/1.1\r\nHost: {NAME}\r\n\r\n"
        asked = f"POST {HOOK} HTTP/1.1\r\nHost: {NAME}\r\n{lengths}\r\n\r\n0\r\n\r\n{hidden}"
        before = len(proxy.requests)
        status, said = proxy.ask(asked.encode())

        assert status in (400, 501)
        assert 1 == said.count(b"HTTP/1.1 ")
        assert before == len(proxy.requests)

    def test_no_tls(self, proxy: Proxy) -> None:
        """Plain HTTP on the same port is no way in."""
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
            connection.sendall(request())
            said = read_all(connection)

        assert said.startswith(b"HTTP/1.1 400 ")

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
    def test_old_tls(self, proxy: Proxy) -> None:
        """TLS before 1.2 is refused."""
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            context.wrap_socket(plain, server_hostname=NAME)

    def test_another_name(self, proxy: Proxy) -> None:
        """Gets no handshake."""
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            proxy.connect(name="other.example")


class TestSlowClients:
    """Are let go at the limit, and meanwhile cost nobody else anything."""

    def test_slow(self, proxy: Proxy) -> None:
        """Heads that never end and bodies that stop, many at a time."""
        head = f"POST {HOOK} HTTP/1.1\r\nHost: {NAME}\r\n".encode()
        body = head + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        slow = [proxy.connect(source=SLOW) for _ in range(SOCKETS)]
        stalled = [proxy.connect(source=SLOW) for _ in range(SOCKETS)]
        started = time.monotonic()
        for connection in slow:
            connection.sendall(head)
        for connection in stalled:
            connection.sendall(body)
        feeding = threading.Event()
        feeder = threading.Thread(target=_feed, args=(slow, feeding), daemon=True)
        feeder.start()
        before = len(proxy.requests)

        good = []
        for _ in range(20):
            asked = time.monotonic()
            assert 200 == proxy.ask(request())[0]
            good.append(time.monotonic() - asked)
        closed_bodies = [_closed(connection, started) for connection in stalled]
        closed_heads = [_closed(connection, started) for connection in slow]
        feeding.set()
        feeder.join()

        assert max(good) < 1
        assert 20 == len(proxy.requests) - before
        assert max(closed_bodies) < 5 + 2
        assert max(closed_heads) < 10 + 3
        assert min(closed_heads) > 8

    def test_a_flood_of_open_requests(self, proxy: Proxy) -> None:
        """Beyond the limit of an address 503; another address is served."""
        head = f"POST {HOOK} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1000\r\n\r\n".encode()
        held = [proxy.connect(source=SLOW) for _ in range(205)]
        for connection in held:
            connection.sendall(head)
        time.sleep(0.5)
        status, said = proxy.ask(request(), source=SLOW)
        other, _ = proxy.ask(request())
        for connection in held:
            connection.close()

        assert (503, "transient") == (status, outcome(said))
        assert b"Retry-After: 5" in said
        assert 200 == other

    def test_a_flood_of_requests(self, proxy: Proxy) -> None:
        """Beyond the rate of an address 429 with the time to wait."""
        one = request("GET", "/cds-services", body=b"", close=False)
        last = request("GET", "/cds-services", body=b"")

        def flood(_number: int) -> bytes:
            return proxy.ask(one * 400 + last, source="127.0.0.3")[1]

        with ThreadPoolExecutor(4) as pool:
            said = b"".join(pool.map(flood, range(4)))

        assert said.count(b"HTTP/1.1 200") >= 400
        assert said.count(b"HTTP/1.1 429") >= 100
        assert said.count(b"Retry-After: 1") == said.count(b"HTTP/1.1 429")


def test_log(proxy: Proxy) -> None:
    """JSON lines without path, query or address."""
    proxy.ask(request("GET", "/cds-services?patient=ZZ-4711", body=b""))
    time.sleep(0.2)

    text = proxy.log.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"proxy"} == {line["event"] for line in lines}
    assert "ZZ" not in text
    assert "127.0.0" not in text


def _feed(connections: list[ssl.SSLSocket], enough: threading.Event) -> None:
    """A header line on each connection every second."""
    while not enough.wait(1):
        for connection in connections:
            try:
                connection.sendall(b"X-Slow: y\r\n")
            except (OSError, ssl.SSLError):
                continue


def _closed(connection: ssl.SSLSocket, started: float) -> float:
    """When the proxy closed a connection, in seconds from the start."""
    read_all(connection)
    took = time.monotonic() - started
    connection.close()
    return took
