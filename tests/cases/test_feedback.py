"""Feedback on cards: whose card it is, what is kept of it, and that none is lost."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases.conftest import FEEDBACK, PATIENT, SERVICE
from tests.cases.others import command
from tests.cases.sent import Json, chart, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cases.conftest import Answered, Running

NOW = datetime.now(UTC)


def shown(service: Running, tenant: str = "alpha") -> Json:
    """A card that was shown to a user of its own, so that nobody else's is quiet afterwards."""
    context = {"userId": f"Practitioner/ZZPHI-{uuid.uuid4()}", "patientId": PATIENT}
    (card,) = judge(service, chart(without="plt"), tenant=tenant, context=context).answer.cards
    return dict(card)


def item(card: Json | str, outcome: str = "overridden", /, minutes: float = 0, **more: Any) -> Json:
    """Feedback on a card; None takes a member out."""
    found: Json = {
        "card": card if isinstance(card, str) else card["uuid"],
        "outcome": outcome,
        "outcomeTimestamp": (NOW + timedelta(minutes=minutes)).isoformat(),
    }
    if outcome == "accepted" and isinstance(card, dict):
        found["acceptedSuggestions"] = [{"id": card["suggestions"][0]["uuid"]}]
    return {name: value for name, value in (found | more).items() if value is not None}


def give(service: Running, *items: Json, tenant: str = "alpha", **how: Any) -> Answered:
    """Send feedback."""
    return service.post({"feedback": list(items)}, tenant, path=how.pop("path", FEEDBACK), **how)


def kept(service: Running, card: Json) -> list[Json]:
    """The feedback that the store has on a card, in the order of its coming."""
    query = (
        "select f.seq, f.content, f.times_received, c.comment from feedback f "
        "left join comments c on c.seq = f.seq where f.card = ? order by f.seq"
    )
    with closing(sqlite3.connect(service.folder / "store.db")) as database:
        rows = database.execute(query, (card["uuid"],)).fetchall()
    return [
        {**json.loads(content), "times": times, "comment": comment}
        for _, content, times, comment in rows
    ]


def counting(service: Running, card: Json) -> str | None:
    """The outcome that counts."""
    with closing(sqlite3.connect(service.folder / "store.db")) as database:
        query = "select outcome from cards where card = ?"
        (found,) = database.execute(query, (card["uuid"],)).fetchone()
    return None if found is None else str(found)


def rows(service: Running) -> int:
    """How many rows of feedback there are in all."""
    with closing(sqlite3.connect(service.folder / "store.db")) as database:
        return int(database.execute("select count(*) from feedback").fetchone()[0])


# --- Who, and on what ---------------------------------------------------------------------------


@pytest.mark.case("FBK-01")
def test_who_may_say_something_about_a_card(service: Running) -> None:
    """Nobody without a token, and no other hospital, which does not learn that there is one."""
    card = shown(service)
    good = item(card)

    without = give(service, good, headers={"authorization": None})
    garbage = give(service, good, headers={"authorization": "Bearer ZZTOK.a.b"})
    of_the_hook = give(
        service, good, headers={"authorization": service.tenants["alpha"].bearer(SERVICE)}
    )
    other = give(service, good, tenant="beta")
    nobody = give(service, item(str(uuid.uuid4())), tenant="beta")

    assert [401] * 3 == [it.response.status_code for it in (without, garbage, of_the_hook)]
    assert 404 == other.response.status_code
    assert (nobody.response.status_code, nobody.response.content) == (
        other.response.status_code,
        other.response.content,
    )
    assert [] == kept(service, card)


@pytest.mark.case("FBK-02")
def test_feedback_that_lacks_something(service: Running) -> None:
    """Nothing is kept of it."""
    card = shown(service)
    before = rows(service)
    path = "/cds-services/another/feedback"

    assert 404 == give(service, item(str(uuid.uuid4()))).response.status_code
    assert 404 == give(service, item(card), path=path).response.status_code
    for name in ("card", "outcome", "outcomeTimestamp"):
        assert 400 == give(service, item(card, **{name: None})).response.status_code, name
        for value in (7, [], {"ZZPHI": 1}):
            answer = give(service, item(card, **{name: value}))
            assert 400 == answer.response.status_code, (name, value)
    for body in (b"", b"[]", b"{}", b'{"feedback": []}', b'{"feedback": {}}', b"ZZPHI"):
        assert 400 == service.post(body, path=FEEDBACK).response.status_code, body
    assert before == rows(service)


@pytest.mark.case("FBK-03")
def test_feedback_that_contradicts_itself(service: Running) -> None:
    """The three rules of the specification."""
    card = shown(service)
    wrong = (
        item(card, "maybe"),
        item(card, "accepted", acceptedSuggestions=None),
        item(card, "accepted", acceptedSuggestions=[]),
        item(card, overrideReason={}),
        item(card, overrideReason={"reason": {}}),
    )

    assert [400] * 5 == [give(service, one).response.status_code for one in wrong]
    assert [] == kept(service, card)


# --- Several times ------------------------------------------------------------------------------


@pytest.mark.case("FBK-04")
def test_the_same_five_times_at_once(service: Running) -> None:
    """Each is acknowledged, and it is one, which came five times."""
    card = shown(service)
    one = item(card, overrideReason={"userComment": "ZZPHI not now"})
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: give(service, one), range(5)))

    assert [200] * 5 == [answer.response.status_code for answer in answers]
    (found,) = kept(service, card)
    assert 5 == found["times"]


