"""What a service starts with: approved files, a configuration that is safe, one of two versions."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cds_service
from cds_service.errors import CdsServiceError
from cds_service.knowledge import load_knowledge
from cds_service.record.tables import default_root
from cds_service.serving import serve_service
from cds_service.trial.load import DEFAULT_TRIAL
from cds_service.trust.approval import new_key, sign
from tests.cases.conftest import (
    FEEDBACK,
    PATIENT,
    Running,
    free_port,
    serving,
    settings_for,
)
from tests.cases.invariants import check_text, watched
from tests.cases.others import another
from tests.cases.sent import chart, judge
from tests.cases.test_feedback import item

if TYPE_CHECKING:
    pass


# --- What decides, and who approved it ----------------------------------------------------------


def copied(folder: Path) -> Path:
    """A copy of the package and its tables, which a process that starts in the folder uses."""
    folder.mkdir()
    shutil.copytree(Path(cds_service.__file__).parent, folder / "cds_service")
    if not (folder / "cds_service" / "mappings").is_dir():
        shutil.copytree(default_root(), folder / "mappings")
    return folder


def changed(file: Path, old: str, new: str) -> None:
    """Change a file, in one place."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def refusals(starts: dict[str, tuple[Path, dict[str, str], list[str]]]) -> dict[str, str]:
    """What starts that must fail say, each in one line: folder, environment and arguments."""
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "cds_service.cli", "serve",
                     "--port", str(free_port()), *arguments],
                    cwd=folder, env=inherited | environment, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                )
            )
            for name, (folder, environment, arguments) in starts.items()
        }  # fmt: skip
        said = {}
        for name, process in processes.items():
            try:
                out, err = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                pytest.fail(f"{name}: it started")
            assert process.returncode in {1, 2}, (name, err)
            assert out == "", name
            check_text(err, name)
            said[name] = err
        return said


def refusal(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: str) -> str:
    """What a start in this process says, which must fail."""
    for name in [name for name in os.environ if name[:4] == "CDS_"]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CdsServiceError) as refused:
        serve_service(host, free_port())
    return str(refused.value)


@pytest.fixture
def approved(tmp_path: Path, today: date) -> dict[str, str]:
    """The environment of a service whose files were approved; beside it, a stranger's approval."""
    site = tmp_path / "site.yaml"
    site.write_text("timezone: UTC\neverolimus_access: true\n", "utf-8")
    keys = {}
    for who in ("lead", "stranger"):
        private, keys[who] = new_key(who)
        (tmp_path / f"{who}.json").write_text(json.dumps(private), "utf-8")
        wanted = load_knowledge(site).to_approve(site, who, today)
        (tmp_path / f"{who}.jws").write_text(sign(wanted, tmp_path / f"{who}.json"), "utf-8")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [keys["lead"]]}), "utf-8")
    return {
        "CDS_APPROVAL_KEYS": str(tmp_path / "keys.json"),
        "CDS_APPROVAL_FILE": str(tmp_path / "lead.jws"),
        "CDS_SITE_FILE": str(site),
        "CDS_AUTH": "none",
        "CDS_DATABASE_URL": f"sqlite:///{tmp_path}/store.db",
    }


@pytest.mark.case("LOD-07")
def test_criteria_and_tables_that_nobody_approved(
    tmp_path: Path, today: date, approved: dict[str, str]
) -> None:
    """With what was approved it starts; with one character changed it does not, and says so."""
    other_trial, other_table = copied(tmp_path / "trial"), copied(tmp_path / "table")
    changed(other_trial / "cds_service/trials/net_retreat.yaml", "80", "70")
    changed(next(other_table.rglob("codes/labs.csv")), "Hemoglobin", "hemoglobin")

    said = refusals({"trial": (other_trial, approved, []), "mappings": (other_table, approved, [])})
    with another(tmp_path, today, **(approved | {"CDS_AUTH": "required"})) as service:
        started = service.post(service.hook()).response.status_code
        signed = service.post(service.hook()).card["detail"]

    for name, text in said.items():
        assert 1 == text.count("\n")
        assert f"the {name} in force is not the one that lead approved" in text
    assert 200 == started
    assert "not for care" not in signed


@pytest.mark.case("LOD-07")
def test_a_card_by_criteria_that_nobody_signed(service: Running) -> None:
    """It says so, each time."""
    for _ in range(2):
        assert "Draft, not for care" in service.post(service.hook()).card["detail"]


@pytest.mark.case("LOD-07")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"CDS_SITE_FILE": "other.yaml"}, "the site in force is not the one that lead approved"),
        ({"CDS_APPROVAL_FILE": "stranger.jws"}, "is not signed by anyone listed"),
        ({"CDS_APPROVAL_FILE": ""}, "CDS_APPROVAL_FILE"),
    ],
    ids=["site", "stranger", "unsigned"],
)
def test_what_nobody_approved(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    approved: dict[str, str],
    change: dict[str, str],
    expected: str,
) -> None:
    """Another site file, a signature of one who is not listed, and none at all."""
    (tmp_path / "other.yaml").write_text("timezone: UTC\neverolimus_access: false\n", "utf-8")
    files = {name: value and str(tmp_path / value) for name, value in change.items()}

    said = refusal(monkeypatch, approved | files, "127.0.0.1")

    assert expected in said
    assert "\n" not in said


