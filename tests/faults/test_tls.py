"""Certificates are always checked, and a hospital's own authority can be added."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from cds_service.errors import ConfigError, FhirUnavailable
from cds_service.fhir.http import FhirClients, SecretToken
from tests.faults.authority import DAY, Authority
from tests.faults.fake_fhir import FakeFhir
from tests.faults.fault_book import content

if TYPE_CHECKING:
    from pathlib import Path

GOOD = (None, 1)
NOT_TRUSTED = ("the certificate is not trusted", 0)


@pytest.fixture
def hospital(tmp_path: Path) -> Authority:
    """The hospital's authority."""
    return Authority(tmp_path, "hospital")


async def read(
    tls: ssl.SSLContext, ca_file: Path | None, host: str = "localhost"
) -> tuple[str | None, int]:
    """Why a server with a certificate could not be read, None if it was; and what it was sent."""
    reason = None
    async with FakeFhir(tls=tls) as server, FhirClients(ca_file=ca_file) as clients:
        server.fails(lambda _: True, content(b"{}"))
        client = clients.client(f"https://{host}:{server.port}/fhir", SecretToken("ZZTOK"))
        try:
            assert b"{}" == await client.get_json("Patient/1")
        except FhirUnavailable as error:
            reason = str(error)
        return reason, len(server.requests)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_the_hospitals_authority_can_be_added(hospital: Authority, host: str) -> None:
    """By name, and by address; the server is told which name was asked for."""
    names: list[str | None] = []
    tls = hospital.server()
    tls.sni_callback = lambda _socket, name, _context: names.append(name)  # type: ignore[assignment,misc]

    assert GOOD == await read(tls, hospital.file, host)
    assert host == "127.0.0.1" or names == ["localhost"]


async def test_without_it_the_certificate_is_not_trusted(hospital: Authority) -> None:
    """Nor is anything sent."""
    assert NOT_TRUSTED == await read(hospital.server(), None)


async def test_another_authority_does_not_help(hospital: Authority, tmp_path: Path) -> None:
    """Only the one that signed it."""
    assert NOT_TRUSTED == await read(hospital.server(), Authority(tmp_path, "another").file)


async def test_an_expired_certificate(hospital: Authority) -> None:
    """However well it is signed."""
    assert NOT_TRUSTED == await read(hospital.server(starts=-2 * DAY, ends=-DAY), hospital.file)


async def test_a_certificate_that_is_not_valid_yet(hospital: Authority) -> None:
    """Likewise."""
    assert NOT_TRUSTED == await read(hospital.server(starts=DAY, ends=2 * DAY), hospital.file)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_for_another_name(hospital: Authority, host: str) -> None:
    """Also where the URL has an address."""
    assert NOT_TRUSTED == await read(
        hospital.server(["other.example", "10.0.0.1"]), hospital.file, host
    )


async def test_a_certificate_signed_by_itself(hospital: Authority) -> None:
    """Is trusted by nobody."""
    assert NOT_TRUSTED == await read(hospital.server(own_key=True), hospital.file)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_a_server_that_speaks_old_tls_only(hospital: Authority) -> None:
    """Below 1.2 there is no connection."""
    tls = hospital.server()
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    assert ("no connection", 0) == await read(tls, hospital.file)


async def test_tls_1_2_is_enough(hospital: Authority) -> None:
    """Many servers in hospitals have no more."""
    tls = hospital.server()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    assert GOOD == await read(tls, hospital.file)


async def test_the_environment_adds_no_authority(
    hospital: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom to trust is the operator's to configure."""
    monkeypatch.setenv("SSL_CERT_FILE", str(hospital.file))
    assert NOT_TRUSTED == await read(hospital.server(), None)


@pytest.mark.parametrize("content_", [b"", b"no certificate\n", None])
def test_a_file_without_certificates_stops_the_start(
    tmp_path: Path, content_: bytes | None
) -> None:
    """One clear line, and no chart is read with less trust than was meant."""
    file = tmp_path / "ca.pem"
    if content_ is not None:
        file.write_bytes(content_)
    reason = "No such file or directory" if content_ is None else "no certificates in it"
    with pytest.raises(ConfigError, match=rf"ca\.pem: cannot be used \({reason}\)$"):
        FhirClients(ca_file=file)
