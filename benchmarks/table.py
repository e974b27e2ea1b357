"""A table of figures, for a reader and for a program."""

from __future__ import annotations

from typing import Any


class Table:
    """Rows under named columns, with remarks.

    Args:
        title: what the figures are.
        columns: their names.
    """

    def __init__(self, title: str, columns: tuple[str, ...]) -> None:
        self.title = title
        self.columns = columns
        self.rows: list[tuple[Any, ...]] = []
        self.notes: list[str] = []

    def add(self, *cells: Any) -> None:
        """Add a row."""
        self.rows.append(cells)

    def note(self, text: str) -> None:
        """Add a remark."""
        self.notes.append(text)

    def text(self) -> str:
        """For a reader, in GitHub's Markdown."""
        lines = [self.columns, *(tuple(map(_shown, row)) for row in self.rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.columns))]
        shown = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
        shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([f"## {self.title}", "", *shown, "", *self.notes])

    def plain(self) -> dict[str, Any]:
        """For a program."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 100 else f"{cell:.2f}"
    return "" if cell is None else str(cell)
