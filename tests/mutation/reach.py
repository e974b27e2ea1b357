"""Which test reaches which line, from one run of the tests without a mutant.

Run as a program in the folder of a mutation run, it writes ``reached.json`` there, unless the one
that is there is of the same sources and tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

TESTS = ("tests/criteria", "tests/record", "tests/trial")
# Two thousand values of one conversion: neighbours of theirs tell the same.
LEFT_OUT = "not test_tenths_of_grams"
SEED = 0


def selection() -> list[str]:
    """What tells pytest which tests meet mutants."""
    return [*TESTS, "-k", LEFT_OUT]


def load() -> None:
    """Load tables and trial as the tests do, once a process."""
    from tests import charts  # noqa: PLC0415

    charts._books()
    charts.trial()


def digest(into: Path) -> str:
    """What the sources, tests and tables of a folder are, in one word."""
    found = hashlib.sha256()
    for name in ("cds_service", *TESTS, "tests/charts.py", "mappings"):
        for file in [into / name, *sorted((into / name).rglob("*.*"))]:
            if file.is_file() and file.suffix in {".py", ".csv", ".yaml"}:
                found.update(file.read_bytes())
    return found.hexdigest()


class Watcher:
    """A pytest plugin that notes lines and seconds of processor time by test."""

    def __init__(self) -> None:
        from coverage import Coverage  # noqa: PLC0415

        watched = [f"{Path.cwd()}/cds_service/{part}/*" for part in ("criteria", "record")]
        self._coverage = Coverage(data_file=None, include=watched, config_file=False)
        self._seconds: dict[str, float] = {}
        self._began = 0.0
        self._names: list[str] = []
        self._failed: list[str] = []

    def pytest_collection_finish(self, session: Any) -> None:
        """Collection is over; what it ran does not count."""
        self._names = [item.nodeid for item in session.items]
        self._coverage.start()
        self._coverage.switch_context("load")
        load()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._began = time.process_time()
        self._coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A phase of a test ended."""
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test ended: the next one reads dates and units anew."""
        self._seconds[nodeid] = time.process_time() - self._began
        _empty_caches()

    def found(self) -> dict[str, Any]:
        """Tests by ``file:line``; a line reached in loading is reached by the tests of tables."""
        self._coverage.stop()
        tables = ("tests/record", "tests/trial")
        loads = {name for name in self._names if name.startswith(tables)}
        loads.update(random.Random(SEED).sample(self._names, min(len(self._names), 150)))  # noqa: S311
        number = {name: at for at, name in enumerate(self._names)}
        reached = {}
        data = self._coverage.get_data()
        for file in data.measured_files():
            short = file.partition("/cds_service/")[2]
            for line, contexts in data.contexts_by_lineno(file).items():
                tests = {name for name in contexts if name in number}
                tests |= loads if "load" in contexts else set()
                reached[f"{short}:{line}"] = sorted(number[name] for name in tests)
        return {
            "tests": self._names,
            "seconds": self._seconds,
            "reached": reached,
            "failed": self._failed,
        }


def _empty_caches() -> None:
    from cds_service.record import dates  # noqa: PLC0415
    from tests import charts  # noqa: PLC0415

    dates._parsed.cache_clear()
    for book in charts._books():
        for name, held in vars(book).items():
            if name in {"_factors", "_matches", "_merged", "_entries"}:
                held.clear()


def main(into: Path) -> int:
    """Write what each test reaches."""
    note, now = into / "reached.json", digest(into)
    if note.exists() and json.loads(note.read_text())["digest"] == now:
        return 0
    sys.path.insert(0, str(into))
    os.chdir(into)
    import pytest  # noqa: PLC0415

    watcher = Watcher()
    quiet = ["-q", "-q", "--rootdir=.", "-p", "no:cacheprovider", "--no-header", "--tb=short"]
    code = int(pytest.main([*quiet, *selection()], plugins=[watcher]))
    note.write_text(json.dumps({"digest": now} | watcher.found()))
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
