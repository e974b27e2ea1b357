"""Settings that are each right and together unsafe. Pure: no file and no network is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from cds_service.settings import Settings, is_loopback
from cds_service.trial.load import DEFAULT_TRIAL


def unsafe(settings: Settings) -> list[str]:
    """What must be changed before the service may start, a line for each; empty if it may."""
    return [
        *_callers(settings),
        *_plain_http(settings),
        *_store(settings),
        *_versions(settings),
    ]


def _callers(settings: Settings) -> Iterator[str]:
    if settings.auth == "required":
        if settings.jwt_issuers is None:
            yield "CDS_AUTH=required needs CDS_JWT_ISSUERS, the file of trusted EHRs"
        return
    if settings.jwt_issuers is not None:
        yield "CDS_AUTH=none would ask no caller for a token, although CDS_JWT_ISSUERS is set"
    if settings.auth_discovery == "required":
        yield "CDS_AUTH=none would ask no caller for a token; CDS_AUTH_DISCOVERY=required needs one"
    if not _on_this_machine(settings.public_url):
        yield "CDS_AUTH=none is for this machine only, and CDS_PUBLIC_URL names another"


def _plain_http(settings: Settings) -> Iterator[str]:
    """Where tokens or charts would cross a network that anyone on it can read."""
    if settings.allow_plain_http:
        return
    rule = "must be https; CDS_ALLOW_PLAIN_HTTP=true allows http outside this machine"
    if not _private(settings.public_url):
        yield f"CDS_PUBLIC_URL: {rule}"
    if not all(_private(server) for server in settings.fhir_servers):
        yield f"CDS_FHIR_SERVERS: {rule}"


def _store(settings: Settings) -> Iterator[str]:
    url = settings.database_url.get_secret_value()
    if url.startswith("postgresql") and settings.hash_key_file is None:
        # A key of its own for each replica would give each patient several hashes.
        yield "CDS_DATABASE_URL: with PostgreSQL, CDS_HASH_KEY_FILE must be set, too"


def _versions(settings: Settings) -> Iterator[str]:
    candidate = settings.candidate_trial_file
    if candidate is not None and candidate.resolve() == DEFAULT_TRIAL.resolve():
        yield "CDS_CANDIDATE_TRIAL_FILE: is the trial file in force itself"
    if settings.approval_file is not None and settings.approval_keys is None:
        yield "CDS_APPROVAL_FILE would not be checked without CDS_APPROVAL_KEYS"
    if settings.approval_keys is not None and settings.approval_file is None:
        yield "CDS_APPROVAL_KEYS needs CDS_APPROVAL_FILE, the approval that they sign"


def _private(url: str) -> bool:
    """Whether nobody else can read what goes to an address."""
    return urlsplit(url).scheme == "https" or _on_this_machine(url)


def _on_this_machine(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")
