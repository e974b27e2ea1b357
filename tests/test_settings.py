"""Settings: the published names and defaults, and everything that stops the start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from cds_service.errors import ConfigError
from cds_service.settings import Settings, check_address, load_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set does not count."""
    for name in list(os.environ):
        if name.upper().startswith("CDS_"):
            monkeypatch.delenv(name)


class TestDefaults:
    """With nothing configured."""

    def test_published_defaults(self) -> None:
        """Those of the documentation: no FHIR server, and no caller without a token."""
        settings = load_settings()

        assert () == settings.fhir_servers
        assert "required" == settings.auth
        assert "http://127.0.0.1:8000" == settings.public_url
        assert (None, None, None) == (
            settings.site_file,
            settings.jwt_issuers,
            settings.links_protocol_url,
        )
        assert 5 == settings.deadline_seconds
        assert settings.database_url.get_secret_value().startswith("sqlite:///")

    def test_frozen(self) -> None:
        """Nothing changes a setting while the service runs."""
        with pytest.raises(ValidationError, match="frozen"):
            setattr(Settings(), "auth", "none")  # noqa: B010 - a type checker would refuse it


class TestVariables:
    """Read from the environment."""

    def test_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each by its published name."""
        for name, value in {
            "CDS_FHIR_SERVERS": " https://a.example/r4/, http://127.0.0.1:8080/fhir ,",
            "CDS_JWT_ISSUERS": "issuers.yaml",
            "CDS_AUTH": "none",
            "CDS_PUBLIC_URL": "https://cds.example/",
            "CDS_SITE_FILE": "site.yaml",
            "CDS_DATABASE_URL": "postgresql://user:ZZPASS@db/cds",
            "CDS_DEADLINE_SECONDS": "2.5",
            "CDS_LINKS_PROTOCOL_URL": "https://trials.example/ne1?x=1",
            "CDS_CORS_ORIGINS": "https://ehr.example,https://ehr2.example:8443",
            "CDS_MAX_BODY_BYTES": "1048576",
            "CDS_MAX_CONCURRENT_HOOKS": "8",
        }.items():
            monkeypatch.setenv(name, value)

        settings = load_settings()

        assert ("https://a.example/r4", "http://127.0.0.1:8080/fhir") == settings.fhir_servers
        assert "https://cds.example" == settings.public_url
        assert Path("site.yaml") == settings.site_file
        assert 2.5 == settings.deadline_seconds
        assert ("https://ehr.example", "https://ehr2.example:8443") == settings.cors_origins
        assert "ZZPASS" not in repr(settings)

    def test_empty_is_unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As compose files and unit files write it."""
        monkeypatch.setenv("CDS_SITE_FILE", "")

        assert load_settings().site_file is None

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("CDS_FHIR_SERVER", "https://ZZ.example", "CDS_FHIR_SERVER: unknown setting"),
            ("cds_ahth", "ZZ", "cds_ahth: unknown setting"),
            ("CDS_AUTH", "ZZ", "CDS_AUTH: .*'required' or 'none'"),
            ("CDS_DEADLINE_SECONDS", "ZZ", "CDS_DEADLINE_SECONDS: .*number"),
            ("CDS_DEADLINE_SECONDS", "0", "CDS_DEADLINE_SECONDS: .*greater than 0"),
            ("CDS_DEADLINE_SECONDS", "nan", "CDS_DEADLINE_SECONDS: "),
            ("CDS_FHIR_SERVERS", "ftp://ZZ.example", "CDS_FHIR_SERVERS: must be an absolute http"),
            ("CDS_FHIR_SERVERS", "https://ZZ@h/r4", "CDS_FHIR_SERVERS: "),
            ("CDS_FHIR_SERVERS", "https://h/r4?ZZ", "CDS_FHIR_SERVERS: "),
            ("CDS_FHIR_SERVERS", "https://h:ZZ/r4", "CDS_FHIR_SERVERS: "),
            ("CDS_FHIR_SERVERS", "https://[ZZ/r4", "CDS_FHIR_SERVERS: "),
            ("CDS_LINKS_PROTOCOL_URL", "javascript:ZZ", "CDS_LINKS_PROTOCOL_URL: must be"),
            ("CDS_CORS_ORIGINS", "https://ZZ.example/path", "CDS_CORS_ORIGINS: .*no path"),
            ("CDS_MAX_BODY_BYTES", "1", "CDS_MAX_BODY_BYTES: .*1024"),
        ],
    )
    def test_wrong(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
    ) -> None:
        """Stops the start with the name of the variable, and never shows its value."""
        monkeypatch.setenv(name, value)

        with pytest.raises(ConfigError, match=message) as found:
            load_settings()

        assert "\n" not in str(found.value)
        assert "ZZ" not in str(found.value)

    def test_all_errors_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that an operator need not start it once for each."""
        monkeypatch.setenv("CDS_AUTH", "x")
        monkeypatch.setenv("CDS_SITE", "x")

        with pytest.raises(ConfigError, match=r"CDS_SITE: unknown setting; CDS_AUTH: "):
            load_settings()


class TestAddress:
    """Where the service may listen."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_this_machine(self, host: str) -> None:
        """Nobody else can call."""
        check_address(Settings(auth="none"), host)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "cds.example.org", ""])  # noqa: S104
    def test_the_network(self, host: str) -> None:
        """Refused without authentication, in one line that says what to do."""
        with pytest.raises(ConfigError, match=r"CDS_AUTH=none is for this machine only"):
            check_address(Settings(auth="none"), host)

    def test_the_network_with_authentication(self) -> None:
        """Is what authentication is for."""
        check_address(Settings(auth="required"), "10.0.0.1")
