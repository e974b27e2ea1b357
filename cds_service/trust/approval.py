"""The signed approval of what decides about patients: the trial file, the tables, the site file.

A named clinician signs the digests of the files as they are in force. Where a site configures whose
signatures it takes, the service starts with approved files only: one byte changed in a criterion or
a code, and it does not start. An approval is a compact JWS (RFC 7515, ES384), so that any JOSE
library can make or check one.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
from joserfc import jwk, jws
from joserfc.errors import JoseError

from cds_service.errors import ConfigError

_ALGORITHM: Final = "ES384"
_CURVE: Final = "P-384"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What was approved, by whom, and when.

    Args:
        trial: digest of the trial file.
        mappings: digest of all code and unit tables, the site's own included.
        site: digest of the site file; None where there was none.
        by: who signed, as the key's ``kid`` says.
        on: the day.
    """

    trial: str
    mappings: str
    site: str | None
    by: str
    on: date


def file_digest(path: Path | None) -> str | None:
    """The digest of a file's bytes; None for no file.

    Raises:
        ConfigError: the file cannot be read.
    """
    return None if path is None else f"sha256:{hashlib.sha256(_read(path)).hexdigest()}"


def new_key(by: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A key for a signer: the private one, to be kept by the signer, and the public one."""
    key = jwk.ECKey.generate_key(_CURVE, {"kid": by, "alg": _ALGORITHM, "use": "sig"})
    return dict(key.as_dict(private=True)), dict(key.as_dict(private=False))


def sign(approval: Approval, private_key: Path) -> str:
    """Sign an approval.

    Raises:
        ConfigError: the key is no private key of this signer.
    """
    try:
        key = jwk.ECKey.import_key(json.loads(_read(private_key)))
    except (JoseError, ValueError):
        raise ConfigError(f"{private_key}: is no private key in JWK form") from None
    if not key.is_private or key.kid != approval.by:
        raise ConfigError(f"{private_key}: is no private key of {approval.by}")
    header = {"alg": _ALGORITHM, "kid": approval.by}
    return jws.serialize_compact(header, msgspec.json.encode(approval), key, [_ALGORITHM])


def check_approval(approval_file: Path | None, keys_file: Path, wanted: Approval) -> Approval:
    """Check that what is in force was approved by a listed signer.

    Args:
        approval_file: the approval; None where none is configured.
        keys_file: a JWK set with the public keys of those whose approval is taken.
        wanted: the digests of what is in force; ``by`` and ``on`` are not compared.

    Returns:
        The approval.

    Raises:
        ConfigError: there is none, no listed signer signed it, or it is for other files.
    """
    if approval_file is None:
        raise ConfigError("CDS_APPROVAL_KEYS is set, and CDS_APPROVAL_FILE, the approval, is not")
    found = _verified(approval_file, keys_file)
    for what in ("trial", "mappings", "site"):
        if getattr(found, what) != getattr(wanted, what):
            raise ConfigError(
                f"{approval_file}: the {what} in force is not the one that {found.by} approved"
            )
    return found


def _verified(approval_file: Path, keys_file: Path) -> Approval:
    try:
        keys = jwk.KeySet.import_key_set(json.loads(_read(keys_file)))
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{keys_file}: is no JWK set") from None
    if any(key.is_private for key in keys.keys):
        raise ConfigError(f"{keys_file}: holds a private key; it belongs to the signer alone")
    try:
        signed = jws.deserialize_compact(_read(approval_file).strip(), keys, [_ALGORITHM])
        approval = msgspec.json.decode(signed.payload, type=Approval)
    except (JoseError, ValueError, msgspec.MsgspecError):
        raise ConfigError(f"{approval_file}: is not signed by anyone listed") from None
    if signed.headers().get("kid") != approval.by:
        raise ConfigError(f"{approval_file}: is signed by another than it says")
    return approval


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
