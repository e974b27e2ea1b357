"""The ways in which a FHIR server goes wrong, each as a fault of :mod:`tests.faults.fake_fhir`.

``GAPS`` are those after which the data of that read cannot be known to be complete; ``SURVIVED``
are odd, and lose nothing. Both name every fault once, for tables of tests.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.faults.fake_fhir import JSON, head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.faults.fake_fhir import Exchange, Fault

OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "exception", "diagnostics": "ZZPHI-diagnostics"}],
}
DRIP_S = 0.8
STALL_S = 30.0


# --- The connection -----------------------------------------------------------------------------


async def reset_at_once(exchange: Exchange) -> None:
    """RST before a byte of the answer."""
    exchange.reset()


async def closed_at_once(exchange: Exchange) -> None:
    """FIN before a byte of the answer."""
    exchange.writer.close()


async def reset_within(exchange: Exchange) -> None:
    """RST in the middle of the body."""
    body = await exchange.good()
    length = [("Content-Type", JSON), ("Content-Length", str(len(body)))]
    await exchange.send(head(200, length) + body[: len(body) // 2])
    await asyncio.sleep(0.01)
    exchange.reset()


async def closed_within(exchange: Exchange) -> None:
    """FIN in the middle of a body that was announced longer."""
    body = await exchange.good()
    length = [("Content-Type", JSON), ("Content-Length", str(len(body)))]
    await exchange.send(head(200, length) + body[: len(body) // 2])
    exchange.writer.close()


async def cut_without_length(exchange: Exchange) -> None:
    """FIN in the middle of a body that no length was announced for."""
    body = await exchange.good()
    await exchange.answer_open(body[: len(body) // 2])


async def cut_to_valid_json(exchange: Exchange) -> None:
    """FIN where what came so far is a JSON document, and no search result."""
    await exchange.answer_open(b'{"resourceType": "Bundle"}\n')


async def hang(exchange: Exchange) -> None:
    """Not a byte, ever."""
    await exchange.client_gone()


async def stall(exchange: Exchange) -> None:
    """Headers and half a body, then nothing for half a minute."""
    body = await exchange.good()
    length = [("Content-Type", JSON), ("Content-Length", str(len(body)))]
    await exchange.send(head(200, length) + body[: len(body) // 2])
    gone = asyncio.ensure_future(exchange.client_gone())
    await asyncio.wait([gone], timeout=STALL_S)
    gone.cancel()


async def drip(exchange: Exchange) -> None:
    """One byte every 0.8 seconds: in time for any timeout that starts anew with each byte."""
    body = await exchange.good()
    await exchange.send(head(200, [("Content-Type", JSON), ("Content-Length", str(len(body)))]))
    gone = asyncio.ensure_future(exchange.client_gone())
    try:
        for byte in body:
            await exchange.send(bytes([byte]))
            if (await asyncio.wait([gone], timeout=DRIP_S))[0]:
                return
    finally:
        gone.cancel()


async def not_http(exchange: Exchange) -> None:
    """Another protocol."""
    await exchange.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    exchange.writer.close()


# --- Status and headers -------------------------------------------------------------------------


def status(code: int, *headers: tuple[str, str]) -> Fault:
    """An HTTP status with an OperationOutcome."""

    async def fault(exchange: Exchange) -> None:
        body = b"" if code in {204, 304} else json.dumps(OUTCOME).encode()
        await exchange.answer(code, body, headers)

    return fault


def good_with_status(code: int) -> Fault:
    """The right body under another status than 200."""

    async def fault(exchange: Exchange) -> None:
        await exchange.answer(code, await exchange.good())

    return fault


def redirect(code: int, to: Callable[[Exchange], str]) -> Fault:
    """A redirect."""

    async def fault(exchange: Exchange) -> None:
        await exchange.answer(code, b"", [("Location", to(exchange))])

    return fault


def to_canary(exchange: Exchange) -> str:
    """The same request at the canary."""
    return f"{_canary(exchange)}{exchange.request.target}"


def to_plain_http(exchange: Exchange) -> str:
    """The same request on this server with another scheme."""
    scheme = "http" if exchange.server.origin.startswith("https") else "https"
    return f"{scheme}://{exchange.server.origin.partition('://')[2]}{exchange.request.target}"


def to_sibling(exchange: Exchange) -> str:
    """Another base path of this server."""
    return f"{exchange.server.origin}/other{exchange.request.target}"


def content(body: bytes, content_type: str | None = JSON) -> Fault:
    """A body under status 200."""

    async def fault(exchange: Exchange) -> None:
        await exchange.answer(200, body, content_type=content_type)

    return fault


def typed(content_type: str | None) -> Fault:
    """The right body under a media type."""

    async def fault(exchange: Exchange) -> None:
        await exchange.answer(200, await exchange.good(), content_type=content_type)

    return fault


def with_headers(*headers: tuple[str, str]) -> Fault:
    """The right answer with more headers."""

    async def fault(exchange: Exchange) -> None:
        await exchange.answer(200, await exchange.good(), headers)

    return fault


def length_of(more: int) -> Fault:
    """The right body under a length that lies, and the connection closed after it."""

    async def fault(exchange: Exchange) -> None:
        body = await exchange.good()
        lines = [("Content-Type", JSON), ("Content-Length", str(len(body) + more))]
        await exchange.send(head(200, lines) + body)
        exchange.writer.close()

    return fault


# --- Too much -----------------------------------------------------------------------------------


@cache
def bomb(times: int, megabytes: int) -> bytes:
    """Zeros, compressed several times over."""
    data = bytes(megabytes * 1_000_000)
    for _ in range(times):
        data = gzip.compress(data, 6)
    return data


def compressed(times: int, megabytes: int = 20, *, announced: bool = True) -> Fault:
    """A small body that becomes a large one."""

    async def fault(exchange: Exchange) -> None:
        encoding = [("Content-Encoding", ", ".join(["gzip"] * times))] if announced else []
        await exchange.answer(200, bomb(times, megabytes), encoding)

    return fault


def page_of_bytes(megabytes: int, *, announced: bool) -> Fault:
    """A page that is mostly narrative."""

    async def fault(exchange: Exchange) -> None:
        begin = b'{"resourceType":"Bundle","type":"searchset","link":[],"x":"'
        length = len(begin) + megabytes * 1_000_000 + 2
        lines = [("Content-Type", JSON)]
        lines += [("Content-Length", str(length))] if announced else [("Connection", "close")]
        await exchange.send(head(200, lines) + begin)
        for _ in range(megabytes):
            await exchange.send(b"x" * 1_000_000)
        await exchange.send(b'"}')
        exchange.writer.close()

    return fault


def page_of_entries(count: int) -> Fault:
    """A page with very many small entries."""

    async def fault(exchange: Exchange) -> None:
        kind = exchange.request.kind
        entries = (f'{{"resource":{{"resourceType":"{kind}","id":"{n}"}}}}' for n in range(count))
        begin = '{"resourceType":"Bundle","type":"searchset","link":[],"entry":['
        await exchange.answer(200, f"{begin}{','.join(entries)}]}}".encode())

    return fault


# --- What a page says ---------------------------------------------------------------------------


def changed(change: Callable[[Exchange, dict[str, Any]], None]) -> Fault:
    """The right answer, changed."""

    async def fault(exchange: Exchange) -> None:
        bundle = json.loads(await exchange.good())
        change(exchange, bundle)
        await exchange.answer(200, json.dumps(bundle).encode())

    return fault


def next_page(address: Callable[[Exchange], str]) -> Fault:
    """The right answer with a next link, and with one entry at least."""

    def change(exchange: Exchange, bundle: dict[str, Any]) -> None:
        _relink(bundle, "next", address(exchange))
        bundle.setdefault("entry", [_entry(_foreign(exchange, "of-a-page"))])

    return changed(change)


def to_itself(exchange: Exchange) -> str:
    """The same page."""
    return f"{exchange.server.origin}{exchange.request.target}"


def back_and_forth(exchange: Exchange) -> str:
    """Page 2 from page 1, page 1 from page 2."""
    there = to_itself(exchange)
    return there.removesuffix("&_fake=2") if "_fake=2" in there else f"{there}&_fake=2"


def ever_new(exchange: Exchange) -> str:
    """A page that was not there before."""
    before, _, number = to_itself(exchange).partition("&_fake=")
    return f"{before}&_fake={int(number or 1) + 1}"


async def more_after_nothing(exchange: Exchange) -> None:
    """A next link on a page without entries."""

    def change(_: Exchange, bundle: dict[str, Any]) -> None:
        bundle.pop("entry", None)
        _relink(bundle, "next", ever_new(exchange))

    await changed(change)(exchange)


def second_page(fault: Fault) -> Fault:
    """Three pages announced, of which the second goes wrong."""

    async def either(exchange: Exchange) -> None:
        if exchange.request.asks("_fake"):
            await fault(exchange)
        else:
            await next_page(ever_new)(exchange)

    return either


def _at(address: str) -> Callable[[Exchange], str]:
    """A next link of any form; the parts in braces are filled in."""

    def build(exchange: Exchange) -> str:
        server = exchange.server
        return address.format(
            canary=_canary(exchange).partition("://")[2],
            here=server.origin.partition("://")[2],
            scheme=server.origin.partition("://")[0],
            other="https" if server.origin.startswith("http:") else "http",
            target=exchange.request.target,
        )

    return build


FOREIGN_LINKS = {
    "next-off-host": "{scheme}://{canary}{target}",
    "next-other-base": "{scheme}://{here}/other{target}",
    "next-without-scheme": "//{canary}{target}",
    "next-other-scheme": "{other}://{here}{target}",
    "next-with-user": "{scheme}://{here}@{canary}{target}",
    "next-up-and-away": "{scheme}://{here}/fhir/../other{target}",
}


def foreign_next(name: str) -> Fault:
    """A next link that leads away from the base."""
    return next_page(_at(FOREIGN_LINKS[name]))


def _others_rows(exchange: Exchange, bundle: dict[str, Any]) -> None:
    """The filter on the patient ignored, and the server says so in its self link."""
    kind = exchange.request.kind
    _relink(bundle, "self", f"{exchange.server.base}/{kind}?_count=200")
    rows = [_entry(_foreign(exchange, f"foreign-{number}")) for number in range(3)]
    bundle["entry"] = [*bundle.get("entry", []), *rows]
    bundle.pop("total", None)


def _more_in_total(_: Exchange, bundle: dict[str, Any]) -> None:
    bundle["total"] = len(bundle.get("entry", [])) + 5


def _with_outcome(severity: str) -> Callable[[Exchange, dict[str, Any]], None]:
    def change(_: Exchange, bundle: dict[str, Any]) -> None:
        issue = OUTCOME["issue"][0] | {"severity": severity}  # type: ignore[operator]
        outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
        row = {"resource": outcome, "search": {"mode": "outcome"}}
        bundle["entry"] = [*bundle.get("entry", []), row]

    return change


def _of_another_kind(_: Exchange, bundle: dict[str, Any]) -> None:
    bundle["type"] = "history"


def _with_broken_entry(_: Exchange, bundle: dict[str, Any]) -> None:
    bundle["entry"] = [*bundle.get("entry", []), {"resource": "ZZPHI"}]


def _foreign(exchange: Exchange, identity: str) -> dict[str, Any]:
    """A resource of another patient."""
    reference = {"reference": "Patient/somebody-else"}
    kind = exchange.request.kind
    name = "patient" if kind == "Consent" else "subject"
    return {"resourceType": kind, "id": identity, "status": "final", name: reference}


def _entry(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "search": {"mode": "match"}}


def _relink(bundle: dict[str, Any], relation: str, url: str) -> None:
    links = [link for link in bundle.get("link", []) if link["relation"] != relation]
    bundle["link"] = [*links, {"relation": relation, "url": url}]


def _canary(exchange: Exchange) -> str:
    assert exchange.server.canary is not None, "this fault leads to a canary"
    return exchange.server.canary.origin


def once(fault: Fault) -> Fault:
    """A fault of the first request for each address; from then on all is well."""
    seen: set[str] = set()

    async def either(exchange: Exchange) -> None:
        if exchange.request.target in seen:
            await exchange.answer(200, await exchange.good())
        else:
            seen.add(exchange.request.target)
            await fault(exchange)

    return either


def _busy(*retry_after: str) -> dict[str, Fault]:
    return {
        f"{code}-retry-after-{value or 'empty'}": status(code, ("Retry-After", value))
        for code in (429, 503)
        for value in retry_after
    }


def _statuses(codes: Iterable[int]) -> dict[str, Fault]:
    return {f"http-{code}": status(code) for code in codes}


# Those that last until the deadline.
HANGING: dict[str, Fault] = {"hang": hang, "stall": stall, "drip": drip}

_CONNECTION: dict[str, Fault] = {
    "reset-at-once": reset_at_once,
    "closed-at-once": closed_at_once,
    "reset-within": reset_within,
    "closed-within": closed_within,
    "cut-without-length": cut_without_length,
    "cut-to-valid-json": cut_to_valid_json,
    "not-http": not_http,
}
_REDIRECTS: dict[str, Fault] = {
    f"{code}-{name}": redirect(code, to)
    for code in (301, 302, 303, 307, 308)
    for name, to in {
        "to-canary": to_canary,
        "to-other-scheme": to_plain_http,
        "to-sibling": to_sibling,
    }.items()
}
_CONTENT: dict[str, Fault] = {
    "html": content(b"<html><body>Log in</body></html>", "text/html"),
    "html-as-json": content(b"<html><body>Log in</body></html>"),
    "text-plain": typed("text/plain"),
    "xml": content(b"<Bundle xmlns='http://hl7.org/fhir'/>", "application/fhir+xml"),
    "no-type": typed(None),
    "empty": content(b""),
    "null": content(b"null"),
    "array": content(b"[]"),
    "string": content(b'"x"'),
    "number": content(b"1"),
    "empty-object": content(b"{}"),
    "nested": content(b'{"resourceType":' + b"[" * 50_000),
    "not-utf-8": content(b'{"resourceType":"\xff\xfe"}'),
    "outcome": content(json.dumps(OUTCOME).encode()),
    "206": good_with_status(206),
    "203": good_with_status(203),
}
_TOO_MUCH: dict[str, Fault] = {
    "gzip-bomb": compressed(1),
    "gzip-bomb-stacked": compressed(3),
    "gzip-unannounced": compressed(1, announced=False),
    "60-megabytes": page_of_bytes(60, announced=True),
    "header-of-1-megabyte": with_headers(("X-Long", "x" * 1_000_000)),
    "10000-headers": with_headers(*((f"X-{number}", "x") for number in range(10_000))),
    "length-too-long": length_of(100),
    "length-too-short": length_of(-10),
}
_PAGES: dict[str, Fault] = {
    "next-is-itself": next_page(to_itself),
    "next-and-back": next_page(back_and_forth),
    "next-for-ever": next_page(ever_new),
    "more-after-nothing": more_after_nothing,
    "page-2-fails": second_page(status(500)),
    "page-2-is-gone": second_page(status(410)),
    "page-2-is-cut": second_page(closed_within),
    "filter-ignored": changed(_others_rows),
    "more-in-total": changed(_more_in_total),
    "error-entry": changed(_with_outcome("error")),
    "warning-entry": changed(_with_outcome("warning")),
    "broken-entry": changed(_with_broken_entry),
    "history": changed(_of_another_kind),
    **{name: foreign_next(name) for name in FOREIGN_LINKS},
}

# Of any address, a Patient's too.
OF_ANY_READ: dict[str, Fault] = {
    **_CONNECTION,
    **_statuses((204, 401, 403, 404, 405, 406, 408, 409, 410, 412, 414, 422, 429)),
    **_statuses((500, 501, 502, 503, 504, 505, 511)),
    **_busy("0", "1", "120", "-1", "abc", "", "Wed, 21 Oct 2026 07:28:00 GMT"),
    **_REDIRECTS,
    **_CONTENT,
    **_TOO_MUCH,
}
# A search that the server says it cannot do is a gap, too, unless the chart can do without it.
REJECTED: dict[str, Fault] = _statuses((400,))
GAPS: dict[str, Fault] = {**OF_ANY_READ, **_PAGES}
SURVIVED: dict[str, Fault] = {
    "http-500-once": once(status(500)),
    "http-503-once": once(status(503, ("Retry-After", "0"))),
    "reset-once": once(reset_at_once),
    "cookie": with_headers(("Set-Cookie", "session=ZZTOK-cookie; Path=/")),
    "plain-json": typed("application/json; charset=utf-8"),
    "identity": with_headers(("Content-Encoding", "identity")),
}
