"""Measures how fast the service is. What came of it: docs/performance.md."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from benchmarks import evaluation, hook, pull
from benchmarks.machine import machine
from benchmarks.table import Table

_ALL = ("chart", "hook", "pull")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found."""
    given = _parser().parse_args(arguments)
    about = machine()
    print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    tables = []
    for table in _measured(given):
        tables.append(table)
        print(f"\n{table.text()}", flush=True)
    if given.json is not None:
        content = {"machine": about, "tables": [table.plain() for table in tables]}
        given.json.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


def _measured(given: argparse.Namespace) -> Iterator[Table]:
    wanted = given.only or _ALL
    if "chart" in wanted:
        yield evaluation.measure(given.rounds)
    if "hook" in wanted:
        yield from uvloop.run(hook.measure(given.rounds, given.seconds))
    if "pull" in wanted:
        yield asyncio.run(pull.measure(given.rounds, given.fhir))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure how fast one chart is evaluated, and how fast a hook is answered.",
    )
    parser.add_argument("--only", action="append", choices=_ALL, help="this part; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="of which medians are taken (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run under load (2)")
    parser.add_argument(
        "--fhir", metavar="URL", help="base URL of a FHIR server that holds the demo patients"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    main()
