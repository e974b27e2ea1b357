"""Fuzzes one target: ``python -m tests.fuzz TARGET --seconds N``.

Ends with exit code 0 where nothing was found. What was found is written to ``build/fuzz``; once it
is fixed, it belongs into ``tests/fuzz/found/TARGET``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

# Instrumented as they are imported, so that atheris sees which branches an input takes.
with atheris.instrument_imports(include=["cds_service"], enable_loader_override=False):
    from tests.fuzz.corpus import seeds
    from tests.fuzz.mutator import mutated
    from tests.fuzz.targets import TARGETS

FINDINGS = Path("build/fuzz")
# Longer inputs take longer than they find more.
_LONGEST = 32 * 1024
# Whose inputs are JSON, or lines of it.
_JSON = {"bundle", "ndjson", "hook", "feedback", "token"}
# One input that takes so many seconds, with every branch counted, is a finding.
_SLOWEST_S = 60


def main() -> None:
    """Fuzz until the time or the runs are up, or something is found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=0, help="for how long; 0 for any time")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs; -1 for any number")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices; 0 for another")
    parser.add_argument("--findings", type=Path, default=FINDINGS, help="where inputs are kept")
    told = parser.parse_args()
    told.findings.mkdir(parents=True, exist_ok=True)
    # Never removed by us: atheris ends the process itself.
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as corpus:
        for number, seed in enumerate(seeds(told.target)):
            (Path(corpus) / f"seed{number}").write_bytes(seed)
        options = [
            f"-max_total_time={told.seconds}",
            f"-runs={told.runs}",
            f"-seed={told.seed}",
            f"-max_len={_LONGEST}",
            f"-timeout={_SLOWEST_S}",
            f"-artifact_prefix={told.findings}/{told.target}-",
            "-print_final_stats=1",
        ]
        named = {"custom_mutator": _mutate} if told.target in _JSON else {}
        atheris.Setup([sys.argv[0], *options, corpus], TARGETS[told.target], **named)
        atheris.Fuzz()


def _mutate(data: bytes, most: int, seed: int) -> bytes:
    return mutated(data, most, seed, atheris.Mutate)


if __name__ == "__main__":
    main()
