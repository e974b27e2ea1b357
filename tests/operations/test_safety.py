"""Combinations of settings that the service refuses to start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cds_service.operations.safety import unsafe
from cds_service.settings import Settings
from cds_service.trial.load import DEFAULT_TRIAL

SAFE: dict[str, Any] = {
    "auth": "required",
    "jwt_issuers": Path("issuers.yaml"),
    "public_url": "https://cds.hospital.example",
    "fhir_servers": ("https://fhir.hospital.example/r4",),
}
LOCAL: dict[str, Any] = {"auth": "none", "fhir_servers": ("http://127.0.0.1:8080/fhir",)}


@pytest.mark.parametrize(
    "settings",
    [
        SAFE,
        LOCAL,
        SAFE | {"public_url": "http://10.0.0.1:8000", "allow_plain_http": True},
        SAFE | {"public_url": "http://127.0.0.1:8000"},
        SAFE
        | {
            "database_url": SecretStr("postgresql+psycopg://cds:ZZPASS@db/cds"),
            "hash_key_file": Path("key"),
        },
        SAFE | {"candidate_trial_file": Path("amended.yaml")},
        SAFE | {"approval_keys": Path("keys.json"), "approval_file": Path("approval.jws")},
        SAFE | {"mode": "shadow", "auth_discovery": "required"},
    ],
)
def test_safe(settings: dict[str, Any]) -> None:
    """These may start."""
    assert [] == unsafe(Settings(**settings))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["CDS_JWT_ISSUERS"]),
        (LOCAL | {"jwt_issuers": Path("issuers.yaml")}, ["CDS_AUTH"]),
        (LOCAL | {"auth_discovery": "required"}, ["CDS_AUTH"]),
        (LOCAL | {"public_url": "https://cds.hospital.example"}, ["CDS_PUBLIC_URL"]),
        (SAFE | {"public_url": "http://cds.hospital.example"}, ["CDS_PUBLIC_URL"]),
        (
            SAFE | {"fhir_servers": ("https://a.example/r4", "http://fhir.hospital.example/r4")},
            ["CDS_FHIR_SERVERS"],
        ),
        # A name that only looks like this machine's.
        (SAFE | {"fhir_servers": ("http://127.0.0.1.evil.example/r4",)}, ["CDS_FHIR_SERVERS"]),
        (SAFE | {"fhir_servers": ("http://2130706433/r4",)}, ["CDS_FHIR_SERVERS"]),
        (
            SAFE | {"database_url": SecretStr("postgresql+psycopg://cds:ZZPASS@db/cds")},
            ["CDS_HASH_KEY_FILE"],
        ),
        (SAFE | {"candidate_trial_file": DEFAULT_TRIAL}, ["CDS_CANDIDATE_TRIAL_FILE"]),
        (
            SAFE
            | {"candidate_trial_file": DEFAULT_TRIAL.parent / ".." / "trials" / DEFAULT_TRIAL.name},
            ["CDS_CANDIDATE_TRIAL_FILE"],
        ),
        (SAFE | {"approval_file": Path("approval.jws")}, ["CDS_APPROVAL_KEYS"]),
        (SAFE | {"approval_keys": Path("keys.json")}, ["CDS_APPROVAL_FILE"]),
        (
            {"public_url": "http://cds.hospital.example", "fhir_servers": ("http://h.example/r4",)},
            ["CDS_JWT_ISSUERS", "CDS_PUBLIC_URL", "CDS_FHIR_SERVERS"],
        ),
    ],
)
def test_unsafe(settings: dict[str, Any], names: list[str]) -> None:
    """These may not: one line for each fault, with the variable's name and no secret."""
    faults = unsafe(Settings(**settings))

    assert len(names) == len(faults)
    for name, fault in zip(names, faults, strict=True):
        assert name in fault
        assert "\n" not in fault
        assert "ZZPASS" not in fault
