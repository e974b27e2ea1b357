"""`python -m validation`: makes the cohort, runs the study, loads the cohort into a FHIR server.

The last two are imported only when they are called.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Final

from validation.cohort import Plan, make_cohort
from validation.needs import CannotRun
from validation.usual_cohort import FOLDER, PLAN

# The commands that bring their own arguments: the module whose `main` takes them.
_OTHERS: Final = {"study": "validation.study", "hapi": "validation.through_hapi"}


def main(arguments: Sequence[str]) -> int:
    """Run a command; the number is the exit code."""
    name = arguments[0] if arguments else ""
    try:
        if name in _OTHERS:
            run: Callable[[Sequence[str]], int] = import_module(_OTHERS[name]).main
            return run(arguments[1:])
        _cohort(arguments)
    except CannotRun as failure:
        sys.stderr.write(f"validation: {failure}\n")
        return 1
    return 0


def _cohort(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m validation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    cohort = commands.add_parser(
        "cohort",
        help="make synthetic patients, and what is true of them",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    cohort.add_argument("--net", type=int, default=PLAN.net, help="how many NET patients")
    cohort.add_argument("--ordinary", type=int, default=PLAN.ordinary, help="how many others")
    cohort.add_argument("--out", type=Path, default=FOLDER, help="a folder, empty or not there")
    cohort.add_argument("--seed", type=int, default=PLAN.seed, help="another gives others")
    cohort.add_argument(
        "--as-of", type=date.fromisoformat, default=PLAN.as_of, help="the reference date"
    )
    for other, module in _OTHERS.items():
        commands.add_parser(other, help=f"see {module}")
    chosen = parser.parse_args(arguments)
    plan = Plan(chosen.net, chosen.ordinary, chosen.seed, chosen.as_of)
    make_cohort(plan, chosen.out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
