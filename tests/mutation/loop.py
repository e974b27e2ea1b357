"""Runs mutants: pytest has collected, and each mutant is a fork that runs until a test fails.

The tests of a mutant are those that reach the line it changes. Those that killed a mutant of the
same function come first, then those named after the module, then the rest.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reach import SEED, load

# Of the tests that reach its line a mutant meets a random choice of so many, what survives meets
# more, and what survives those meets all. Those named after the module do not wait for the third.
PASSES = (60, 240, 100_000)
# Of processor time, beside twice what the tests take while they are watched.
SECONDS_OF_GRACE = 5
SAVED_EVERY = 40
MOST_MEMORY = 4 << 30
SURVIVED, KILLED, NO_TESTS, TIMEOUT = 0, 1, 33, 36
# Their mutants act while tables are loaded, so each of them loads anew.
TABLES = ("record.tables", "record.codes", "record.units", "record.model")


class Runner:
    """A pytest plugin that runs mutants in place of the tests.

    Args:
        into: the folder of the run.
        chosen: by module, the results that mutmut keeps, and the mutants to run.
        workers: forks at one time.
    """

    def __init__(self, into: Path, chosen: dict[str, tuple[Any, list[str]]], workers: int) -> None:
        self._into = into
        self._chosen = chosen
        self._workers = workers
        self._items: list[Any] = []
        self._seconds: list[float] = []
        self._reached: dict[str, list[int]] = {}
        self._killers: dict[str, Counter[int]] = defaultdict(Counter)
        self._running: dict[int, tuple[str, Path]] = {}
        self._done = 0

    def pytest_runtestloop(self, session: Any) -> bool:
        """Collection is over: run the mutants."""
        seen = json.loads((self._into / "reached.json").read_text())
        self._items = session.items
        if [item.nodeid for item in self._items] != seen["tests"]:
            raise SystemExit("the tests of the copy are not those of the mutants")
        self._seconds = [seen["seconds"].get(name, 0.1) for name in seen["tests"]]
        self._reached = seen["reached"]
        for module, (held, keys) in self._chosen.items():
            if module not in TABLES:
                load()
            gc.freeze()
            self._module(module, held, keys)
        return True

    def _module(self, module: str, held: Any, keys: Sequence[str]) -> None:
        held.meta_path = self._into / held.meta_path
        lines = in_folder(self._into, lambda: lines_of(held, keys))
        for number in range(len(PASSES)):
            survivors: list[str] = []
            for key in keys:
                tests = self._tests(module, key, lines[key], number)
                if tests:
                    while len(self._running) >= self._workers:
                        self._reap(held, survivors)
                    self._fork(key, tests)
                elif number == 0:
                    held.exit_code_by_key[key] = NO_TESTS
            while self._running:
                self._reap(held, survivors)
            held.save()
            keys = survivors
            left = f"{len(survivors)} survive pass {number + 1}"
            print(time.strftime("%H:%M:%S"), module, left, file=sys.__stderr__, flush=True)

    def _tests(self, module: str, key: str, lines: Sequence[int], number: int) -> list[int]:
        """The tests of a mutant in one of the passes."""
        places = (f"{module.replace('.', '/')}.py:{line}" for line in lines)
        reached = next((self._reached[at] for at in places if at in self._reached), [])
        mixed = random.Random(SEED).sample(reached, len(reached))  # noqa: S311
        stem = module.rpartition(".")[2]
        named = [test for test in mixed if stem in self._items[test].nodeid]
        first = dict.fromkeys([*named[: PASSES[0]], *mixed[: PASSES[0]]])
        if number == 1:
            second = dict.fromkeys([*named, *mixed[: sum(PASSES[:2])]])
            return sorted(test for test in second if test not in first)
        if number == 2:
            met = {*named, *mixed[: sum(PASSES[:2])]}
            return sorted(test for test in mixed if test not in met)
        known = [test for test, _ in self._killers[_function(key)].most_common(8)]
        rank = {test: position for position, test in enumerate(known)}
        return sorted(
            dict.fromkeys([*known, *first]),
            key=lambda test: (
                rank.get(test, len(rank)),
                stem not in self._items[test].nodeid,
                self._seconds[test] > 0.2,
                test,
            ),
        )

    def _fork(self, key: str, tests: Sequence[int]) -> None:
        note = self._into / f"killer-{key.rpartition('.')[2]}"
        seconds = int(SECONDS_OF_GRACE + 2 * sum(self._seconds[test] for test in tests))
        pid = os.fork()
        if pid == 0:
            self._child(key, tests, note, seconds)
        self._running[pid] = (key, note)

    def _child(self, key: str, tests: Sequence[int], note: Path, seconds: int) -> None:
        """Run tests until one fails; the exit code says whether one did."""
        code = KILLED
        try:
            used = int(time.process_time())
            resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds + 1))
            # A mutant that collects without end is an error, not a full memory.
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            activate(key)
            failed = next((test for test, report in self._reports(tests) if report.failed), None)
            code = SURVIVED if failed is None else KILLED
            if failed is not None:
                note.write_text(str(failed))
        finally:
            os._exit(code)

    def _reports(self, tests: Sequence[int]) -> Iterator[tuple[int, Any]]:
        from _pytest.runner import runtestprotocol  # noqa: PLC0415

        for test, following in zip(tests, [*tests[1:], None], strict=True):
            after = None if following is None else self._items[following]
            for report in runtestprotocol(self._items[test], log=False, nextitem=after):
                yield test, report

    def _reap(self, held: Any, survivors: list[str]) -> None:
        pid, status = os.wait()
        key, note = self._running.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code in {-signal.SIGXCPU, -signal.SIGKILL}:
            code = TIMEOUT
        elif code < 0:
            code = KILLED
        if note.exists():
            self._killers[_function(key)][int(note.read_text())] += 1
            note.unlink()
        held.exit_code_by_key[key] = code
        self._done += 1
        if self._done % SAVED_EVERY == 0:
            held.save()
        if code == SURVIVED:
            survivors.append(key)


def activate(name: str) -> None:
    """Make one mutant the active one; told by a constant, which is quicker than the environment."""
    from mutmut.mutation import trampoline  # noqa: PLC0415

    os.environ["MUTANT_UNDER_TEST"] = name
    trampoline.get_mutant_under_test = lambda: name


def lines_of(held: Any, keys: Sequence[str]) -> dict[str, list[int]]:
    """For each mutant, the lines of the source up to what it changes, nearest first."""
    from mutmut.mutation.data import MutantLineSpans  # noqa: PLC0415

    index = MutantLineSpans.load(held.path)
    mutated = Path("mutants", held.path).read_text(encoding="utf-8").splitlines()
    starts = _starts(Path(held.path).read_text(encoding="utf-8"))
    found = {}
    for key in keys:
        name = key.rpartition(".")[2]
        one = _body(mutated, index.span_by_function_name[name])
        other = _body(mutated, index.span_by_function_name[f"{_function(name)}__mutmut_orig"])
        differ = [at for at, pair in enumerate(zip(one[1:], other[1:], strict=False), 1)
                  if pair[0] != pair[1]]  # fmt: skip
        start = starts[_function(name)]
        at = start + (differ[0] if differ else 1)
        found[key] = [*range(at, start, -1), *range(at + 1, start + len(other))]
    return found


def _body(lines: Sequence[str], span: Any) -> list[str]:
    """A function's lines from its ``def``."""
    text = list(lines[span.start - 1 : span.end])
    first = next(at for at, line in enumerate(text) if line.lstrip().startswith(("def ", "async ")))
    return text[first:]


def _starts(source: str) -> dict[str, int]:
    """The line of ``def`` by the name that mutmut gives a function."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found[f"x_{node.name}"] = node.lineno
        if isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef))
            found |= {f"xǁ{node.name}ǁ{one.name}": one.lineno for one in methods}
    return found


def in_folder(folder: Path, call: Callable[[], Any]) -> Any:
    """Call with a folder as the one worked in."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        return call()
    finally:
        os.chdir(here)


def _function(key: str) -> str:
    return key.partition("__mutmut_")[0]
