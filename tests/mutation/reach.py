"""Which test reaches which line, from one run of the tests without a mutant.

Run as a program in the folder of a run, it writes ``reached.json`` there. A test is watched
again where its file, or any source, is another than it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

TESTS = ("tests/criteria", "tests/record", "tests/trial")
# Two thousand values of one conversion: neighbours of theirs tell the same.
LEFT_OUT = "not test_tenths_of_grams"
SEED = 0


def selection(tests: Sequence[str]) -> list[str]:
    """What tells pytest which tests meet mutants."""
    return [*(tests or TESTS), "-k", LEFT_OUT]


def load() -> None:
    """Load tables and trial as the tests do, once a process."""
    from tests import charts  # noqa: PLC0415

    charts._books()
    charts.trial()


def forget() -> None:
    """Undo :func:`load`."""
    from tests import charts  # noqa: PLC0415

    charts._books.cache_clear()
    charts.trial.cache_clear()


def digest(*places: Path) -> str:
    """What sources, tests and tables are, in one word."""
    found = hashlib.sha256()
    for place in places:
        for file in [place, *sorted(place.rglob("*.*"))]:
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

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test ended: the next one reads dates and units anew."""
        self._seconds[nodeid] = time.process_time() - self._began
        empty_caches()

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
        return {"tests": self._names, "seconds": self._seconds, "reached": reached}


def empty_caches() -> None:
    """Read dates, codes and units anew."""
    from cds_service.record import dates  # noqa: PLC0415
    from tests import charts  # noqa: PLC0415

    dates._parsed.cache_clear()
    for book in charts._books():
        for name, held in vars(book).items():
            if name in {"_factors", "_matches", "_merged", "_entries"}:
                held.clear()


def main(into: Path, tests: Sequence[str]) -> int:
    """Write what each test reaches, watching only those whose file is another than before."""
    note = into / "reached.json"
    shared = ("cds_service", "mappings", "tests/charts.py", "tests/conftest.py")
    sources = digest(*(into / name for name in shared))
    places = [into / name for name in tests or TESTS]
    found = {file for place in places for file in [place, *place.rglob("test_*.py")]}
    files = {str(one.relative_to(into)): digest(one) for one in sorted(found) if one.is_file()}
    before = json.loads(note.read_text()) if note.exists() else {"sources": ""}
    if before["sources"] != sources:
        before = {"files": {}, "tests": [], "seconds": {}, "reached": {}}
    stale = [name for name in files if before["files"].get(name) != files[name]]
    now: dict[str, Any] = {"tests": [], "seconds": {}, "reached": {}}
    if stale:
        code, now = _watched(into, stale)
        if code:
            return code
    kept = {name for name in files if name not in stale}
    held = {"sources": sources, "files": files} | merged(before, kept, now)
    note.write_text(json.dumps(held))
    return 0


def _watched(into: Path, files: Sequence[str]) -> tuple[int, dict[str, Any]]:
    sys.path.insert(0, str(into))
    os.chdir(into)
    import pytest  # noqa: PLC0415

    watcher = Watcher()
    quiet = ["-q", "-q", "--rootdir=.", "-p", "no:cacheprovider", "--no-header", "--tb=short"]
    code = int(pytest.main([*quiet, *selection(files)], plugins=[watcher]))
    return code, watcher.found()


def merged(before: dict[str, Any], kept: Container[str], now: dict[str, Any]) -> dict[str, Any]:
    """What was seen before, of the files that are kept, and what is seen now."""
    names: list[str] = []
    seconds: dict[str, float] = {}
    reached: dict[str, list[int]] = defaultdict(list)
    for seen in (before, now):
        moved = {}
        for at, name in enumerate(seen["tests"]):
            if seen is now or name.partition("::")[0] in kept:
                moved[at] = len(names)
                names.append(name)
                seconds[name] = seen["seconds"].get(name, 0.1)
        for line, tests in seen["reached"].items():
            reached[line].extend(moved[at] for at in tests if at in moved)
    return {"tests": names, "seconds": seconds, "reached": reached}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
