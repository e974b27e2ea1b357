"""Makes text that comes from data harmless in Markdown, in HTML, and to the eye.

What a record, a server or a site wrote is reduced to characters that no Markdown renderer can read
as a link, an image, HTML, emphasis, code or a table, with or without automatic linking. Reduced
rather than escaped: some EHRs show the backslashes of an escape, and some render the result a
second time. What it meant stays readable: ``10*9/L`` becomes ``10⁹/L``, ``<3`` stays. The exact
text is in the report that goes with the card.

Nothing here backtracks: each pattern looks at single characters and their neighbours.
"""

from __future__ import annotations

import re
import unicodedata

MARK = "…"
LONGEST = 300

# Most clinical text has only these characters, and nothing is to be done.
_SPECIAL = re.compile(
    r"[^A-Za-z0-9 ,;()%+=?./:\u00b2\u00b3\u00b5\u00b9\u00d7\u2013\u2070-\u2079\u2264\u2265-]"
)

_POWER_OF_TEN = re.compile(r"(?<=10)\*(\d{1,2})(?!\d)")
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_LOOKALIKES = str.maketrans(
    {
        "`": "'",
        "*": "\N{ASTERISK OPERATOR}",
        "~": "\N{TILDE OPERATOR}",
        "[": "(",
        "]": ")",
        "|": "\N{BROKEN BAR}",
        "\\": "\N{SET MINUS}",
        "@": " @ ",
    }
)
# A tag starts with "<" and a letter, "/", "!" or "?"; before anything else "<" is a comparison.
_TAG_START = re.compile(r"<(?![ =.\d])")
_TAG_END = re.compile(r">(?![ =.\d])")
_ENTITY = re.compile(r"&(?! )")
# Underscores inside a word mean nothing to Markdown; at its edge they are emphasis.
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
# Renderers link "https://x", "//x", "www.x.y" and "x.com": a space takes each apart.
_SLASHES = re.compile(r"/(?=/)|:(?=/)")
# A dot before a digit is none of a domain ("C7A.012"), but "www." alone makes one.
_DOMAIN_DOT = re.compile(r"\.(?=[^\W\d])|(?<=www)\.(?=\w)", re.IGNORECASE)
_NUMBERED = re.compile(r"\d+[.)](?!\d)")
_SPACES = re.compile(r"\s+")

_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_MOST_MARKS = 2


def plain(text: str, limit: int = LONGEST) -> str:
    """Text from data, fit to stand inside a line of Markdown.

    Args:
        text: anything.
        limit: the greatest length of the result; longer text is cut, with a mark.
    """
    # Cut first, so that ten megabytes cost no more than a line; what is dropped below leaves room.
    start = text[: 4 * limit]
    clean = start if _is_plain(start) else _reduced(start)
    if len(clean) > limit or len(text) > len(start):
        clean = clean[: limit - len(MARK)].rstrip() + MARK
    return clean.strip()


def inside(title: str) -> str:
    """A title as it stands inside a sentence; an abbreviation keeps its capitals."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def starts_line(text: str) -> str:
    """Harmless text fit to stand first in a block, where ``#``, ``-`` or ``1.`` mean something."""
    harmless = text[:1].isalpha() or (text[:1].isdigit() and not _NUMBERED.match(text))
    return text if harmless or not text else f"“{text}”"


def _is_plain(text: str) -> bool:
    if _SPECIAL.search(text) or _DOMAIN_DOT.search(text):
        return False
    return not ("//" in text or ":/" in text or "  " in text or "www." in text.lower())


def _reduced(text: str) -> str:
    text = "".join(_visible(unicodedata.normalize("NFC", text)))
    text = _POWER_OF_TEN.sub(lambda found: found[1].translate(_SUPERSCRIPT), text)
    text = _TAG_START.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", text)
    text = _TAG_END.sub("\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}", text)
    text = _ENTITY.sub("+", text)
    text = _EMPHASIS.sub("-", text)
    text = text.translate(_LOOKALIKES)
    text = _SLASHES.sub(r"\g<0> ", text)
    text = _DOMAIN_DOT.sub(". ", text)
    return _SPACES.sub(" ", text)


def _visible(text: str) -> list[str]:
    """Leave out what is unseen or changes how the rest is shown: controls, bidi, stacked marks."""
    kept: list[str] = []
    marks = 0
    for char in text:
        kind = unicodedata.category(char)
        marks = marks + 1 if kind[0] == "M" else 0
        if kind[0] == "Z" or char in "\t\n\r\v\f\x85":
            kept.append(" ")
        elif kind[0] != "C" and marks <= _MOST_MARKS and char not in _INVISIBLE:
            kept.append(char)
    return kept
