"""The demo in one process: the EHR page and the FHIR server beside the real CDS service.

Wiring only. The page calls the service over HTTP like any EHR, and the service pulls from the FHIR
server over HTTP like from any other; nothing here passes data between them.
"""

from __future__ import annotations

from datetime import date

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from cds_service.demo.ehr import ehr_routes
from cds_service.demo.fhir_server import fhir_app
from cds_service.demo.patients import load_demo_patients, load_demo_resources

FHIR_PATH = "/fhir"
"""Where the FHIR server is mounted; its base URL is the origin and this."""


def demo_app(cds_app: ASGIApp, today: date) -> ASGIApp:
    """The demo around a CDS service.

    Args:
        cds_app: the service; it gets its own lifespan, and every path that is not the demo's.
        today: the day that the demo charts' dates are counted from.
    """
    front = Starlette(
        routes=[
            *ehr_routes(load_demo_patients(today), today),
            Mount(FHIR_PATH, fhir_app(load_demo_resources(today))),
        ]
    )

    async def demo(scope: Scope, receive: Receive, send: Send) -> None:
        app = front if scope["type"] == "http" and _is_demo_path(scope["path"]) else cds_app
        await app(scope, receive, send)

    return demo


def _is_demo_path(path: str) -> bool:
    return path in ("/", FHIR_PATH) or path.startswith((f"{FHIR_PATH}/", "/static/"))
