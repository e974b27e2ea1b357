"""Runs mutants: pytest has collected, and each mutant is a fork that runs until a test fails.

The tests of a mutant are those that reach the line it changes. Those that killed a mutant of the
same function or module come first, then what is quick and named after the module, then the rest.
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
from typing import Any, TypeVar

from reach import SEED, empty_caches, forget, load

# Of the tests that reach its line a mutant meets a random choice of so many, what survives meets
# more, and what survives those meets all. Those named after the module do not wait for the third.
PASSES = (60, 240, 100_000)
# Of processor time, beside twice what the test takes while it is watched.
SECONDS_OF_GRACE = 3
# A test that takes longer while it is watched waits for those that take less.
DEAR = 0.1
SAVED_EVERY = 40
PASSED = "passed.json"
MOST_MEMORY = 4 << 30
SURVIVED, KILLED, NO_TESTS, TIMEOUT, BROKEN = 0, 1, 33, 36, 99
# Their mutants act while tables are loaded, so each of them loads anew.
TABLES = (
    "record.tables", "record.table_rows", "record.table_files", "record.code_tables",
    "record.codes", "record.units",
)  # fmt: skip
# What else a test that is about a module may be named after.
ALSO = {
    "criteria.evaluate": ("test_outlook", "test_facts"),
    "criteria.settle": ("test_facts",),
    "criteria.view": ("test_facts",),
    "criteria.attest": ("test_person",),
    "criteria.course": ("test_prrt",),
    "criteria.rules.clearance": ("test_laboratory",),
    "criteria.rules.course": ("test_prrt", "test_intervening"),
    "criteria.rules.diagnosis": ("test_diagnoses",),
    "criteria.rules.disease": ("test_tumor",),
    "record.code_tables": ("test_mappings",),
    "record.table_files": ("test_mappings",),
    "record.table_rows": ("test_mappings",),
    "record.tables": ("test_mappings",),
}
F = TypeVar("F", bound=Callable[..., Any])
# What mutmut wraps, and the mutants of each.
_KEPT: list[tuple[Any, dict[str, Any]]] = []


class Runner:
    """A pytest plugin that runs mutants in place of the tests.

    Args:
        into: the folder of the run.
        chosen: by module, the results that mutmut keeps, and the mutants to run.
        passed: how many passes a mutant has survived; it is kept in the folder.
        workers: forks at one time.
    """

    def __init__(
        self,
        into: Path,
        chosen: dict[str, tuple[Any, list[str]]],
        passed: dict[str, int],
        workers: int,
    ) -> None:
        self._into = into
        self._chosen = chosen
        self._passed = passed
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
        items = {item.nodeid: item for item in session.items}
        if items.keys() != set(seen["tests"]):
            raise SystemExit("the tests of the copy are not those of the mutants")
        self._items = [items[name] for name in seen["tests"]]
        self._seconds = [seen["seconds"][name] for name in seen["tests"]]
        self._reached = seen["reached"]
        load()
        gc.freeze()
        # The dear passes come when every module has had the cheap ones.
        for number in range(len(PASSES)):
            for module, (held, keys) in self._chosen.items():
                self._pass(number, module, held, keys)
        return True

    def _pass(self, number: int, module: str, held: Any, keys: Sequence[str]) -> None:
        """Run those mutants of a module that have survived the passes before."""
        waiting = [key for key in keys if self._passed.get(key, 0) == number]
        if number:
            waiting = [key for key in waiting if held.exit_code_by_key[key] == SURVIVED]
        lines = in_folder(self._into, lambda: lines_of(held, waiting))
        for key in waiting:
            tests = self._tests(module, key, lines[key], number)
            while tests and len(self._running) >= self._workers:
                self._reap(held)
            if tests:
                self._fork(module, key, tests)
            elif number == 0:
                held.exit_code_by_key[key] = NO_TESTS
            else:
                self._passed[key] = number + 1
        while self._running:
            self._reap(held)
        self._save(held)
        left = sum(self._passed.get(key, 0) == number + 1 for key in waiting)
        told = f"{module}: {left} of {len(waiting)} survive pass {number + 1}"
        print(time.strftime("%H:%M:%S"), told, file=sys.__stderr__, flush=True)

    def _save(self, held: Any) -> None:
        in_folder(self._into, held.save)
        (self._into / PASSED).write_text(json.dumps(self._passed))

    def _tests(self, module: str, key: str, lines: Sequence[int], number: int) -> list[int]:
        """The tests of a mutant in one of the passes."""
        places = (f"{module.replace('.', '/')}.py:{line}" for line in lines)
        reached = next((self._reached[at] for at in places if at in self._reached), [])
        mixed = random.Random(SEED).sample(reached, len(reached))  # noqa: S311
        stems = (module.rpartition(".")[2], "test_words", *ALSO.get(module, ()))
        named = [test for test in mixed if any(stem in self._items[test].nodeid for stem in stems)]
        first = dict.fromkeys([*named[: PASSES[0]], *mixed[: PASSES[0]]])
        if number == 1:
            second = dict.fromkeys([*named, *mixed[: sum(PASSES[:2])]])
            return sorted(test for test in second if test not in first)
        if number == 2:
            met = {*named, *mixed[: sum(PASSES[:2])]}
            return sorted(test for test in mixed if test not in met)
        known = [test for test, _ in self._killers[_function(key)].most_common(8)]
        known += [test for test, _ in self._killers[module].most_common(8) if test in reached]
        rank = {test: position for position, test in enumerate(dict.fromkeys(known))}
        return sorted(
            dict.fromkeys([*known, *first]),
            key=lambda test: (
                rank.get(test, len(rank)),
                self._seconds[test] > DEAR,
                test not in named,
                self._seconds[test],
            ),
        )

    def _fork(self, module: str, key: str, tests: Sequence[int]) -> None:
        note = self._into / f"killer-{key.rpartition('.')[2]}"
        pid = os.fork()
        if pid == 0:
            self._child(module, key, tests, note)
        self._running[pid] = (key, note)

    def _child(self, module: str, key: str, tests: Sequence[int], note: Path) -> None:
        """Run tests until one fails; the exit code says whether one did."""
        code = BROKEN
        try:
            activate(key)
            empty_caches()
            if module in TABLES:
                forget()
            code = KILLED
            # A mutant that collects without end is an error, not a full memory.
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            failed = next((test for test, report in self._reports(tests) if report.failed), None)
            code = SURVIVED if failed is None else KILLED
            if failed is not None:
                note.write_text(str(failed))
        finally:
            os._exit(code)

    def _reports(self, tests: Sequence[int]) -> Iterator[tuple[int, Any]]:
        from _pytest.runner import runtestprotocol  # noqa: PLC0415

        for test, following in zip(tests, [*tests[1:], None], strict=True):
            most = int(time.process_time() + SECONDS_OF_GRACE + 2 * self._seconds[test])
            resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
            after = None if following is None else self._items[following]
            for report in runtestprotocol(self._items[test], log=False, nextitem=after):
                yield test, report

    def _reap(self, held: Any) -> None:
        pid, status = os.wait()
        key, note = self._running.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code == BROKEN:
            raise SystemExit(f"{key} cannot be made active")
        if code in {-signal.SIGXCPU, -signal.SIGKILL}:
            code = TIMEOUT
        elif code < 0:
            code = KILLED
        if note.exists():
            for scope in (_function(key), _module(key)):
                self._killers[scope][int(note.read_text())] += 1
            note.unlink()
        held.exit_code_by_key[key] = code
        if code == SURVIVED:
            self._passed[key] = self._passed.get(key, 0) + 1
        self._done += 1
        if self._done % SAVED_EVERY == 0:
            self._save(held)


def keep(mutants: dict[str, Any], is_classmethod: bool = False) -> Callable[[F], F]:  # noqa: ARG001, FBT001, FBT002
    """In place of mutmut's wrapper, which asks at each call which mutant is active.

    That doubles what the tests take. Here the function stays as it is until :func:`activate`.
    """

    def kept(function: F) -> F:
        _KEPT.append((function, mutants))
        return function

    return kept


def activate(name: str) -> None:
    """Make one mutant the active one: the function gets its code, whoever holds the function."""
    module, _, mutant = name.rpartition(".")
    function, mutants = next(
        (one, some) for one, some in _KEPT if one.__module__ == module and mutant in some
    )
    body = getattr(mutants[mutant], "__func__", mutants[mutant])
    function.__code__ = body.__code__
    function.__defaults__, function.__kwdefaults__ = body.__defaults__, body.__kwdefaults__


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


def _module(key: str) -> str:
    return key.rpartition(".")[0].partition(".")[2]


def _function(key: str) -> str:
    return key.partition("__mutmut_")[0]
