"""The demo's FHIR server, as a process of its own: ``python -m benchmarks.fhir_demo PORT``."""

from __future__ import annotations

import sys
from datetime import datetime

import uvicorn

from cds_service.demo.fhir_server import fhir_app
from cds_service.demo.patients import load_demo_resources

if __name__ == "__main__":
    uvicorn.run(
        fhir_app(load_demo_resources(datetime.now().astimezone().date())),
        port=int(sys.argv[1]),
        access_log=False,
        log_level="warning",
    )
