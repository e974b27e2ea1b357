"""How a listed server is reached: by what its name leads to, by its certificate, by no proxy."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.cases.conftest import PATIENT, Running, TimedFhir, free_port, hospitals
from tests.cases.invariants import watched
from tests.cases.test_servers import PATIENT_RESOURCE
from tests.faults.authority import DAY, Authority
from tests.faults.fake_fhir import Canary, Exchange, GoodAnswers, in_thread
from tests.faults.screened import chart_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

NAME = "ehr.example"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
# Certificates that must not be taken, and a server that speaks nothing newer than TLS 1.1.
UNTRUSTED = (
    "expired",
    "not-yet-valid",
    "other-name",
    "self-signed",
    "unknown-authority",
    "old-tls",
)

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")


@dataclass
class Reached:
    """A service whose surroundings want to lead it astray."""

    service: Running
    # Where this machine is reached by a name: an address of it that is none of the loopback's.
    address: str
    # Listens on the loopback, at the port of the server that has the name.
    below: Canary
    proxy: Canary
    names: Path
    # The names that the server with a name was called by in handshakes.
    greeted: list[str | None]

    def leads_to(self, *rounds: list[str]) -> None:
        """Let the name lead to these addresses, one look-up after the other."""
        self.names.write_text(json.dumps({NAME: rounds}), encoding="utf-8")


def own_address() -> str:
    """An address of this machine by which others reach it; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but those of the loopback")
        found: str = probe.getsockname()[0]
    return found


def _certified(folder: Path, hospital: Authority) -> dict[str, ssl.SSLContext]:
    (folder / "another").mkdir()
    old = hospital.server()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return {
        "good": hospital.server(),
        "expired": hospital.server(starts=-2 * DAY, ends=-DAY),
        "not-yet-valid": hospital.server(starts=DAY, ends=2 * DAY),
        "other-name": hospital.server(["other.example", "10.0.0.1"]),
        "self-signed": hospital.server(own_key=True),
        "unknown-authority": Authority(folder / "another", "another").server(),
        "old-tls": old,
    }


@pytest.fixture(scope="module")
def surrounded(tmp_path_factory: pytest.TempPathFactory, today: date) -> Iterator[Reached]:
    """Such a service, with a hospital for each certificate and one whose server has a name."""
    folder, address, port = tmp_path_factory.mktemp("reaching"), own_address(), free_port()
    hospital = Authority(folder, "hospital")
    charts = GoodAnswers(tuple(chart_of(PATIENT, today)))
    servers = {
        name: TimedFhir(charts, tls=tls) for name, tls in _certified(folder, hospital).items()
    }
    greeted: list[str | None] = []
    tls = hospital.server([NAME])
    tls.sni_callback = lambda _socket, name, _context: greeted.append(name)  # type: ignore[assignment,misc]
    servers["named"] = TimedFhir(charts, tls=tls, host=address, port=port)
    servers["named"].known_as = f"https://{NAME}:{port}"
    below, proxy, names = Canary(port), Canary(), folder / "names.json"
    with in_thread(below, proxy):
        misleading = {name: proxy.origin for it in PROXIES for name in (it, it.lower())}
        settings = {
            "CDS_CA_FILE": str(hospital.file), "WATCHED_NAMES": str(names),
            "NO_PROXY": "", "no_proxy": "",
        }  # fmt: skip
        with hospitals(folder, today, servers=servers, **settings, **misleading) as found:
            found.names = frozenset({NAME})
            yield Reached(found, address, below, proxy, names, greeted)


@pytest.fixture
def reached(surrounded: Reached) -> Iterator[Reached]:
    """The same; afterwards its invariants are checked, and that nobody was led astray."""
    astray = surrounded.below, surrounded.proxy
    before = [one.connections for one in astray]
    with watched(surrounded.service):
        surrounded.service.fhir["named"].fails(lambda _: True, _closing)
        surrounded.greeted.clear()
        yield surrounded
    assert before == [one.connections for one in astray]


