"""What a command of the study needs of the machine, and how it says that it cannot run."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Final

OLDEST_JDK: Final = 17


class CannotRun(Exception):
    """A command cannot do its job; the message says why."""


def lacking() -> str | None:
    """What this machine lacks of a JDK and Maven, in a line; None if nothing."""
    missing = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    found = None if "javac" in missing else _jdk()
    if found is not None and found < OLDEST_JDK:
        missing.append(f"JDK {OLDEST_JDK} (javac here is {found})")
    if not missing:
        return None
    return f"a JDK ({OLDEST_JDK} or later) and Maven are needed; missing: {', '.join(missing)}"


def _jdk() -> int | None:
    """The version of the JDK; None where it does not tell. Those before 9 call themselves 1.8."""
    said = subprocess.run(["javac", "-version"], capture_output=True, text=True, check=False)  # noqa: S607  (wherever this machine has it)
    found = re.search(r"javac (?:1\.)?(\d+)", said.stdout + said.stderr)
    return int(found[1]) if found else None
