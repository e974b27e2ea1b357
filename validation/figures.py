"""Line charts as SVG: what happens to a share as the dial of mess is turned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import msgspec

_WIDTH: Final = 760
_HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 210, 44, 48
# Told apart by people with any colour vision (after Okabe and Ito), and by dashes as well.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000")
_DASHES: Final = ("", "7 4", "2 3")
_LABEL_HEIGHT: Final = 15
_TICKS: Final = 5
_OPENING: Final = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
    'font-family="sans-serif" font-size="12" role="img">'
)


class LineChart(msgspec.Struct, frozen=True):
    """Shares by level, one line for each kind.

    Args:
        title: what is shown.
        x_label: what the levels are.
        lines: by name, (level, share) pairs, both 0 to 1; a share of None is left out.
        lowest: where the vertical axis begins.
    """

    title: str
    x_label: str
    lines: Mapping[str, Sequence[tuple[float, float | None]]]
    lowest: float = 0.0

    def svg(self) -> str:
        """The chart as an SVG document."""
        parts = [
            _OPENING,
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            _text(_LEFT, 22, self.title, size=15),
            *self._axes(),
            *self._drawn(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _x(self, level: float) -> float:
        farthest = max((x for line in self.lines.values() for x, _ in line), default=0) or 1
        return _LEFT + level / farthest * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, share: float) -> float:
        height = _HEIGHT - _TOP - _BOTTOM
        return _TOP + (1 - (share - self.lowest) / (1 - self.lowest)) * height

    def _axes(self) -> list[str]:
        found = []
        for tick in range(_TICKS + 1):
            share = self.lowest + (1 - self.lowest) * tick / _TICKS
            y = self._y(share)
            found.append(
                f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                'stroke="#dddddd"/>'
            )
            found.append(_text(_LEFT - 8, y + 4, f"{share:.0%}", anchor="end"))
        bottom = _HEIGHT - _BOTTOM
        levels = sorted({x for line in self.lines.values() for x, _ in line})
        found += [_text(self._x(x), bottom + 18, f"{x:.0%}", anchor="middle") for x in levels]
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        return [*found, _text(middle, bottom + 38, self.x_label, anchor="middle")]

    def _drawn(self) -> list[str]:
        found, ends = [], []
        for number, (name, line) in enumerate(self.lines.items()):
            points = [(self._x(x), self._y(y)) for x, y in line if y is not None]
            if not points:
                continue
            colour = _COLOURS[number % len(_COLOURS)]
            dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            found.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
                f'stroke-dasharray="{dash or "none"}"/>'
            )
            ends.append((points[-1][1], name, colour))
        return found + _labels(ends)


def _labels(ends: list[tuple[float, str, str]]) -> list[str]:
    """The names at the ends of the lines, moved down where they would cover one another."""
    found, free = [], 0.0
    room = _HEIGHT - _BOTTOM
    overflow = 0.0
    ends = sorted(ends, key=lambda end: end[0])
    for y, _, _ in ends:
        free = max(y, free) + _LABEL_HEIGHT
        overflow = free - _LABEL_HEIGHT - room
    free = 0.0
    for y, name, colour in ends:
        at = max(y - max(overflow, 0), free)
        free = at + _LABEL_HEIGHT
        found.append(_text(_WIDTH - _RIGHT + 8, at + 4, name, colour=colour))
    return found


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: int = 12,
    colour: str = "#333333",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{colour}">{escape(words)}</text>'
    )