def seen(service: Running, before: int) -> tuple[int, set[tuple[str, str]], int]:
    """How often the name was looked up, who was called, and how often."""
    lines = service.network()[before:]
    calls = [(host, port) for what, host, port in lines if what == "call"]
    return sum(what == "name" and host == NAME for what, host, _ in lines), {*calls}, len(calls)


async def _closing(exchange: Exchange) -> None:
    """The right answer, after which the next request needs a connection of its own."""
    await exchange.answer(200, await exchange.good(), [("Connection", "close")])
    exchange.writer.close()


@pytest.mark.case("SRV-05")
def test_a_name_that_leads_where_it_should(reached: Reached) -> None:
    """One look-up a connection, which goes to that very address; TLS and HTTP have the name."""
    service, server = reached.service, reached.service.fhir["named"]
    reached.leads_to([reached.address])
    before, asked = len(service.network()), len(server.requests)

    answer = service.post(service.hook("named"), "named")

    assert [] == answer.report["unread"]
    looked_up, called, calls = seen(service, before)
    assert {(reached.address, str(server.port))} == called
    assert looked_up == calls == len(reached.greeted) == len(server.requests) - asked > 8
    assert {NAME} == {*reached.greeted}
    assert {f"{NAME}:{server.port}"} == {it.headers["host"] for it in server.requests}


@pytest.mark.case("SRV-05")
@pytest.mark.parametrize(
    "then",
    [
        ["127.0.0.1"],
        ["::1"],
        ["0.0.0.0"],  # noqa: S104
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
        ["own", "127.0.0.1"],
    ],
    ids="+".join,
)
def test_a_name_that_changes_its_mind(reached: Reached, then: list[str]) -> None:
    """From the second look-up on it leads to this machine, which is not called by it."""
    service, server = reached.service, reached.service.fhir["named"]
    then = [reached.address if one == "own" else one for one in then]
    reached.leads_to([reached.address], then)
    before, asked = len(service.network()), len(server.requests)

    first = service.post(service.hook("named"), "named")
    second = service.post(service.hook("named", prefetch={"patient": PATIENT_RESOURCE}), "named")

    looked_up, called, calls = seen(service, before)
    # What the one good look-up led to was read, and nothing else.
    assert 1 == calls == len(server.requests) - asked
    assert {(reached.address, str(server.port))} == called
    assert 2 < looked_up
    assert first.response.status_code in {200, 412}
    assert any("no connection" in line for line in second.report["unread"])
    assert not [one for one in second.report["criteria"] if one["basis"] == "absence"]


@pytest.mark.case("SRV-11")
@pytest.mark.parametrize("hospital", ["alpha", "good", "named"])
def test_proxies_in_the_environment(reached: Reached, hospital: str) -> None:
    """Are not used, over http, over https, or to a name: nobody hears of a chart there."""
    reached.leads_to([reached.address])

    answer = reached.service.post(reached.service.hook(hospital), hospital)

    assert [] == answer.report["unread"]


@pytest.mark.case("SRV-12")
@pytest.mark.parametrize("hospital", UNTRUSTED)
def test_a_server_that_is_not_to_be_trusted(reached: Reached, hospital: str) -> None:
    """A failed read: nothing is sent, not even at a second attempt with less care."""
    service, server = reached.service, reached.service.fhir[hospital]
    named = {"prefetch": {"patient": PATIENT_RESOURCE}}

    alone = service.post(service.hook(hospital), hospital)
    sent = service.post(service.hook(hospital, **named), hospital)

    reason = "no connection" if hospital == "old-tls" else "the certificate is not trusted"
    assert 412 == alone.response.status_code
    assert any(reason in line for line in sent.report["unread"])
    assert not [one for one in sent.report["criteria"] if one["basis"] == "absence"]
    assert [] == server.requests
