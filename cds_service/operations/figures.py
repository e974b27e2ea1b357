"""Where the figures of a process are kept, and how they are shown.

Where several worker processes serve one port, ``PROMETHEUS_MULTIPROC_DIR`` names the directory in
which they share their figures, and any of them answers for all.
"""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that prometheus-client looks for, once, when it is first imported."""


class Figures:
    """The registry of one application.

    Attributes:
        registry: where its series are made.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._shared = SHARED_DIRECTORY in os.environ
        if not self._shared:  # of one process it would say nothing about the others
            ProcessCollector(registry=self.registry)

    def render(self) -> tuple[bytes, str]:
        """All figures in Prometheus's text format, and its content type."""
        registry = self.registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
