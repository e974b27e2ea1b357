"""What holds after every case: G1 to G10 of docs/cases.md, looked at from outside.

In the answers, the log, the metrics, the store, the files, and the state of the process; at the
FHIR servers and the canary; and in what the process looked up and called.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.cases.running import Answered, Running

Json = dict[str, Any]

MARGIN_S = 0.25
# Beyond the time in which a machine that is shared let the service or the test wait for a
# processor, which is measured: to write to a disk, and to be heard by a test that does other work.
SLACK_S = 1.5
# Where that cannot be measured.
SLACK_UNMEASURED_S = 4.0
MOST_GROWTH_KB = 150 * 1024
# Connections that are kept open to two FHIR servers.
POOLED = 2 * 32
HERE = "127.0.0.1"
SECRETS = ("ZZTOK", "ZZPHI", "everything-met", "eyJ")
# Files that hold what the operator wrote, and the store, which is looked into by its tables.
OWN_FILES = re.compile(r"(.*\.jws|issuers\.json|site\.yaml|hash\.key|network\.log|store\.db.*)\Z")
IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
KEYED = re.compile(r"[0-9a-f]{64}\Z")

_DRUGS = ("MedicationAdministration", "MedicationStatement", "MedicationRequest",
          "MedicationDispense", "Procedure")  # fmt: skip
# What must have been read to its end for a criterion to be met by absence: eligibility rules,
# "Reads".
ABSENT_FROM: dict[str, tuple[str, ...]] = {
    "prrt-exposure": _DRUGS,
    "everolimus-limit": _DRUGS,
    "no-alpha-therapy": _DRUGS,
    "no-alkylator": _DRUGS,
    "no-intervening-therapy": ("Condition", *_DRUGS),
    "hiv": ("Condition",),
    "other-malignancy": ("Condition",),
    "recent-surgery": ("Procedure",),
    "brain-metastases": ("Condition",),
    "heart-failure": ("Condition", "Observation"),
    "oral-intake": ("Condition",),
    "pregnancy": ("Condition", "Observation"),
    "breastfeeding": ("Condition",),
}
# Met whatever the record says, by the rules; the record only adds to its words.
ALWAYS_MET = "somatostatin-analogue"
SATISFIED = {"met", "not_applicable"}


@dataclass(frozen=True)
class Baseline:
    """A service as it was before a case."""

    memory_kb: int
    audited: int
    answered: int
    network: int
    asked: dict[str, int]
    sung: int
    too_late: int

    @classmethod
    def of(cls, running: Running) -> Baseline:
        """As it is now."""
        return cls(
            running.memory_kb(),
            len(running.audited()),
            len(running.answers),
            len(running.network()),
            {name: len(server.requests) for name, server in running.fhir.items()},
            running.canary.connections,
            running.too_late(),
        )


@contextmanager
def watched(running: Running) -> Iterator[Running]:
    """A service whose invariants are checked at the end, while it runs and as far as it still does.

    After a failure there is nothing to check.
    """
    baseline = Baseline.of(running)
    forget_calls(running)
    yield running
    running.watched()
    for server in running.fhir.values():
        server.recovers()
    check_invariants(running, baseline)


def check_invariants(running: Running, baseline: Baseline) -> None:
    """What holds after every case, whatever was sent and whatever the FHIR server did."""
    answers = running.answers[baseline.answered :]
    for answer in answers:
        check_answer(answer, running.deadline_s)
    _check_no_call_outlives(running, answers)
    _check_tokens(running, baseline)
    _check_network(running, baseline)
    alive = running.process.poll() is None
    _check_nothing_leaked(running, baseline, alive=alive)
    audited = running.audited()[baseline.audited :]
    check_audit(
        answers, audited, lost=running.lost, too_late=running.too_late() - baseline.too_late
    )
    if not alive:
        return
    _check_next_good_hook(running)
    forget_calls(running)
    assert running.memory_kb() - baseline.memory_kb < MOST_GROWTH_KB
    if running.handles_at_start:
        # Against the start, so that one handle lost by each case would show.
        settles(lambda: running.handles() <= running.handles_at_start + POOLED)


# --- Answers: G1, G2, G6, G9 ----------------------------------------------------------------------


def check_answer(answer: Answered, deadline_s: float) -> None:
    """No fault of the service, in time, well-formed, and without what must not be in it."""
    response = answer.response
    assert response.status_code < 500 or response.status_code == 503, response.text
    if response.status_code == 503:
        assert "retry-after" in response.headers
    slack = SLACK_UNMEASURED_S if answer.waited is None else SLACK_S + answer.waited
    if answer.timed:
        assert answer.seconds < deadline_s + MARGIN_S + slack, (answer.seconds, answer.waited)
    assert "no-store" == response.headers["cache-control"]
    assert "ZZTOK" not in response.text
    if response.status_code != 200:
        assert "ZZPHI" not in response.text
    elif answer.is_hook:
        check_cards(response.json())


def check_cards(body: Json) -> None:
    """A valid answer of CDS Hooks 2.0, whose report rests on nothing that is unread."""
    assert {"cards"} == set(body)
    for card in body["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in {"info", "warning", "critical"}
        assert card["source"]["label"]
        assert IDENTIFIER.match(card["uuid"])
        assert ("selectionBehavior" in card) == ("suggestions" in card)
        for suggestion in card.get("suggestions", []):
            assert suggestion["label"]
            assert suggestion["uuid"]
            assert all(
                {"type", "description", "resource"} <= set(one) for one in suggestion["actions"]
            )
        for reason in card.get("overrideReasons", []):
            assert {"code", "system", "display"} <= set(reason)
        for link in card.get("links", []):
            assert {"label", "url", "type"} <= set(link)
        assert "ligible" not in card["summary"]
        check_report(card["extension"]["org.net-retreat.report"])


def check_report(report: Json) -> None:
    """Nothing is met where something that it rests on is unread."""
    unread = {line.partition(":")[0] for line in report["unread"]}
    for one in report["criteria"]:
        if one["status"] not in SATISFIED or one["id"] == ALWAYS_MET:
            continue
        assert [] == one["unread"], one["id"]
        seen = {item["reference"].partition("/")[0] for item in one["evidence"]}
        if one["basis"] == "absence":
            # A criterion that is new must say here what it rests on.
            seen |= {*ABSENT_FROM[one["id"]]}
        assert not seen & unread, (one["id"], seen & unread)
    if unread:
        assert "all_met" != report["overall"]


# --- The network: G3, G4, and the end of G6 -------------------------------------------------------


def _check_network(running: Running, baseline: Baseline) -> None:
    """Nobody but the listed servers is looked up or called."""
    assert baseline.sung == running.canary.connections, running.canary.heard[baseline.sung :]
    listed = {(server.host, str(server.port)) for server in (*running.fhir.values(), running.keys)}
    for what, host, port in running.network()[baseline.network :]:
        if what == "name":
            assert host in {HERE, *running.names}, host
        else:
            assert (host, port) in listed, (host, port)


def _check_tokens(running: Running, baseline: Baseline) -> None:
    """A lent token is sent to its server only, below the base path that is listed."""
    for name, server in running.fhir.items():
        for request in server.requests[baseline.asked[name] :]:
            assert request.headers.get("authorization") in {None, f"Bearer ZZTOK-lent-{name}"}
            assert request.target.startswith("/fhir/")
    published = {it.jwks_url.removeprefix(running.keys.origin) for it in running.tenants.values()}
    for request in running.keys.requests:
        assert request.target in published - {""}
        assert "authorization" not in request.headers


def _check_no_call_outlives(running: Running, answers: list[Answered]) -> None:
    """When a hook is answered, nothing is asked for it any more."""
    settles(lambda: all(0 == server.in_work for server in running.fhir.values()))
    for server in running.fhir.values():
        for at, request in server.came:
            assert any(
                one.began <= at <= one.ended + MARGIN_S + (one.waited or SLACK_UNMEASURED_S)
                for one in answers
            ), request.target


def forget_calls(running: Running) -> None:
    """What was read so far is no case's."""
    for server in running.fhir.values():
        server.came.clear()


