"""What the store has after a backup was put back, and what is said where it is full or gone."""

from __future__ import annotations

import resource
import signal
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cds_service.cli import app
from tests.cases.conftest import hooks_in, hospitals
from tests.cases.invariants import settles, watched
from tests.cases.others import another, command, started_again, store_url
from tests.cases.test_feedback import give, item, kept, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from tests.cases.conftest import Running


# --- Put back -----------------------------------------------------------------------------------


def _back_up(service: Running, copy: Path) -> str:
    """Copy the store while it is in use, by SQLite's own means; the head that the copy has."""
    with (
        closing(sqlite3.connect(service.folder / "store.db")) as here,
        closing(sqlite3.connect(copy)) as there,
    ):
        here.backup(there)
    return _head(f"sqlite:///{copy}")


def _head(url: str) -> str:
    lines = command("audit", "verify", "--database", url).splitlines()
    (found,) = [line.removeprefix("head: ") for line in lines if line.startswith("head: ")]
    return found


def _moved_away(service: Running) -> Path:
    """Where the store is after it was moved away, with what belongs to it."""
    away = service.folder.parent / "away"
    away.mkdir()
    for file in service.folder.glob("store.db*"):
        file.rename(away / file.name)
    return away / "store.db"


def _check_gap(service: Running, backed_up: str, lost: str) -> None:
    """The chain holds up to the backup and goes on from there; the head of later is missing."""
    url = store_url(service)
    command("audit", "verify", "--database", url, "--head", backed_up)
    ran = CliRunner().invoke(app, ["audit", "verify", "--database", url, "--head", lost])
    assert 1 == ran.exit_code
    assert "(end) at row" in f"{ran.output}{ran.exception}"


@pytest.mark.case("LOD-12")
def test_last_night_s_backup(tmp_path: Path, today: date) -> None:
    """Put back as docs/store.md says: it verifies up to its end, and what came after it is missed.

    Then the service goes on from there, and takes feedback on the cards that the backup knows.
    """
    folder = tmp_path / "service"
    folder.mkdir()
    with hospitals(folder, today) as service:
        with watched(service):
            known = shown(service)
            backed_up = _back_up(service, tmp_path / "backup.db")
            forgotten = shown(service)
            service.process.send_signal(signal.SIGTERM)
            assert 0 == service.process.wait(20)
        lost = _head(store_url(service))
        _moved_away(service)
        (tmp_path / "backup.db").rename(folder / "store.db")
        assert backed_up == _head(store_url(service))
        _check_gap(service, backed_up, lost)
        with started_again(service) as restored, watched(restored):
            found = [give(restored, item(one)).response.status_code for one in (known, forgotten)]
            shown(restored)
            _check_gap(restored, backed_up, lost)

    assert [200, 404] == found


@pytest.mark.case("LOD-12")
def test_a_backup_that_is_put_back_while_the_service_runs(tmp_path: Path, today: date) -> None:
    """Without a store nothing is said; with the other one the chain goes on from its end."""
    folder = tmp_path / "service"
    folder.mkdir()
    with another(folder, today) as service:
        known = shown(service)
        backed_up = _back_up(service, tmp_path / "backup.db")
        before = len(service.answers)
        forgotten = shown(service)
        lost = _head(store_url(service))
        away = _moved_away(service)
        without = service.post(service.hook())
        without.timed = False  # it waits for the store's own patience
        (tmp_path / "backup.db").rename(folder / "store.db")
        found = [give(service, item(one)).response.status_code for one in (known, forgotten)]
        shown(service)
        _check_gap(service, backed_up, lost)
        # The record of what was answered between the two is in the store that was moved away.
        asked = [one for one in service.answers[before:] if one.is_hook]
        (answered,) = [one for one in asked if one.card == forgotten]
        assert answered.instance in {record["hookInstance"] for record in hooks_in(away)}
        service.answers.remove(answered)

    assert 503 == without.response.status_code
    assert [200, 404] == found


# --- Full, and gone -----------------------------------------------------------------------------


@contextmanager
def _full(service: Running) -> Iterator[None]:
    """No room on the disk: played by the limit that the system sets to the size of a file."""
    room = (service.folder / "service.log").stat().st_size + 8192
    assert room < (service.folder / "store.db-wal").stat().st_size
    limits = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (room, limits[1]))
    yield
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def _gone(service: Running) -> Iterator[None]:
    """The file of the store is not where it was."""
    away = _moved_away(service)
    yield
    for file in away.parent.iterdir():
        file.rename(service.folder / file.name)


@pytest.mark.case("FBK-09")
def test_a_store_that_is_full_or_gone(tmp_path: Path, today: date) -> None:
    """503 for feedback, hook and probe, and nothing is lost; it writes on once that is over."""
    folder = tmp_path / "service"
    folder.mkdir()
    with another(folder, today) as service:
        card = shown(service)
        for how in (_full, _gone):
            one = item(card, minutes=len(service.answers))
            before = kept(service, card)
            with how(service):
                refused = [give(service, one), service.post(service.hook())]
                # That it was ready holds for a second.
                settles(lambda: service.get("/health/ready").status_code == 503)
            for answer in refused:
                answer.timed = False  # it waits for the store's own patience
            assert [503, 503] == [answer.response.status_code for answer in refused], how
            assert all(answer.response.headers["retry-after"].isdecimal() for answer in refused)
            assert before == kept(service, card)
            assert 200 == give(service, one).response.status_code
            assert len(before) + 1 == len(kept(service, card))
        command("audit", "verify", "--database", store_url(service))
