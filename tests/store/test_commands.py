"""``audit`` and ``switch``: what an auditor and an engineer on call do from the command line."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from cds_service.audit_cli import audit, switch
from cds_service.errors import CdsServiceError, InputError
from cds_service.store.chain import ChainBroken
from cds_service.store.inspection import verify
from cds_service.store.store import Store
from tests.store.entries import CALLER, SERVICE, Clock, count, feedback, hook, query

Run = Callable[..., "Ran"]

_app = typer.Typer()
_app.add_typer(audit)
_app.add_typer(switch)


class Ran(NamedTuple):
    """What a command did; its error, if it raised one on purpose."""

    out: str
    err: str
    error: CdsServiceError | None


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a database that the environment names."""
    monkeypatch.setenv("CDS_DATABASE_URL", url)

    def command(*arguments: str | Path) -> Ran:
        ran = CliRunner().invoke(_app, [str(argument) for argument in arguments])
        if ran.exception is not None and not isinstance(ran.exception, CdsServiceError):
            raise ran.exception
        return Ran(ran.stdout, ran.stderr, ran.exception)

    return command


def _with_store(url: str, job: Callable[[Store], Awaitable[None]]) -> None:
    async def work() -> None:
        store = Store(url, now=Clock())
        await store.start()
        await job(store)
        await store.aclose()

    asyncio.run(work())


async def _two_hooks(store: Store) -> None:
    await store.write_hook(hook(hook_instance="=HYPERLINK(1)"))
    await store.write_hook(hook(card="card-2"))
    await store.write_feedback(CALLER, SERVICE, [feedback(comment="@ZZPHI-1\nsecond line")])


@pytest.fixture
def filled(url: str) -> str:
    """A store of four rows, one of them a feedback with a comment."""
    _with_store(url, _two_hooks)
    return url


class TestVerify:
    """``audit verify``."""

    def test_a_chain_that_holds(self, filled: str, run: Run) -> None:
        """Count, first, last and head."""
        [(head,)] = query(filled, "SELECT hash FROM audit WHERE seq = 4")

        ran = run("audit", "verify")

        assert (f"rows: 4\nfirst: 1\nlast: 4\nhead: {head}\n", "", None) == ran

    def test_a_head_that_was_noted(self, filled: str, run: Run) -> None:
        """Is found in the chain, or not."""
        [(head,)] = query(filled, "SELECT hash FROM audit WHERE seq = 3")

        assert "noted head: row 3" in run("audit", "verify", "--head", head).out
        error = run("audit", "verify", "--head", "f" * 64).error
        assert isinstance(error, ChainBroken)
        assert "the chain is broken (end) at row 5: the noted head is not in this chain" in str(
            error
        )

    def test_a_chain_that_is_broken(self, filled: str, run: Run) -> None:
        """The rows that hold, and the first that does not."""
        for trigger in ("audit_no_update", "audit_no_delete"):
            if filled.startswith("sqlite"):
                query(filled, f"DROP TRIGGER {trigger}")
        if not filled.startswith("sqlite"):
            query(filled, "DROP TRIGGER audit_no_change ON audit")
        query(filled, "UPDATE audit SET record = '{}' WHERE seq = 3")

        ran = run("audit", "verify")

        assert ran.out.startswith("rows: 2\n")
        assert "the chain is broken (changed) at row 3: row 3 was changed" == str(ran.error)

    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize("head", ["", "abc", "F" * 64, "0" * 63 + "\n"])
    def test_a_head_that_is_none(self, run: Run, head: str) -> None:
        """A slip of the hand must not look like a broken chain."""
        assert isinstance(run("audit", "verify", "--head", head).error, InputError)

    def test_a_database_that_holds_no_audit(self, url: str, run: Run) -> None:
        """And none is made."""
        error = run("audit", "verify").error

        assert isinstance(error, InputError)
        if url.startswith("sqlite"):
            assert not Path(url.removeprefix("sqlite:///")).exists()


class TestExport:
    """``audit export``."""

    def test_lines_that_anyone_can_check(self, filled: str, run: Run, tmp_path: Path) -> None:
        """Each hash covers all of its line but itself; the file is for this user only."""
        out = tmp_path / "audit.ndjson"

        ran = run("audit", "export", "--out", out)

        assert ran.error is None
        assert 0o600 == out.stat().st_mode & 0o777
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        head = "0" * 64
        for line in lines:
            named = line.pop("hash")
            text = json.dumps(line, sort_keys=True, separators=(",", ":"))
            assert named == hashlib.sha256(text.encode()).hexdigest()
            assert head == line["prev"]
            head = named
        assert ["genesis", "hook", "hook", "feedback", "export"] == [one["kind"] for one in lines]
        assert verify(filled, None).head == head

    def test_reading_it_is_recorded_in_it(self, filled: str, run: Run) -> None:
        """Who, and whether with comments."""
        run("audit", "export", "--out", "-", "--since", "2026-11-01", "--with-comments")

        [(text,)] = query(filled, "SELECT record FROM audit WHERE kind = 'export'")
        record = json.loads(text)
        assert {"since": "2026-11-01", "comments": True} == {
            name: record[name] for name in ("since", "comments")
        }
        assert record["by"]

    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize("form", ["ndjson", "csv"])
    def test_comments_only_when_asked_for(self, run: Run, form: str) -> None:
        """They may hold what a chart holds."""
        assert "ZZPHI" not in run("audit", "export", "--out", "-", "--format", form).out
        with_them = run("audit", "export", "--out", "-", "--format", form, "--with-comments").out
        assert "ZZPHI" in with_them

    @pytest.mark.usefixtures("filled")
    def test_no_cell_is_a_formula(self, run: Run) -> None:
        """Whatever an EHR or a user sent."""
        ran = run("audit", "export", "--out", "-", "--format", "csv", "--with-comments")

        rows = list(csv.DictReader(io.StringIO(ran.out)))
        assert "'=HYPERLINK(1)" == rows[1]["hookInstance"]
        assert "'@ZZPHI-1\nsecond line" == rows[3]["comment"]
        assert "possible" == rows[1]["overall"]

    @pytest.mark.usefixtures("filled")
    def test_from_a_day_on(self, run: Run) -> None:
        """Of the rows of November the 24th, and the record of each export after it."""
        assert 5 == len(
            run("audit", "export", "--out", "-", "--since", "2026-11-24").out.splitlines()
        )
        later = run("audit", "export", "--out", "-", "--since", "2200-01-01")
        assert "" == later.out

    @pytest.mark.parametrize("day", ["24.11.2026", "2026-11-31", "20261124", "2026-W48-1"])
    def test_a_day_that_is_none(self, filled: str, run: Run, day: str) -> None:
        """Nothing is recorded or written."""
        assert isinstance(run("audit", "export", "--out", "-", "--since", day).error, InputError)
        assert 4 == count(filled, "audit")

    @pytest.mark.usefixtures("filled")
    def test_a_file_that_cannot_be_written(self, run: Run, tmp_path: Path) -> None:
        """One line that names it."""
        error = run("audit", "export", "--out", tmp_path / "gone" / "out").error

        assert isinstance(error, InputError)
        assert "gone/out: No such file or directory" in str(error)


