"""What the figures were measured on; a figure without it says little."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("msgspec", "orjson", "starlette", "uvicorn", "uvloop", "httptools")


def machine() -> dict[str, str]:
    """The machine, its load, and the versions that matter."""
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        "load before": f"{load} (1, 5, 15 minutes)",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
