"""Prints a report: JSON for programs, Markdown for documents, tables for a terminal."""

from __future__ import annotations

import io
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cds_service.cards.detail import report_markdown
from cds_service.cards.text import plain
from cds_service.comparison import Comparison
from cds_service.errors import one_line
from cds_service.report import CriterionResult, Report, Status, report_json
from cds_service.trial.schema import Trial

# A mark beside the word, so that no status is told by colour alone.
_STYLES: dict[Status, tuple[str, str]] = {
    "met": ("✓", "green"),
    "not_applicable": ("–", "green"),
    "unknown": ("?", "yellow"),
    "needs_confirmation": ("◌", "cyan"),
    "not_met": ("✗", "bold red"),
}
# What can still change the result comes first.
_ORDER: tuple[Status, ...] = ("not_met", "unknown", "needs_confirmation", "met", "not_applicable")


def print_report(report: Report, trial: Trial, form: str) -> None:
    """Print a report on standard output.

    Args:
        form: ``json``, ``markdown`` or ``text``.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character shows a question mark, and the report goes on.
        sys.stdout.reconfigure(errors="replace")
    if form == "json":
        sys.stdout.buffer.write(report_json(report) + b"\n")
        sys.stdout.buffer.flush()
    elif form == "markdown":
        sys.stdout.write(report_markdown(report, trial).rstrip() + "\n")
    else:
        _print_text(report, trial, Console(highlight=False))


def print_comparison(chart: str, comparison: Comparison) -> None:
    """Print how two versions of a trial judge one chart: one line, and one for each difference."""
    same = "the same" if comparison.same else f"{comparison.before} → {comparison.after}"
    print(f"{one_line(chart)}: {same.replace('_', ' ')}")  # noqa: T201  (what a command prints)
    for one in comparison.differences:
        print(f"  {one.criterion}: {one.before or 'absent'} → {one.after or 'absent'}")  # noqa: T201


def _print_text(report: Report, trial: Trial, console: Console) -> None:
    head = Text.assemble(
        (f"{trial.title}  ", "bold"), f"{one_line(report.subject)}, as of {report.as_of}: ",
        (report.overall.replace("_", " "), "bold"),
    )  # fmt: skip
    console.print(head)
    console.print(trial.card.detail.results.of(report.overall), markup=False)
    for status in _ORDER:
        _print_status(report, status, console)
    if report.outlook:
        console.print(Text(f"{trial.card.detail.headings.outlook}:", style="bold"))
    for segment in report.outlook:
        result = segment.overall.replace("_", " ")
        console.print(f" {segment.start} to {segment.through}: {result}")
    for line in (*report.unread, *report.advisories):
        console.print(Text(f"! {plain(line)}", style="yellow"))
    for issue in report.data_issues:
        where = one_line(issue.reference)
        console.print(Text(f"data: {where}: {issue.code}: {plain(issue.message)}", "dim"))
    if report.unmapped_drugs:
        drugs = trial.common.unmapped_drugs.format(drugs=", ".join(report.unmapped_drugs))
        console.print(Text(plain(drugs), style="dim"))
    console.print(Text(f"{report.notice} ({trial.registry}, {trial.version})", style="dim"))


def _print_status(report: Report, status: Status, console: Console) -> None:
    results = [one for one in report.criteria if one.status == status]
    if not results:
        return
    mark, style = _STYLES[status]
    console.print(Text(f"{mark} {status.replace('_', ' ')}", style=style))
    # One width for all, so that the tables stand below one another as if they were one.
    widest = max(len(one.id) for one in report.criteria)
    table = Table(box=None, padding=(0, 1), show_header=False, pad_edge=False)
    table.add_column(width=1)
    table.add_column(no_wrap=True, min_width=widest)
    table.add_column(overflow="fold")
    for result in results:
        table.add_row("", result.id, _said(result))
    console.print(table)


def _said(result: CriterionResult) -> Text:
    parts = [result.summary, *result.advisories]
    if result.valid_through is not None and result.status in ("met", "not_applicable"):
        parts.append(f"holds through {result.valid_through}")
    if result.eligible_from is not None:
        parts.append(f"can be met from {result.eligible_from}")
    said = Text("; ".join(plain(part, 400) for part in parts if part))
    sources = ", ".join(dict.fromkeys(one_line(one.reference) for one in result.evidence))
    if sources:
        said.append(f" [{sources}]", "dim")
    for one in result.missing:
        said.append(f"\n→ {'order' if one.kind == 'order' else 'ask'}: {plain(one.label)}", "cyan")
    return said