class TestPurge:
    """``audit purge``."""

    def test_comments_go_and_the_chain_stays(self, filled: str, run: Run) -> None:
        """With a record of who did it."""
        assert (
            "deleted: 1 comments, 0 used tokens\n"
            == run("audit", "purge", "--before", "2026-11-25").out
        )

        assert 0 == count(filled, "comments")
        assert verify(filled, None).broken is None
        [(text,)] = query(filled, "SELECT record FROM audit WHERE kind = 'purge'")
        assert 1 == json.loads(text)["comments"]

    def test_later_comments_stay(self, filled: str, run: Run) -> None:
        """That day itself is later."""
        run("audit", "purge", "--before", "2026-11-24")

        assert 1 == count(filled, "comments")

    def test_no_token_that_could_still_be_used(self, url: str, run: Run) -> None:
        """Whatever day is given."""

        async def use(store: Store) -> None:
            await store.first_use("a", "token", Clock()().replace(year=2199))

        _with_store(url, use)

        run("audit", "purge", "--before", "2200-01-01")

        assert 1 == count(url, "used_tokens")


class TestBegin:
    """``audit begin``."""

    def test_the_first_record_names_the_head_before(self, url: str, run: Run) -> None:
        """So that the archive and the new chain are one."""
        assert run("audit", "begin", "--after", "a" * 64).error is None

        [(text,)] = query(url, "SELECT record FROM audit")
        assert "a" * 64 == json.loads(text)["previous"]
        assert verify(url, None).broken is None

    def test_not_where_there_is_one(self, filled: str, run: Run) -> None:
        """It is left as it is."""
        assert isinstance(run("audit", "begin", "--after", "a" * 64).error, InputError)
        assert 4 == count(filled, "audit")


class TestSwitch:
    """``switch off``, ``on`` and ``show``."""

    def test_off_on_and_show(self, filled: str, run: Run) -> None:
        """As any worker then sees it."""
        assert (
            "trial:net-retreat is off\n"
            == run("switch", "off", "trial:net-retreat", "--reason", "amended").out
        )
        assert "trial:net-retreat\toff\tsince " in run("switch", "show").out
        assert [(True,)] == query(filled, "SELECT off = true FROM switches")

        assert "trial:net-retreat is on\n" == run("switch", "on", "trial:net-retreat").out
        assert "trial:net-retreat\ton\tsince " in run("switch", "show").out

    def test_a_name_that_no_service_uses(self, filled: str, run: Run) -> None:
        """Is refused, with a word on what there is, unless it is said to be one to come."""

        async def declare(store: Store) -> None:
            await store.declare({"trial:net-retreat", "issuer:st-elsewhere"})

        _with_store(filled, declare)

        assert "" == run("switch", "off", "trial:net-retreat").err
        refused = run("switch", "off", "trial:net-retreet")
        assert isinstance(refused.error, InputError)
        assert "used: issuer:st-elsewhere, trial:net-retreat." in str(refused.error)
        assert "trial:net-retreet" not in run("switch", "show").out + refused.out

        switched = run("switch", "off", "trial:net-retreet", "--new")
        assert "trial:net-retreet is off\n" == switched.out
        assert "no service has used this name so far" in switched.err
        assert "trial:net-retreet\toff\t" in run("switch", "show").out
        assert "trial:net-retreet is on\n" == run("switch", "on", "trial:net-retreet").out

    @pytest.mark.parametrize(
        "name", ["net-retreat", "trial:", "user:ada", "trial:a b", "trial:a\n"]
    )
    def test_a_name_of_another_form(self, filled: str, run: Run, name: str) -> None:
        """Switches nothing."""
        assert isinstance(run("switch", "off", name).error, InputError)
        assert 4 == count(filled, "audit")

    def test_a_store_that_is_not_there(self, run: Run) -> None:
        """A switch in the wrong file would leave the trial on, unseen."""
        assert isinstance(run("switch", "off", "trial:net-retreat").error, InputError)
