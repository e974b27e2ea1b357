"""Keyed hashes that stand for patients and users: the same person, without saying who.

A plain hash of a patient id is no secret, since all ids can be tried. With a key it is, as long as
the key is kept apart from the store.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from cds_service.errors import ConfigError
from cds_service.store import queries
from cds_service.store.database import Database, sqlite_file
from cds_service.store.opening import ask

_KEY_BYTES: Final = 32
_PATIENCE_S: Final = 5.0


class KeyedHash:
    """HMAC-SHA-256 with one key.

    Args:
        key: at least 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < _KEY_BYTES:
            raise ConfigError(f"the hash key has {len(key)} bytes, and needs at least {_KEY_BYTES}")
        self._key = key

    @classmethod
    def for_store(cls, path: Path | None, database_url: str) -> KeyedHash:
        """The hash for a store.

        Args:
            path: of the key file; None for the file beside an SQLite file, ``….key``.
            database_url: of the store. With SQLite, a key is made where there is none, and none was
                used yet; replicas that share a PostgreSQL must share a key, so that there it must
                be given.

        Raises:
            ConfigError: the key is missing or unusable.
            StoreUnavailable: whether a key was used cannot be told.
        """
        found, may_make = key_file(path, database_url)
        return cls.from_file(found, create=may_make)

    @classmethod
    def from_file(cls, path: Path, *, create: bool = False) -> KeyedHash:
        """The hash with the key in a file.

        Args:
            path: of a file with at least 32 bytes; white space around them does not count.
            create: whether to make a new key where there is no file.

        Raises:
            ConfigError: the file is missing, unreadable, too short, or open to other users.
        """
        try:
            if create and not path.exists():
                _create(path)
            mode = path.stat().st_mode
            key = path.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"hash key file {path}: {error.strerror or 'unreadable'}") from None
        if stat.S_IMODE(mode) & 0o037:
            raise ConfigError(f"hash key file {path}: open to other users; chmod 600 it")
        return cls(key)

    def of(self, kind: str, *parts: str) -> str:
        """The hash of some text, in hexadecimal.

        Args:
            kind: what it stands for, so that a patient and a user of the same id differ.
            parts: such as the issuer and the id; where one ends and the next begins counts.
        """
        message = json.dumps([kind, *parts]).encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


def key_file(path: Path | None, database_url: str) -> tuple[Path, bool]:
    """Where the key of a store is, and whether one may be made there.

    Args:
        path: as configured; None for the file beside an SQLite file, ``….key``.
        database_url: of the store.

    Raises:
        ConfigError: no file is configured, or the key with which the store was written is missing.
        StoreUnavailable: whether a key was used cannot be told.
    """
    file = sqlite_file(database_url)
    if path is None and file is None:
        raise ConfigError("CDS_HASH_KEY_FILE: needed, unless the store is an SQLite file")
    found = Path(f"{file}.key") if path is None else path
    if file is not None and not found.exists() and _has_hashes(database_url, file):
        raise ConfigError(
            f"hash key file {found}: missing, and the store has records made with it; put it back:"
            " with another key each patient would be another one"
        )
    return found, file is not None


def _has_hashes(database_url: str, file: Path) -> bool:
    if not file.exists():
        return False
    database = Database(database_url, patience_s=_PATIENCE_S)
    try:
        return ask(database, queries.has_hashes, "read")
    finally:
        database.dispose()


def _create(path: Path) -> None:
    """Make a key file in one step, so that of several workers one wins and none sees half a key."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(_KEY_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            return
    finally:
        new.unlink()