@pytest.mark.case("LOD-13")
def test_a_card_of_the_version_before(service: Running, tmp_path: Path) -> None:
    """Of two versions on one store either takes feedback on a card of the other.

    In the audit the card stays under the version that made it.
    """
    newer = copied(tmp_path / "newer")
    changed(newer / "cds_service/trials/net_retreat.yaml", "\nversion: ", "\nversion: 9-")
    contexts = [
        {"userId": f"Practitioner/ZZPHI-version-{number}", "patientId": PATIENT}
        for number in range(2)
    ]
    card = judge(service, chart(), context=contexts[0]).answer.cards[0]
    port = free_port()
    tenants = {name: copy.copy(tenant) for name, tenant in service.tenants.items()}
    for tenant in tenants.values():
        tenant.public_url = f"http://127.0.0.1:{port}"
    settings = settings_for(service.folder, port, tenants)
    with serving(newer, port, settings) as process:
        after = replace(
            service, url=f"http://127.0.0.1:{port}", process=process, tenants=tenants,
            started_in=newer, handles_at_start=0, good_report=None,
        )  # fmt: skip
        with watched(after):
            taken = after.post({"feedback": [item(card)]}, path=FEEDBACK)
            newer_card = judge(after, chart(), context=contexts[1]).answer.cards[0]
    audited = {record["card"]: record["trial"] for record in service.audited()}

    assert 200 == taken.response.status_code
    first, second = audited[card["uuid"]], audited[newer_card["uuid"]]
    assert first["version"] != second["version"]
    assert second["version"].startswith("9-")
    assert first["digest"] != second["digest"]
    assert first["digest"][:19] in card["detail"]
    assert second["digest"][:19] in newer_card["detail"]


OPEN = {"CDS_AUTH": "none"}


@pytest.mark.case("LOD-09")
@pytest.mark.parametrize(
    ("environment", "host", "expected"),
    [
        ({}, "127.0.0.1", "CDS_JWT_ISSUERS"),
        (OPEN | {"CDS_DEADLINE": "ZZPHI"}, "127.0.0.1", "CDS_DEADLINE: unknown setting"),
        (OPEN | {"CDS_DEADLINE_SECONDS": "ZZPHI"}, "127.0.0.1", "CDS_DEADLINE_SECONDS"),
        (OPEN | {"CDS_FHIR_SERVERS": "file:///ZZPHI"}, "127.0.0.1", "CDS_FHIR_SERVERS"),
        (OPEN, "0.0.0.0", "CDS_AUTH=none"),  # noqa: S104
        (OPEN | {"CDS_JWT_ISSUERS": "issuers.json"}, "127.0.0.1", "CDS_AUTH=none"),
        (OPEN | {"CDS_FHIR_SERVERS": "http://fhir.example.org"}, "127.0.0.1", "CDS_FHIR_SERVERS"),
        (OPEN | {"CDS_PUBLIC_URL": "http://cds.example.org"}, "127.0.0.1", "CDS_PUBLIC_URL"),
        (OPEN | {"CDS_SITE_FILE": "none.yaml"}, "127.0.0.1", "none.yaml"),
        (OPEN | {"CDS_AUTH_DISCOVERY": "required"}, "127.0.0.1", "CDS_AUTH_DISCOVERY"),
        (OPEN | {"CDS_PUBLIC_URL": "https://cds.example.org"}, "127.0.0.1", "CDS_PUBLIC_URL"),
        (OPEN | {"CDS_FHIR_SERVERS": "http://127.0.0.1.evil.example/r4"}, "127.0.0.1",
         "CDS_FHIR_SERVERS"),
        (OPEN | {"CDS_DATABASE_URL": "postgresql+psycopg://cds:ZZPHI@db/cds"}, "127.0.0.1",
         "CDS_HASH_KEY_FILE"),
        (OPEN | {"CDS_APPROVAL_KEYS": "keys.json"}, "127.0.0.1", "CDS_APPROVAL_FILE"),
        (OPEN | {"CDS_CANDIDATE_TRIAL_FILE": str(DEFAULT_TRIAL)}, "127.0.0.1",
         "CDS_CANDIDATE_TRIAL_FILE"),
    ],
    ids=["no-issuers", "unknown", "no-number", "no-web-address", "strangers", "both",
         "plain-http", "plain-public", "no-file", "discovery", "public", "looks-local",
         "no-hash-key", "no-approval", "same-trial"],
)  # fmt: skip
def test_a_configuration_that_is_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    host: str,
    expected: str,
) -> None:
    """No start; one line that names the setting, and no value that could be a secret."""
    monkeypatch.chdir(tmp_path)

    said = refusal(monkeypatch, environment, host)

    assert expected in said
    assert "\n" not in said
    assert "ZZPHI" not in said


@pytest.mark.case("LOD-09")
def test_a_process_that_does_not_start(tmp_path: Path) -> None:
    """One line on standard error, no traceback, and a code that says so."""
    said = refusals({"unknown": (tmp_path, OPEN | {"CDS_DEADLINE": "ZZPHI"}, [])})["unknown"]

    assert 1 == said.count("\n")
    assert "CDS_DEADLINE: unknown setting" in said
    assert "ZZPHI" not in said
