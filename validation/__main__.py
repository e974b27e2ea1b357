"""`python -m validation`: makes the cohort, runs the study, loads the cohort into a FHIR server.

Each command is imported only when it is called.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Final

# The commands that bring their own arguments: the module whose `main` takes them.
_OTHERS: Final = {"study": "validation.study", "hapi": "validation.through_hapi"}


def main(arguments: Sequence[str]) -> int:
    """Run a command; the number is the exit code."""
    name = arguments[0] if arguments else ""
    if name in _OTHERS:
        run: Callable[[Sequence[str]], int] = import_module(_OTHERS[name]).main
        return run(arguments[1:])
    return _cohort(arguments)


def _cohort(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m validation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    cohort = commands.add_parser("cohort", help="make synthetic patients, and what is true of them")
    cohort.add_argument("--net", type=int, required=True, help="how many NET patients")
    cohort.add_argument("--ordinary", type=int, required=True, help="how many ordinary ones")
    cohort.add_argument("--out", type=Path, required=True, help="a folder, empty or not there")
    cohort.add_argument("--seed", type=int, default=1)
    cohort.add_argument("--as-of", type=date.fromisoformat, default=date(2026, 1, 1))
    for other, module in _OTHERS.items():
        commands.add_parser(other, help=f"see {module}")
    chosen = parser.parse_args(arguments)
    cohort_module = import_module("validation.cohort")
    plan = cohort_module.Plan(chosen.net, chosen.ordinary, chosen.seed, chosen.as_of)
    try:
        cohort_module.make_cohort(plan, chosen.out)
    except cohort_module.CohortFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