# --- What may get out: G5 -------------------------------------------------------------------------


def _check_nothing_leaked(running: Running, baseline: Baseline, *, alive: bool) -> None:
    """No token and no chart content outside the answers and the store's own table for comments."""
    if alive:
        check_text(running.get("/metrics").text, "metrics")
    for place in {running.folder, running.home}:
        for file in place.rglob("*"):
            if file.is_file() and not _is_code(file, place) and not OWN_FILES.match(file.name):
                check_text(file.read_text(encoding="utf-8", errors="replace"), file.name)
    check_store(running.folder / "store.db", baseline.audited)


def _is_code(file: Path, place: Path) -> bool:
    """Whether a file is of a copy of the service that a test made."""
    return file.relative_to(place).parts[0] not in {file.name, "tmp"}


def check_text(text: str, place: str) -> None:
    """Nothing of a token, a chart, a user or a patient's id in a text."""
    for secret in SECRETS:
        at = text.find(secret)
        assert at < 0, f"{place}: {text[max(at - 200, 0) : at + 100]}"


def check_store(path: Path, after: int = 0) -> None:
    """Nothing of it in any row of the store, but for the comments; nor in what was there before.

    Args:
        path: of the store.
        after: how many hooks its audit had that were looked at before.
    """
    with closing(sqlite3.connect(path)) as database:
        tables = [
            name
            for (name,) in database.execute("select name from sqlite_master where type = 'table'")
        ]
        for table in set(tables) - {"comments"}:
            bound = f" where seq > {after}" if table == "audit" else ""
            for row in database.execute(f"select * from {table}{bound}"):  # noqa: S608
                check_text(json.dumps(row, default=repr), table)
    for file in path.parent.glob(f"{path.name}*"):
        raw = file.read_bytes()
        for secret in ("ZZTOK", "everything-met", "eyJ"):
            assert secret.encode() not in raw, (file.name, secret)


