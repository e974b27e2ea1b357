"""Text from data is harmless, and what it meant can still be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cds_service.cards.text import LONGEST, plain, starts_line

# What renderers make links of by themselves, with or without a scheme (GFM "autolinks (extension)",
# and the bare domains that linkify-it adds).
_AUTOLINK = re.compile(
    r"(?i)(https?|ftp)://|//\S|\bwww\.\S|[\w.+-]+@[\w-]+|\w\.[^\W\d_]{2}|mailto:\S+@|xmpp:\S+@"
)
_TEXT_ONLY = {"paragraph_open", "paragraph_close", "inline", "text", "bullet_list_open"}
_TEXT_ONLY |= {"bullet_list_close", "list_item_open", "list_item_close"}


def token_types(markdown: str) -> set[str]:
    """What a renderer makes of Markdown, with HTML, tables and strikethrough on."""
    renderer = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    tokens = renderer.parse(markdown)
    return {token.type for token in tokens} | {
        child.type for token in tokens for child in token.children or ()
    }


def is_harmless(text: str) -> bool:
    """Whether text becomes nothing but text, in a list where blocks could start."""
    return token_types(f"- {starts_line(text)}") <= _TEXT_ONLY and not _AUTOLINK.search(text)


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<iframe srcdoc="<script>parent.x=1</script>">',
    "</div>",
    "<!-- comment -->",
    "<?php ?>",
    "<https://evil.example>",
    "&lt;script&gt;&#60;b&#62;",
    "[click](https://evil.example)",
    "![x](https://evil.example/p?mrn=1)",
    "[ref]: https://evil.example",
    "javascript:alert(1)",
    "https://evil.example/?q=1",
    "//evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "ftp://evil.example",
    "www.evil.com",
    "www.3com.com",
    "WWW.evil.com",
    "see evil.com now",
    "a_b.evil.com",
    "mail me@evil.example",
    "mailto:me@evil.example",
    "xmpp:me@evil.example/x",
    "ww\u200bw.evil.com",
    "h\u00adttps://evil.example",
    "a | b | c\n--- | --- | ---\n1 | 2 | 3",
    "# heading",
    "text\n===",
    "text\n---",
    "---",
    "***",
    "> quote",
    "- item",
    "+ item",
    "1. item",
    "1) item",
    "- [x] task",
    "    code",
    "\tcode",
    "```\ncode\n```",
    "~~~\ncode",
    "`code`",
    "**bold** *em* __bold__ _em_",
    "10*9/L and 10*9/L",
    "~~gone~~",
    "\\*x\\*",
    "line one  \nline two",
    "line one\\\nline two",
    "\u202eELIGIBLE\u202c",
    "\u2066x\u2069\u200e",
    "a\x00b\x1b[31m",
    "Z\u0300" + "\u0301" * 50,
    "[^1]",
    ":::note",
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_gives_only_text(text: str) -> None:
    """No link, image, HTML, emphasis, code, table or block."""
    assert is_harmless(plain(text))


@given(st.text())
def test_any_text_gives_only_text(text: str) -> None:
    """Nor does anything else that a string can hold."""
    assert is_harmless(plain(text))


@given(st.text(alphabet="<>&|`*_[]()!#-+.1 :/@wevil\n\\~=", max_size=40))
def test_any_mix_of_special_characters_gives_only_text(text: str) -> None:
    """In whatever order they come."""
    assert is_harmless(plain(text))


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    """No control, no direction, no zero width."""
    assert plain(text).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "Haemoglobin 91 g/L on 2026-11-10 (needs ≥ 80 g/L)",
        "9.1 g/dL",
        "<50 copies/mL",
        "< 50 and > 3",
        "<= 5",
        "mL/min/{1.73_m2}",
        "Observation/abc-1.2",
        "12 µmol/L",
        "1.5 × ULN",
        "Smith & Sons",
        "Tumeur neuroendocrine de l'iléon",
        "神経内分泌腫瘍",
        "-5",
        "C7A.012",
    ],
)
def test_clinical_text_stays_as_it_is(text: str) -> None:
    """What a clinician writes is not garbled."""
    assert text == plain(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("75 10*3/uL", "75 10³/uL"),
        ("1.2 10*12/L", "1.2 10¹²/L"),
        ("mm[Hg]", "mm(Hg)"),
        ("two\n\nlines\t\there", "two lines here"),
    ],
)
def test_units_are_shown_readably(text: str, shown: str) -> None:
    """UCUM has the characters of Markdown; what they mean stays."""
    assert shown == plain(text)


def test_long_text_is_cut_with_a_mark() -> None:
    """Within the limit, mark included."""
    shown = plain("x" * 10_000)

    assert LONGEST == len(shown)
    assert shown.endswith("x…")


def test_text_that_is_long_only_by_what_is_left_out_carries_the_mark() -> None:
    """What came after is lost, and that is told."""
    assert "x…" == plain("x" + "\u200b" * 10_000 + "z", 3)


def test_ten_megabytes_cost_no_more_than_a_line() -> None:
    """Only the start is looked at."""
    assert plain("*" * 10_000_000, 20).endswith("…")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Platelets", "Platelets"),
        ("9.1 g/dL", "9.1 g/dL"),
        ("1. x", "“1. x”"),
        ("# x", "“# x”"),
        ("-5", "“-5”"),
        ("", ""),
    ],
)
def test_what_would_start_a_block_is_quoted(text: str, shown: str) -> None:
    """Headings, items and numbers mean something only there."""
    assert shown == starts_line(text)