@pytest.mark.case("FBK-05")
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "late"])
@pytest.mark.parametrize("last", ["overridden", "accepted"])
def test_two_that_differ(service: Running, order: tuple[int, int], last: str) -> None:
    """Both are kept; the one counts that was given later, not the one that came later."""
    card = shown(service)
    first = "accepted" if last == "overridden" else "overridden"
    both = item(card, first, minutes=0), item(card, last, minutes=5)

    for number in order:
        assert 200 == give(service, both[number]).response.status_code

    assert {first, last} == {one["outcome"] for one in kept(service, card)}
    assert 2 == len(kept(service, card))
    assert last == counting(service, card)


# --- What users type ----------------------------------------------------------------------------

COMMENTS = (
    "'; DROP TABLE feedback; -- ZZPHI",
    "<script>alert('ZZPHI')</script>",
    '=HYPERLINK("https://evil.example","ZZPHI")',
    "+ZZPHI", "-ZZPHI", "@ZZPHI", "\tZZPHI",
    "ZZPHI \u0000 nothing",
)  # fmt: skip


@pytest.mark.case("FBK-06")
def test_hostile_comments(service: Running) -> None:
    """Kept as they came, and harmless in a spreadsheet."""
    cards = [shown(service) for _ in COMMENTS]
    for card, text in zip(cards, COMMENTS, strict=True):
        one = item(card, overrideReason={"userComment": text})
        assert 200 == give(service, one).response.status_code

    found = [kept(service, card)[0]["comment"] for card in cards]
    assert [text.replace("\0", "\ufffd") for text in COMMENTS] == found
    url = f"sqlite:///{service.folder}/store.db"
    exported = command("audit", "export", "--database", url, "--format", "csv",
                       "--with-comments", "--out", "-")  # fmt: skip
    cells = [cell for row in csv.reader(io.StringIO(exported)) for cell in row]
    assert [] == [cell for cell in cells if cell[:1] in set("=+@\t\r")]
    assert [] == [cell for cell in cells if cell.startswith("-ZZPHI")]
    assert any("HYPERLINK" in cell for cell in cells)


@pytest.mark.case("FBK-06")
def test_hostile_identifiers(service: Running) -> None:
    """A suggestion that the card did not have, or a reason that it did not offer, is kept nowhere.

    That nothing of them is in log, metrics or store is an invariant of every case (G5).
    """
    card = shown(service)
    known = card["suggestions"][0]["uuid"]
    chosen = [{"id": "ZZPHI-MRN-4711"}, {"id": known}]
    reason = {"reason": {"code": "ZZPHI-reason", "system": "urn:ZZPHI", "display": "ZZPHI"}}

    for one in (
        item(card, "accepted", acceptedSuggestions=chosen),
        item(card, minutes=5, overrideReason=reason),
    ):
        assert 200 == give(service, one).response.status_code

    accepted, overridden = kept(service, card)
    assert known in json.dumps(accepted)
    assert "ZZPHI" not in json.dumps([accepted, overridden])


@pytest.mark.case("FBK-06")
def test_long_comments(service: Running) -> None:
    """Refused, by their length or by the whole body's."""
    card = shown(service)
    long = item(card, overrideReason={"userComment": "ZZPHI" * 1000})
    longer = item(card, overrideReason={"userComment": "ZZPHI" * 220_000})

    assert 400 == give(service, long).response.status_code
    assert 413 == give(service, longer).response.status_code
    assert [] == kept(service, card)


@pytest.mark.case("FBK-07")
def test_many_at_once(service: Running) -> None:
    """Of 10,000 none is taken; of ten with a bad one none is either."""
    card = shown(service)
    good = [item(card, minutes=n) for n in range(9)]

    many = give(service, *(item(card, minutes=n / 100) for n in range(10_000)))
    with_a_bad_one = give(service, *good, item(card, "maybe"))
    with_anothers = give(service, *good, item(str(uuid.uuid4())))
    assert [413, 400, 404] == [
        it.response.status_code for it in (many, with_a_bad_one, with_anothers)
    ]
    assert [] == kept(service, card)

    assert 200 == give(service, *good).response.status_code
    assert 9 == len(kept(service, card))


@pytest.mark.case("FBK-08")
def test_times_that_cannot_be(service: Running) -> None:
    """Without a zone they are refused; impossible ones are kept, and the time of receipt counts."""
    card = shown(service)
    for text in ("2026-11-24T12:00:00", "yesterday", "2026-02-30T00:00:00Z", ""):
        answer = give(service, item(card, outcomeTimestamp=text))
        assert 400 == answer.response.status_code, text
    far = item(card, "accepted", outcomeTimestamp="9999-01-01T00:00:00Z")
    old = item(card, "accepted", outcomeTimestamp="0001-01-01T00:00:00+14:00")
    for one in (far, old, item(card, "overridden", minutes=20)):
        assert 200 == give(service, one).response.status_code

    assert 3 == len(kept(service, card))
    # 20 minutes ahead is later than the receipt of the two that cannot be.
    assert "overridden" == counting(service, card)


@contextmanager
def locked(service: Running) -> Iterator[None]:
    """The store, locked by somebody else."""
    with closing(sqlite3.connect(service.folder / "store.db", isolation_level=None)) as database:
        database.execute("begin immediate")
        yield
        database.execute("rollback")


@pytest.mark.case("FBK-09")
def test_a_store_that_cannot_be_written(service: Running) -> None:
    """503 with a time to try again; afterwards nothing of it is there, and the next try works.

    The answer waits for the store's own patience of two seconds, which is more than the deadline
    of this service, so that its time is not compared with that.
    """
    card = shown(service)
    one = item(card)

    with locked(service):
        refused = give(service, one)
        refused.timed = False
    assert 503 == refused.response.status_code
    assert refused.response.headers["retry-after"].isdecimal()
    assert [] == kept(service, card)

    assert 200 == give(service, one).response.status_code
    assert 1 == len(kept(service, card))
