"""What the operator configures, from environment variables ``CDS_*``.

One frozen object, built once at the start. A variable that is unknown, unreadable or unsafe stops
the start: a misspelt setting must not leave its default in force unseen.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cds_service.errors import ConfigError

PREFIX = "CDS_"


def _separated(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part for part in (part.strip() for part in value.split(",")) if part)


def _base_url(url: str) -> str:
    """An absolute web address without user, query or fragment, and without a slash at its end."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc or "?" in url or "#" in url or not url.isprintable():
        raise ValueError("must be an absolute http or https URL with no user, query or fragment")
    return url.rstrip("/")


def _web_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        raise ValueError("must be an absolute http or https URL")
    return url


def _origin(origin: str) -> str:
    if origin != "*" and urlsplit(_base_url(origin)).path:
        raise ValueError("must be * or origins such as https://ehr.example.org, with no path")
    return origin.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Origin = Annotated[str, AfterValidator(_origin)]
Listed = BeforeValidator(_separated)


class Settings(BaseSettings):
    """The service's settings.

    Args:
        fhir_servers: base URLs that may be pulled from; a hook that names another gets no pull.
        jwt_issuers: file with the trusted EHR issuers.
        auth: whether a caller must show a token; ``none`` is for this machine only.
        public_url: this service's address as EHRs know it.
        site_file: the site file.
        database_url: the store; may hold a password.
        deadline_seconds: in which a hook is answered, whatever the FHIR server does.
        links_protocol_url: address of the current protocol, shown as a link on the card.
        cors_origins: web origins whose pages may call.
        max_body_bytes: the largest request body; a chart of 1,500 resources has about 2.5 MB.
        max_concurrent_hooks: hooks in work at one time; further ones get 503 with Retry-After.
        max_concurrent_hooks_per_issuer: of one issuer, so that a slow hospital takes no other's.
        max_hooks_per_minute: of one issuer; further ones get 429 with Retry-After.
        auth_discovery: whether discovery asks for a token, too; it tells nothing about a patient.
        hash_key_file: holds the key of the hashes that stand for patients and users in the store.
            Made at the first start where the store is SQLite; several replicas share one.
        mode: ``shadow`` evaluates and audits every hook, and shows no card.
        candidate_trial_file: another version of the trial, evaluated silently beside the one in
            force; how their results differ is in the audit.
        approval_keys: public keys (a JWK set) of those whose signature under criteria and codes is
            taken; with it the service starts with approved files only.
        approval_file: the signed approval.
        ca_file: certificates to trust for FHIR servers and JWKS, besides the usual ones.
        allow_plain_http: whether names outside this machine may be used without TLS.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    fhir_servers: Annotated[tuple[BaseUrl, ...], NoDecode, Listed] = ()
    jwt_issuers: Path | None = None
    auth: Literal["required", "none"] = "required"
    public_url: BaseUrl = "http://127.0.0.1:8000"
    site_file: Path | None = None
    database_url: SecretStr = SecretStr("sqlite:///cds_service.db")
    deadline_seconds: float = Field(default=5, gt=0, le=60, allow_inf_nan=False)
    links_protocol_url: Annotated[str, AfterValidator(_web_url)] | None = None
    # Any origin by default: a browser-based EHR calls from an origin that nobody knows beforehand,
    # and the answer depends on no cookie, so that a foreign page gets no more than any caller
    # would. A site whose EHR calls from its server, or from known origins, names them.
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, Listed] = ("*",)
    max_body_bytes: int = Field(default=20 * 1024 * 1024, ge=1024)
    max_concurrent_hooks: int = Field(default=128, ge=1)
    max_concurrent_hooks_per_issuer: int = Field(default=64, ge=1)
    max_hooks_per_minute: int = Field(default=60_000, ge=1)
    auth_discovery: Literal["required", "none"] = "none"
    hash_key_file: Path | None = None
    mode: Literal["live", "shadow"] = "live"
    candidate_trial_file: Path | None = None
    approval_keys: Path | None = None
    approval_file: Path | None = None
    ca_file: Path | None = None
    allow_plain_http: bool = False


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigError: names every variable that is unknown or wrong, but no value.
    """
    settings, errors = read_settings()
    if settings is None:
        raise ConfigError("; ".join(errors))
    return settings


def read_settings() -> tuple[Settings | None, list[str]]:
    """The settings, or what is wrong with the environment: each variable, and no value."""
    errors = [f"{name}: unknown setting" for name in _unknown_variables()]
    try:
        settings = Settings()
    except ValidationError as error:
        errors += [_described(one["loc"], one["msg"]) for one in error.errors()]
        return None, errors
    return (None if errors else settings), errors


def check_address(settings: Settings, host: str) -> None:
    """Refuse to listen where strangers can call, unless callers must show who they are.

    Raises:
        ConfigError: ``CDS_AUTH=none`` and ``host`` is no loopback address.
    """
    if settings.auth == "none" and not is_loopback(host):
        raise ConfigError(
            f"CDS_AUTH=none is for this machine only: listen on 127.0.0.1, not on {host}"
        )


def _unknown_variables() -> list[str]:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    return sorted(
        name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known
    )


def _described(place: tuple[int | str, ...], message: str) -> str:
    name = f"{PREFIX}{str(place[0]).upper()}" if place else "settings"
    return f"{name}: {message.removeprefix('Value error, ')}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own, without asking any name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
