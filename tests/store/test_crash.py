"""Writers killed in the middle of their work lose nothing that they acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from cds_service.store.feedback import comment_hash
from cds_service.store.inspection import verify
from tests.store.entries import query
from tests.store.postgres import PostgresServer

ROOT = Path(__file__).parents[2]


def _kill_writers(url: str, rounds: int) -> set[tuple[str, str]]:
    """What the writers saw acknowledged."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.store.crash", url, str(rounds), "20261124"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    lines = [line.split() for line in ended.stdout.splitlines()]
    return {(kind, card) for kind, card in lines}


def _check(url: str, acknowledged: set[tuple[str, str]]) -> None:
    """All that was acknowledged is there, and nothing by half."""
    verification = verify(url, None)
    assert verification.broken is None

    audit = {
        seq: (kind, json.loads(record))
        for seq, kind, record in query(url, "SELECT seq, kind, record FROM audit")
    }
    assert verification.count == len(audit)
    hooks = {record["card"]: seq for seq, (kind, record) in audit.items() if kind == "hook"}
    judged = {record["card"]: seq for seq, (kind, record) in audit.items() if kind == "feedback"}
    # One record each: no card stands behind two rows.
    assert len(audit) == 1 + len(hooks) + len(judged)
    assert {card for kind, card in acknowledged if kind == "hook"} <= hooks.keys()
    assert {card for kind, card in acknowledged if kind == "feedback"} <= judged.keys()

    # A hook's record and its card; a feedback's record, its row, its comment, the card's outcome.
    assert hooks == dict(query(url, "SELECT card, seq FROM cards"))
    assert judged == dict(query(url, "SELECT card, seq FROM feedback"))
    outcomes = query(url, "SELECT card FROM cards WHERE outcome IS NOT NULL")
    assert judged.keys() == {card for (card,) in outcomes}
    comments = {
        seq: comment_hash(salt, text)
        for seq, salt, text in query(url, "SELECT seq, salt, comment FROM comments")
    }
    assert {seq: audit[seq][1]["comment"] for seq in judged.values()} == comments
    # The two of one call: both, or neither.
    assert {card[:-1] for card in judged if card.endswith("a")} == {
        card[:-1] for card in judged if card.endswith("b")
    }


def _rounds_heard(acknowledged: set[tuple[str, str]]) -> int:
    """How many writers lived long enough to have something acknowledged."""
    return len({card.split("-")[0] for _, card in acknowledged})


def test_two_hundred_kills_in_sqlite(tmp_path: Path) -> None:
    """From the empty database on, where the first ones die while they make the tables."""
    url = f"sqlite:///{tmp_path}/store.db"

    acknowledged = _kill_writers(url, 200)

    _check(url, acknowledged)
    assert _rounds_heard(acknowledged) >= 175


def test_fifty_kills_in_postgresql(postgres: PostgresServer) -> None:
    """The server lives on, and undoes what a dead client left."""
    url = postgres.emptied()

    acknowledged = _kill_writers(url, 50)

    _check(url, acknowledged)
    assert _rounds_heard(acknowledged) >= 43
