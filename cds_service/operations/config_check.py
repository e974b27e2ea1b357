"""Reads everything that a start would read, and says all that is wrong with it at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, TypeVar

import msgspec
from sqlalchemy import make_url, select

from cds_service.cards.build import CardBuilder
from cds_service.errors import CdsServiceError, ConfigError
from cds_service.fhir.http import FhirClients
from cds_service.knowledge import Knowledge, approved_knowledge
from cds_service.operations.safety import unsafe
from cds_service.operations.tracing import installed, wanted
from cds_service.settings import Settings, read_settings
from cds_service.store.database import Database
from cds_service.store.hashing import KeyedHash, key_file
from cds_service.store.opening import ask
from cds_service.trial.load import load_trial
from cds_service.trust.issuers import load_issuers
from cds_service.trust.records import Issuer

T = TypeVar("T")

_PATIENCE_S = 5.0
_SQLITE: Final = b"SQLite format 3\0"


class Checked(msgspec.Struct):
    """What a check found.

    Args:
        errors: a line for each; with any of them, the service does not start.
        summary: what a start would use, with no secret; as far as it could be read.
    """

    errors: list[str]
    summary: list[tuple[str, str]]


def check_configuration(*, reach_store: bool) -> Checked:
    """Check what the environment configures.

    Args:
        reach_store: whether to connect to the store as well, or see that an SQLite file can be made
            where there is none yet. Nothing is left there.
    """
    settings, errors = read_settings()
    if settings is None:
        return Checked(errors, [])
    check = _Check(settings)
    check.all(reach_store=reach_store)
    return check.found


class _Check:
    """One check; an error of one part leaves the others to be looked at."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.found = Checked(unsafe(settings), [])

    def all(self, *, reach_store: bool) -> None:
        settings = self._settings
        knowledge = self._tried(lambda: approved_knowledge(settings))
        if knowledge is not None:
            self._knowledge(knowledge)
        self._callers()
        self._store(reach_store=reach_store)
        self._tried(lambda: FhirClients(ca_file=settings.ca_file))
        self._say("deadline", f"{settings.deadline_seconds:g} s")
        self._say("mode", settings.mode)
        if wanted():
            self._say("traces", "on" if installed() else "asked for, and not installed")

    def _knowledge(self, knowledge: Knowledge) -> None:
        settings, trial = self._settings, knowledge.trial
        self._say("trial", f"{trial.id} {trial.version} {trial.digest}")
        self._say("mappings", f"{knowledge.codes.version} {knowledge.codes.digest}")
        self._say("site", f"{settings.site_file or 'defaults'}, days of {knowledge.site.zone}")
        self._say("approval", "none asked for" if settings.approval_keys is None else "valid")
        self._tried(
            lambda: CardBuilder(trial, knowledge.site, protocol_url=settings.links_protocol_url)
        )
        other = settings.candidate_trial_file
        if other is None:
            return
        candidate = self._tried(lambda: load_trial(other, knowledge.codes))
        if candidate is not None:
            self._say("candidate", f"{candidate.version} {candidate.digest}")
            if candidate.digest == trial.digest:
                self._wrong("CDS_CANDIDATE_TRIAL_FILE: holds the trial file in force")

    def _callers(self) -> None:
        settings = self._settings
        self._say("authentication", settings.auth)
        self._say("public URL", settings.public_url)
        path = settings.jwt_issuers
        if path is None:
            self._say("FHIR servers", _listed(settings.fhir_servers))
            return
        if settings.fhir_servers:  # else each issuer's line says all that there is to say
            own = "where the issuer lists none of its own"
            self._say("FHIR servers", f"{_listed(settings.fhir_servers)} ({own})")
        issuers = self._tried(
            lambda: load_issuers(
                path, settings.fhir_servers, allow_plain_http=settings.allow_plain_http
            )
        )
        for issuer in issuers or ():
            self._say("issuer", _described(issuer))

    def _store(self, *, reach_store: bool) -> None:
        settings = self._settings
        url = settings.database_url.get_secret_value()
        database = self._tried(lambda: Database(url, patience_s=_PATIENCE_S))
        if database is None:
            return
        try:
            self._say("store", _place(url))
            self._tried(lambda: _check_file(database.path))
            self._tried(lambda: _check_hash_key(settings.hash_key_file, url))
            if reach_store and _is_there(database.path):
                self._tried(lambda: ask(database, lambda one: one.execute(select(1)), "read"))
            elif reach_store:
                self._tried(lambda: _check_room(database.path))
        finally:
            database.dispose()

    def _tried(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except CdsServiceError as error:
            self._wrong(str(error))
            return None

    def _wrong(self, error: str) -> None:
        if error not in self.found.errors:
            self.found.errors.append(error)

    def _say(self, what: str, value: str) -> None:
        self.found.summary.append((what, value))


def lines(summary: list[tuple[str, str]]) -> Iterator[str]:
    """A summary as aligned lines."""
    width = max((len(what) for what, _ in summary), default=0)
    for what, value in summary:
        yield f"{what:<{width}}  {value}"


def _described(issuer: Issuer) -> str:
    keys = f"keys: {len(issuer.keys)}" if issuer.jwks_url is None else f"keys at {issuer.jwks_url}"
    notes = [
        *([] if issuer.enabled else ["may not call"]),
        *(["shadow"] if issuer.shadow else []),
    ]
    servers = f"FHIR servers: {_listed(issuer.fhir_servers)}"
    return "; ".join([f"{issuer.name} ({issuer.iss})", keys, servers, *notes])


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none: prefetch only"


def _place(url: str) -> str:
    """Where a store is; its URL may hold a password, in several places."""
    parts = make_url(url)
    where = f" on {parts.host or 'the local socket'}" if parts.drivername != "sqlite" else ""
    return f"{parts.get_backend_name()} {parts.database}{where}"


def _is_there(path: Path | None) -> bool:
    """Whether there is a database to be asked: a file is made by the first start."""
    return path is None or path.exists()


def _check_file(path: Path | None) -> None:
    """What can be told of an SQLite file without opening it as one."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise ConfigError(f"CDS_DATABASE_URL: no folder {path.parent}")
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError as error:
        raise ConfigError(f"CDS_DATABASE_URL: {path}: cannot be read ({error.strerror})") from error
    if start not in (b"", _SQLITE):
        raise ConfigError(f"CDS_DATABASE_URL: {path}: is no SQLite database")
    if not os.access(path, os.W_OK):
        raise ConfigError(f"CDS_DATABASE_URL: {path}: cannot be written")


def _check_room(path: Path | None) -> None:
    """That a file can be made where the first start would make one; nothing is left of it."""
    if path is None:
        return
    try:
        TemporaryFile(dir=path.parent).close()
    except OSError as error:
        reason = f"no file can be made in {path.parent} ({error.strerror})"
        raise ConfigError(f"CDS_DATABASE_URL: {reason}") from error


def _check_hash_key(file: Path | None, url: str) -> None:
    """The key must be there, unless the first start with a store in a file makes it."""
    if file is None and url.startswith("postgresql"):  # said already, as unsafe
        return
    found, may_be_made = key_file(file, url)
    if found.exists() or not may_be_made:
        KeyedHash.from_file(found, create=False)
