"""The document of the HTTP interface, and the service that it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cds_service.app import create_app
from cds_service.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
SERVICE_ID = "net-retreat-eligibility"
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


@cache
def document() -> dict[str, Any]:
    """The document."""
    read: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return read


def service(folder: Path, **changed: Any) -> Starlette:
    """The whole service, that may read one FHIR server, which is off."""
    told: dict[str, Any] = {
        "auth": "none",
        "database_url": f"sqlite:///{folder}/store.db",
        "hash_key_file": folder / "hash.key",
        "fhir_servers": ("http://127.0.0.1:9/r4",),
        "deadline_seconds": 2,
        "links_protocol_url": "https://trials.example.org/ne1",
    }
    return create_app(Settings(**(told | changed)), now=lambda: NOW)
