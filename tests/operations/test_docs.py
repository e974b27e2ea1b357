"""``docs/operations.md`` lists what there is: each series with its labels, each key of the log."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from cds_service.cdshooks.log import KEYS
from cds_service.cdshooks.notes import UNPARSED_REASONS
from cds_service.cdshooks.refusals import _USUAL
from cds_service.operations.drain import Drain
from cds_service.operations.labels import REFUSALS, SecurityReason, ShedReason
from cds_service.operations.series import Series
from cds_service.operations.tracing import SpanName
from cds_service.serving import GRACE_S
from cds_service.store.database import _POSTGRESQL_WORDS, _SQLITE_WORDS
from cds_service.store.observing import TOO_LATE
from cds_service.trust.jwks import KeysReason

_LOGGER = re.compile(r"(self\.)?_?logger\.(info|warning|error)")

PACKAGE = Path(__file__).resolve().parents[2] / "cds_service"
TEXT = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text("utf-8")


def section(title: str) -> str:
    """A section of the document."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_metrics() -> None:
    """Names and labels, all of them and in order."""
    documented = {
        name: tuple(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(
            r"^\| `(cds_\w+)` \| ([^|]*)\|", section("Metrics"), re.MULTILINE
        )
    }
    series = vars(Series(CollectorRegistry())).values()
    existing = {}
    for one in series:
        if isinstance(one, MetricWrapperBase):
            suffix = "_total" if one._type == "counter" else ""
            existing[f"{one._name}{suffix}"] = tuple(one._labelnames)

    assert existing == documented


def written() -> tuple[set[str], set[str]]:
    """The events and the keys that the code writes, as it stands."""
    events: set[str] = set()
    # What the processors add to every line, or to every line of a request.
    keys = {"event", "level", "timestamp", "request_id", "trace_id"}
    for file in sorted(PACKAGE.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(call, ast.Call) and (said := _said(call)) is not None:
                events.add(said)
                keys |= {str(named.arg) for named in call.keywords}
    return events, keys


def _said(call: ast.Call) -> str | None:
    """The event of a call that writes a line; ``callback(logger.info, "event")`` is one."""
    name, arguments = ast.unparse(call.func), call.args
    if arguments and _LOGGER.fullmatch(ast.unparse(arguments[0])):
        name, arguments = ast.unparse(arguments[0]), arguments[1:]
    if not _LOGGER.fullmatch(name) or not arguments:
        return None
    assert isinstance(arguments[0], ast.Constant), ast.unparse(call)
    return str(arguments[0].value)


def test_log() -> None:
    """Every key and every event that the code writes, and no other; none is left out unseen."""
    events, keys = written()
    table = section("Logs").partition("\n### ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))

    assert keys == KEYS
    assert keys == set(rows)
    assert {"hook", "refused", "store"} < events
    assert events == set(re.findall(r"`(\w+)`", rows["event"]))


def test_reasons_of_the_log() -> None:
    """The words of each event that has a reason are listed."""
    text = section("Logs")
    words = {
        *_USUAL.values(),
        *get_args(SecurityReason),
        *get_args(ShedReason),
        *get_args(KeysReason),
        *UNPARSED_REASONS.values(),
        *(
            word.replace(" ", "-")
            for word in (*_SQLITE_WORDS.values(), *_POSTGRESQL_WORDS.values())
        ),
        *("store", "deadline", "unknown-card", "no-such-service", "unlisted", TOO_LATE),
    }

    assert set() == {word for word in words if f"`{word}`" not in text}


def test_spans() -> None:
    """Their names."""
    assert all(f"`{name}`" in section("Traces") for name in SpanName.__args__)  # type: ignore[attr-defined]


def test_grace() -> None:
    """The seconds between unready and the end of listening."""
    assert f"goes on answering for {GRACE_S:g} seconds" in section("End")
    assert not Drain().begun


def test_runbook_reasons() -> None:
    """Reasons of refusals in the runbook are those that are counted."""
    row = next(line for line in TEXT.splitlines() if line.startswith("| Many 401"))
    named = set(re.findall(r"`([a-z-]+)`", row)) - {"cds_unauthenticated_total"}

    assert named
    assert named <= set(REFUSALS)
