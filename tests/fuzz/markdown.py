"""What a GitHub-flavoured renderer with HTML and automatic links makes of Markdown."""

from __future__ import annotations

from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

_TEXT_ALONE = frozenset(
    f"{kind}_{end}"
    for kind in ("paragraph", "bullet_list", "list_item")
    for end in ("open", "close")
) | {"inline", "text", "softbreak"}


@cache
def _renderer() -> MarkdownIt:
    return MarkdownIt("gfm-like", {"html": True, "linkify": True})


def tokens(markdown: str) -> list[Token]:
    """The parts of a document, those inside lines included."""
    blocks = _renderer().parse(markdown)
    return [*blocks, *(child for block in blocks for child in block.children or ())]


def made_of_text_alone(markdown: str) -> bool:
    """Whether it is nothing but text in paragraphs and lists: no HTML, link, image or emphasis."""
    return {token.type for token in tokens(markdown)} <= _TEXT_ALONE