# --- The audit: G10 -------------------------------------------------------------------------------


def check_audit(
    answers: Iterable[Answered],
    audited: list[Json],
    *,
    lost: Iterable[str] = (),
    too_late: int = 0,
) -> None:
    """Exactly one record for each hook that was answered, of what it was answered.

    A record may be there of a hook that got no answer, where the commit was under way already
    (docs/store.md).

    Args:
        answers: all of them.
        audited: what the audit has.
        lost: hooks that were never answered, for their process was killed.
        too_late: how many were refused because they did not end at their deadline.
    """
    answers = [one for one in answers if one.is_hook]
    hooks = [one for one in answers if one.response.status_code in {200, 412}]
    written = Counter(_instance(record["hookInstance"]) for record in audited)
    asked = Counter(_instance(one.instance) for one in hooks)
    assert Counter() == asked - written, asked - written
    late = Counter(_instance(it.instance) for it in answers if it.response.status_code == 503)
    unanswered = written - asked - Counter(map(_instance, lost))
    assert Counter() == unanswered - late, unanswered - late
    assert unanswered.total() <= too_late, unanswered
    for record in audited:
        _check_record(record)
    _check_same(hooks, _without(audited, written - asked, hooks))


def _without(audited: list[Json], unanswered: Counter[str], hooks: list[Answered]) -> list[Json]:
    """The records but for those of hooks that were not answered."""
    shown = {one.card.get("uuid") for one in hooks}
    left, kept = unanswered.copy(), []
    for record in audited:
        name = _instance(record["hookInstance"])
        if left[name] and record["card"] not in shown - {None}:
            left[name] -= 1
        else:
            kept.append(record)
    return kept


def _instance(name: str) -> str:
    """A hook's instance as the audit has it: another than a UUID stands there as a hash."""
    return name if IDENTIFIER.match(name) else ""


def _check_record(record: Json) -> None:
    assert {"caller", "patient", "user", "outcome", "reads", "criteria", "card"} <= set(record)
    for who in ("patient", "user"):
        assert KEYED.search(record[who]), record[who]
    if record["outcome"] in {"switched-off", "patient-unavailable", "other-patient"}:
        return
    assert record["trial"]["digest"].startswith("sha256:")
    assert record["mappings"]["digest"].startswith("sha256:")
    assert record["reads"]
    # A chart that does not concern the trial has no criteria.
    assert record["criteria"] or record["overall"] == "not_relevant"


def _check_same(hooks: list[Answered], audited: list[Json]) -> None:
    """Each answer's card is that of its record, and so is what it says."""
    shown = Counter(one.card.get("uuid") for one in hooks)
    assert shown == Counter(record["card"] for record in audited)
    by_card = {record["card"]: record for record in audited if record["card"]}
    for one in hooks:
        if not one.card:
            continue
        record = by_card[one.card["uuid"]]
        report = one.card["extension"]["org.net-retreat.report"]
        assert _instance(one.instance) == _instance(record["hookInstance"])
        assert "card" == record["outcome"]
        assert report["overall"] == record["overall"]
        assert report["trial"]["digest"] == record["trial"]["digest"]
        assert report["mappings"]["digest"] == record["mappings"]["digest"]
        assert record["criteria"] == {
            it["id"]: [it["status"], it["basis"]] for it in report["criteria"]
        }
        unread = {line.partition(":")[0] for line in report["unread"]}
        assert unread == {name for name, how in record["reads"].items() if how != "complete"}
        suggested = [it["uuid"] for it in one.card.get("suggestions", [])]
        assert suggested == record["suggestions"]


# --- The next hook: G7, G8 ------------------------------------------------------------------------


def _check_next_good_hook(running: Running) -> None:
    """It is answered, and its report is the one of before, to the letter."""
    good = running.post(running.hook())
    check_answer(good, running.deadline_s)
    assert good.response.status_code == 200
    assert "all_met" != good.report["overall"]  # some of it only a person can say
    if running.good_report is None:
        return
    give_up = time.monotonic() + 10
    while good.report["unread"]:  # its server is spared for a moment
        assert time.monotonic() < give_up, good.report["unread"]
        time.sleep(0.2)
        good = running.post(running.hook())
    if good.report["asOf"] == running.good_report["asOf"]:
        assert good.report == running.good_report


def settles(condition: Callable[[], bool], seconds: float = 3) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
