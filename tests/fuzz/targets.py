"""What is fuzzed: plain functions of bytes, each of which raises where something is wrong.

A target does more than not fall over: it says what must hold of any input at all. The same
functions run under atheris, on the seeds, and on every input that once went wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from cds_service.cards.text import plain, starts_line
from cds_service.cdshooks.envelope import read_feedback, read_hook
from cds_service.errors import HookError, Unauthenticated
from cds_service.fhir.elements import number
from cds_service.operations.labels import REFUSALS
from cds_service.record.dates import (
    FIRST_DAY,
    LAST_DAY,
    add_months,
    completed_years,
    parse_when,
)
from cds_service.record.tables import load_tables
from cds_service.record.units import Converted, UnitBook
from cds_service.trust.bearer import Token, read_token
from cds_service.trust.claims import ClaimPolicy, check_audience, check_tenant, check_use
from tests.fuzz.corpus import segment
from tests.fuzz.markdown import made_of_text_alone
from tests.fuzz.screened import LONGEST_MESSAGE, check_words, is_broken, is_json, screened

_NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
_ZONES = (
    "America/Toronto",
    "UTC",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Australia/Lord_Howe",
)


# --- Charts ------------------------------------------------------------------------------------


def fuzz_bundle(data: bytes) -> None:
    """A file is a chart with a report, or an input error; nothing is met out of thin air."""
    screened(data)


def fuzz_ndjson(data: bytes) -> None:
    """The same; and where a line is broken, nothing is taken to be absent."""
    report = screened(data)
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    if report is None or len(lines) == 1 or is_json(data):
        return
    if any(map(is_broken, lines)):
        assert not [one.id for one in report.criteria if one.basis == "absence"]


# --- Dates and quantities ----------------------------------------------------------------------


def fuzz_date(data: bytes) -> None:
    """Any text is an interval of days that a window can be added to, or says that it is none."""
    zone = ZoneInfo(_ZONES[data[0] % len(_ZONES)] if data else "UTC")
    text = data[1:].decode("utf-8", "replace")
    when = parse_when(text, zone)
    assert FIRST_DAY <= when.first <= when.last <= LAST_DAY
    assert text == when.text
    assert when.shown()
    assert add_months(when.first, -12) < when.first < add_months(when.last, 12)
    assert completed_years(when.first, when.last) >= 0
    if when.unreadable:
        assert (FIRST_DAY, LAST_DAY, None) == (when.first, when.last, when.instant)
        assert not _is_day(text), "a plain day cannot be read"
    elif when.instant is not None:
        # Its own day there and then, and never more than one.
        assert when.exact
        assert when.first in {LAST_DAY, when.instant.astimezone(zone).date()}
    else:
        assert LAST_DAY == when.first or text.startswith(f"{when.first.year:04}")


def _is_day(text: str) -> bool:
    try:
        return text.isascii() and date.fromisoformat(text).isoformat() == text >= str(FIRST_DAY)
    except ValueError:
        return False


def fuzz_quantity(data: bytes) -> None:
    """A number with a unit is converted exactly or refused; a unit that is not known is refused."""
    book = _units()
    kinds = sorted(book.quantities)
    quantity = kinds[data[0] % len(kinds)] if data else kinds[0]
    value, unit, code, system, *_ = [*data[1:].split(b"\n"), b"", b"", b""]
    amount = number(msgspec.Raw(value)) if value else Decimal(1)
    if amount is None:
        return
    assert amount.is_finite()
    told = [part.decode("utf-8", "replace") or None for part in (unit, code, system)]
    read, one = (book.read(quantity, "", each, *told) for each in (amount, Decimal(1)))
    if not isinstance(read, Converted) or not isinstance(one, Converted):
        assert type(read) is type(one)
        assert len(read.message) <= LONGEST_MESSAGE  # type: ignore[union-attr]
        return
    assert book.unit_of(quantity) == read.unit
    assert read.value.is_finite()
    assert one.value > 0
    # Exact: a value on a limit stays on it, whatever it was recorded in.
    assert Fraction(read.value) == Fraction(amount) * Fraction(one.value)
    assert len(book.shown(quantity, read.value)) <= LONGEST_MESSAGE
    book.plausible(quantity, read.value)


@cache
def _units() -> UnitBook:
    return UnitBook(load_tables())


# --- Text --------------------------------------------------------------------------------------


def fuzz_markdown(data: bytes) -> None:
    """Any text becomes text of a bounded length, wherever in a card it stands."""
    # Half of a surrogate pair is what "\\ud83d" in JSON may leave.
    texts = data.decode("utf-8", "surrogateescape")
    for limit in (300, 80, 20):
        shown = plain(texts, limit)
        assert len(shown) <= limit
        assert shown.isprintable()
        assert shown == shown.strip()
        for markdown in _places(shown):
            assert made_of_text_alone(markdown), repr(markdown)


def _places(shown: str) -> Iterator[str]:
    """Where a card puts text from data, if there is any."""
    if not shown:
        return
    yield f"- {starts_line(shown)}"
    yield f"- Not met: {shown}. See there ({shown}, {shown})\n  - {starts_line(shown)}"
    yield f"{shown}; {shown}" if shown[:1].isalpha() else f"x {shown}"


# --- Requests ----------------------------------------------------------------------------------


def fuzz_hook(data: bytes) -> None:
    """A body is refused in words of ours, or another reader reads the same in it."""
    try:
        hook = read_hook(data)
    except HookError as error:
        _check_refusal(error, {400})
        return
    other = json.loads(data)
    assert other["hookInstance"] == hook.hook_instance
    assert other["context"]["patientId"] == hook.context.patient_id
    assert other["context"]["userId"] == hook.context.user_id
    assert other.get("fhirServer") == hook.fhir_server
    lent = other.get("fhirAuthorization")
    assert (lent is None) == (hook.fhir_authorization is None)
    if hook.fhir_authorization is not None:
        assert lent["access_token"] == hook.fhir_authorization.access_token
    assert list(other.get("prefetch") or ()) == list(hook.prefetch or ())


def fuzz_feedback(data: bytes) -> None:
    """The same for feedback."""
    try:
        request = read_feedback(data)
    except HookError as error:
        _check_refusal(error, {400, 413})
        return
    other = json.loads(data)["feedback"]
    assert [one["card"] for one in other] == [one.card for one in request.feedback]
    assert [one["outcome"] for one in other] == [one.outcome for one in request.feedback]


def _check_refusal(error: HookError, statuses: set[int]) -> None:
    assert error.status in statuses
    check_words(error)


def fuzz_token(data: bytes) -> None:
    """A header is refused with a code that the metrics know, or it is the token that it says."""
    try:
        token = read_token(_header(data))
        _check_claims(token)
    except Unauthenticated as error:
        _check_reason(error.reason)


def _check_reason(reason: str) -> None:
    assert REFUSALS.bounded(reason) == reason, reason


def _header(data: bytes) -> str:
    """The header as a server hands it on; after a line break, of the two lines that follow."""
    if not data.startswith(b"\n"):
        return data.decode("latin-1")
    header, _, claims = data[1:].partition(b"\n")
    return f"Bearer {segment(header)}.{segment(claims)}.c2lnbmVk"


def _check_claims(token: Token) -> None:
    assert token.compact not in repr(token)
    assert token.algorithm is not None
    check_audience(token.claims, "https://cds.example/cds-services")
    check_tenant(token.claims, ("oncology",))
    use = check_use(token.claims, _NOW, ClaimPolicy())
    assert use.token_id.isprintable()
    assert use.until - _NOW <= timedelta(hours=1, minutes=2)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "bundle": fuzz_bundle,
    "ndjson": fuzz_ndjson,
    "date": fuzz_date,
    "quantity": fuzz_quantity,
    "markdown": fuzz_markdown,
    "hook": fuzz_hook,
    "feedback": fuzz_feedback,
    "token": fuzz_token,
}
