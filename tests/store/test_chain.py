"""A chain that somebody changed past the service is found out, and where."""

from __future__ import annotations

import hashlib
import json

import pytest

from cds_service.store.chain import canonical, row_hash
from cds_service.store.inspection import verify
from cds_service.store.store import Store
from tests.store.entries import Clock, hook, query

Tampering = list[str]

_ROW_4 = "WHERE seq = 4"
_DROPPED = {
    "sqlite": ("audit_no_update", "audit_no_delete", "audit_no_replace"),
    "postgresql": ("audit_no_change", "audit_no_truncate"),
}


async def _chain(url: str) -> None:
    """Seven rows: the beginning and six hooks; then its triggers are dropped."""
    store = Store(url, now=Clock())
    await store.start()
    for number in range(6):
        await store.write_hook(hook(outcome="no-card", hook_instance=f"hook-{number}"))
    await store.aclose()
    kind = url.partition(":")[0].partition("+")[0]
    for trigger in _DROPPED[kind]:
        query(url, f"DROP TRIGGER {trigger}" + (" ON audit" if kind == "postgresql" else ""))


def _broken(url: str, noted: str | None = None) -> tuple[str, int] | None:
    broken = verify(url, noted).broken
    return None if broken is None else (broken.kind, broken.seq)


class TestIntact:
    """A chain as the service left it."""

    async def test_it_holds(self, url: str) -> None:
        """From its first row to its head."""
        await _chain(url)

        found = verify(url, None)

        [(head,)] = query(url, "SELECT hash FROM audit WHERE seq = 7")
        assert (7, 1, 7, head, None, None) == (
            found.count,
            found.first,
            found.last,
            found.head,
            found.noted,
            found.broken,
        )

    async def test_a_noted_head_is_found(self, url: str) -> None:
        """Though the chain went on."""
        await _chain(url)
        [(noted,)] = query(url, "SELECT hash FROM audit WHERE seq = 3")

        found = verify(url, noted)

        assert (3, None) == (found.noted, found.broken)

    async def test_anyone_can_compute_a_hash(self, url: str) -> None:
        """From what an export has, with nothing but JSON and SHA-256."""
        await _chain(url)
        [(seq, at, kind, record, prev, expected)] = query(
            url, "SELECT seq, recorded_at, kind, record, prev, hash FROM audit WHERE seq = 4"
        )
        line = {
            "seq": seq,
            "recordedAt": at,
            "kind": kind,
            "record": json.loads(record),
            "prev": prev,
        }

        text = json.dumps(line, sort_keys=True, separators=(",", ":"))

        assert expected == hashlib.sha256(text.encode()).hexdigest()


