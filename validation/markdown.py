"""Tables and rates as Markdown, and their place in a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from validation.rates import Rate

_MARK: Final = "<!-- {} -->"
_END: Final = "<!-- end -->"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(head), *(list(map(str, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(rate: Rate) -> str:
    """A rate with its interval and counts."""
    if rate.interval is None or rate.share is None:
        return "–"
    low, high = rate.interval
    return f"{rate.share:.1%} ({low:.1%} to {high:.1%}; {rate.hits} of {rate.of})"


def short(rate: Rate) -> str:
    """A rate alone."""
    return "–" if rate.share is None else f"{rate.share:.1%}"


def between(text: str, marker: str, content: str) -> str:
    """A text with other content between a marker and the end marker that follows it.

    Raises:
        ValueError: the text lacks them.
    """
    start = text.index(_MARK.format(marker)) + len(_MARK.format(marker))
    end = text.index(_END, start)
    return f"{text[:start]}\n\n{content.strip()}\n\n{text[end:]}"
