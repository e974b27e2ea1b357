"""Makes JSON that stands in the way of everything else readable, without touching what it says.

Only for what a decoder has refused: strings with half a character in them, and elements nested
deeper than any FHIR resource. Both spoil one element; neither may hide a whole chart.
"""

from __future__ import annotations

import re

# The deepest R4 resources nest about thirty levels; the decoder gives up somewhat below a thousand.
_DEEPEST = 200
# A string, or a bracket outside of strings.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
# An escaped backslash, a whole surrogate pair, or half of one.
_ESCAPE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_HALF_LENGTH = len(rb"\ud800")


def repaired(data: bytes) -> bytes:
    """JSON text with valid characters only, and with a 0 for everything that is nested too deep."""
    text = data.decode("utf-8", "replace").encode()
    return shallow(_ESCAPE.sub(_whole, text))


def shallow(data: bytes) -> bytes:
    """JSON text with a 0 in the place of everything that is nested too deep."""
    kept: list[bytes] = []
    depth = begin = 0
    for token in _TOKEN.finditer(data):
        match token[0]:
            case b"{" | b"[":
                depth += 1
                if depth == _DEEPEST + 1:
                    kept += (data[begin : token.start()], b"0")
            case b"}" | b"]":
                depth -= 1
                if depth == _DEEPEST:
                    begin = token.end()
    return b"".join([*kept, data[begin:]])


def _whole(found: re.Match[bytes]) -> bytes:
    lone = len(found[0]) == _HALF_LENGTH
    return rb"\ufffd" if lone else found[0]
