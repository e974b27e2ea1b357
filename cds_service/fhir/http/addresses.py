"""Which addresses may be read: decided on their text alone, before any name is looked up.

Everything is refused that two parsers might read in two ways, instead of being repaired: user
information, backslashes, encoded dots and slashes, dot segments, anything outside ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urljoin, urlsplit

_BASE: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?"
    r"(?P<path>(?:/[a-z0-9._~!$&'()*+,;=:@-]+)*)/?",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_PRINTABLE: Final = re.compile(r"[!-\[\]-~]+", re.ASCII)
_ORIGIN: Final = re.compile(r"[a-z]+://[^/?#]*", re.IGNORECASE)
# An encoded dot, slash, backslash, NUL or percent sign may become another path on the other side.
_DISGUISED: Final = re.compile(r"%(?:2e|2f|5c|00|25)", re.IGNORECASE)


def server_base(url: str) -> str | None:
    """The canonical form of a FHIR base URL: lower-case origin, no default port, no last slash.

    None for what is no plain ``http(s)://host[:port]/path``: user information, query, fragment,
    percent signs, backslashes, dot segments and anything outside ASCII are refused, not repaired.
    """
    found = _BASE.fullmatch(url)
    if found is None or not _PRINTABLE.fullmatch(url) or _has_dot_segment(found["path"]):
        return None
    scheme, port = found["scheme"].lower(), found["port"]
    origin = f"{scheme}://{found['host'].lower()}"
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        origin += f":{port}"
    return origin + found["path"]


def allowed_server(url: str, allow_list: Iterable[str]) -> str | None:
    """The canonical base URL, if the list has exactly that origin and base path; else None.

    Decided on the text alone, before any name is looked up. Plain http is allowed only where an
    entry of the list itself is http.
    """
    base = server_base(url)
    return base if base is not None and base in map(server_base, allow_list) else None


def address_on(base_url: str, url: str) -> str | None:
    """The absolute address of a relative URL or a link, None where it is not on this server.

    On this server means: same scheme, host and port, and the base path itself or below it.

    Args:
        base_url: the server, as :func:`server_base` writes it.
        url: relative to the base, or absolute.
    """
    if not _PRINTABLE.fullmatch(url) or "#" in url:
        return None
    try:
        if _leads_elsewhere(url):
            return None
        full = urljoin(f"{base_url}/", _with_plain_origin(url))
    except ValueError:
        return None
    # Compared as text, so that whatever a parser might make of it, it starts as the base does.
    return full if below(base_url, full) and full != base_url else None


def below(base_url: str, address: str) -> bool:
    """Whether the text of an absolute address goes on from the base with a path or a query."""
    return address.startswith((f"{base_url}/", f"{base_url}?"))


def origin_of(url: str) -> str | None:
    """The canonical origin of an absolute URL; None where it has none that is plain."""
    found = _ORIGIN.match(url)
    return None if found is None else server_base(found[0])


def _with_plain_origin(url: str) -> str:
    """The URL with its origin, if it has one, written as the base URL writes it."""
    found = _ORIGIN.match(url)
    if found is None:
        return url
    return f"{server_base(found[0]) or found[0]}{url[found.end() :]}"


def _leads_elsewhere(url: str) -> bool:
    """Whether the path would change where it is resolved or decoded."""
    path = urlsplit(url).path
    return _has_dot_segment(path) or _DISGUISED.search(path) is not None


def _has_dot_segment(path: str) -> bool:
    return any(segment in {".", ".."} for segment in path.split("/"))