class TestTampering:
    """Whoever can drop the triggers can change rows, but not unseen."""

    @pytest.mark.parametrize(
        ("statements", "found"),
        [
            (["UPDATE audit SET record = replace(record, 'possible', 'all_met') {4}"], "changed 4"),
            (["UPDATE audit SET record = record || ' ' {4}"], "changed 4"),
            (["UPDATE audit SET record = 'no JSON' {4}"], "changed 4"),
            (["UPDATE audit SET recorded_at = '2026-11-24T12:00:00.000001Z' {4}"], "changed 4"),
            (["UPDATE audit SET kind = 'switch' {4}"], "changed 4"),
            (["UPDATE audit SET prev = 'x' {4}"], "changed 4"),
            (["UPDATE audit SET hash = 'x' {4}"], "changed 4"),
            (["UPDATE audit SET hash = 'x' WHERE seq = 7"], "changed 7"),
            (["UPDATE audit SET seq = 99 WHERE seq = 7"], "missing 7"),
            (["DELETE FROM audit {4}"], "missing 4"),
            (["DELETE FROM audit WHERE seq IN (3, 4, 5)"], "missing 3"),
            (["DELETE FROM audit WHERE seq = 1"], "missing 1"),
            (["DELETE FROM audit WHERE seq > 5"], "end 6"),
            (["DELETE FROM audit"], "end 1"),
            (["DELETE FROM audit_head"], "changed 7"),
            (["UPDATE audit_head SET seq = 6"], "changed 7"),
            (["UPDATE audit_head SET hash = 'x'"], "changed 7"),
            (
                [
                    "UPDATE audit SET seq = 99 {4}",
                    "UPDATE audit SET seq = 4 WHERE seq = 5",
                    "UPDATE audit SET seq = 5 WHERE seq = 99",
                ],
                "order 4",
            ),
            (
                [
                    "UPDATE audit SET seq = 99 {4}",
                    "UPDATE audit SET seq = 4 WHERE seq = 7",
                    "UPDATE audit SET seq = 7 WHERE seq = 99",
                ],
                "order 4",
            ),
            (
                [
                    "DELETE FROM audit {4}",
                    "UPDATE audit SET seq = 4 WHERE seq = 5",
                    "UPDATE audit SET seq = 5 WHERE seq = 6",
                ],
                "changed 4",
            ),
        ],
    )
    async def test_each_is_found(self, url: str, statements: Tampering, found: str) -> None:
        """With the first row concerned, and what was done to it."""
        await _chain(url)

        for statement in statements:
            query(url, statement.replace("{4}", _ROW_4))

        kind, seq = found.split()
        assert (kind, int(seq)) == _broken(url)

    async def test_a_row_changed_with_its_hash_made_anew(self, url: str) -> None:
        """Does not fit the row behind it."""
        await _chain(url)
        [(at, prev)] = query(url, "SELECT recorded_at, prev FROM audit WHERE seq = 4")

        query(
            url,
            "UPDATE audit SET record = '{}', hash = :hash WHERE seq = 4",
            hash=row_hash(4, at, "hook", "{}", prev),
        )

        assert ("changed", 4) == _broken(url)

    async def test_all_rows_from_one_on_made_anew(self, url: str) -> None:
        """Is only seen by who noted a head before."""
        await _chain(url)
        [(noted,)] = query(url, "SELECT hash FROM audit WHERE seq = 7")
        [(prev,)] = query(url, "SELECT hash FROM audit WHERE seq = 3")
        for seq in range(4, 8):
            [(at, kind)] = query(url, "SELECT recorded_at, kind FROM audit WHERE seq = :n", n=seq)
            made = row_hash(seq, at, kind, "{}", prev)
            query(
                url,
                "UPDATE audit SET record = '{}', prev = :prev, hash = :hash WHERE seq = :seq",
                prev=prev,
                hash=made,
                seq=seq,
            )
            prev = made
        query(url, "UPDATE audit_head SET hash = :hash", hash=prev)

        assert _broken(url) is None
        assert ("end", 8) == _broken(url, noted)

    async def test_an_end_cut_off_cleanly(self, url: str) -> None:
        """Likewise."""
        await _chain(url)
        [(noted,)] = query(url, "SELECT hash FROM audit WHERE seq = 7")
        query(url, "DELETE FROM audit WHERE seq > 5")
        query(
            url,
            "UPDATE audit_head SET seq = 5, hash = (SELECT hash FROM audit WHERE seq = 5)",
        )

        assert _broken(url) is None
        assert ("end", 6) == _broken(url, noted)

    async def test_another_beginning(self, url: str) -> None:
        """Only the first row begins a chain."""
        await _chain(url)
        [(at, record, prev)] = query(
            url, "SELECT recorded_at, record, prev FROM audit WHERE seq = 1"
        )
        query(
            url,
            "UPDATE audit SET kind = 'hook', hash = :hash WHERE seq = 1",
            hash=row_hash(1, at, "hook", record, prev),
        )

        assert ("changed", 1) == _broken(url)

    @pytest.mark.parametrize("url", ["sqlite"], indirect=True)
    async def test_bytes_that_are_no_text(self, url: str) -> None:
        """Do not keep the walk from naming the row."""
        await _chain(url)

        query(url, "UPDATE audit SET record = CAST(x'ff00fe' AS TEXT) WHERE seq = 4")

        assert ("changed", 4) == _broken(url)


def test_one_value_has_one_text() -> None:
    """Whatever the order in which it was put together."""
    assert canonical({"b": [1, None], "a": "ö"}) == canonical({"a": "ö", "b": [1, None]})
    assert '{"a":"\\u00f6","b":[1,null]}' == canonical({"b": [1, None], "a": "ö"})
