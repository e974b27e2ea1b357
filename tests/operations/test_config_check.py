"""``cds-service config check``: every fault a line, and of a good configuration a summary."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import ECKey
from ruamel.yaml import YAML

from cds_service.operations.config_check import check_configuration
from cds_service.store.opening import prepare
from cds_service.trial.load import DEFAULT_TRIAL

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = ("ZZPASS", "ZZKEY")


@pytest.fixture
def good(tmp_path: Path) -> dict[str, str]:
    """A configuration that may start."""
    key = ECKey.generate_key("P-384", {"kid": "ZZKID", "alg": "ES384", "use": "sig"})
    issuers = [
        {
            "iss": "https://ehr.hospital.example",
            "name": "general-hospital",
            "keys": [key.as_dict(private=False)],
        }
    ]
    with (tmp_path / "issuers.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(issuers, file)
    (tmp_path / "hash.key").write_text("ZZKEY" * 20, encoding="utf-8")
    (tmp_path / "hash.key").chmod(0o600)
    (tmp_path / "site.yaml").write_text("timezone: America/Toronto\n", encoding="utf-8")
    amended = DEFAULT_TRIAL.read_text("utf-8") + "\n# amended\n"
    (tmp_path / "amended.yaml").write_text(amended, encoding="utf-8")
    return {
        "CDS_PUBLIC_URL": "https://cds.hospital.example",
        "CDS_FHIR_SERVERS": "https://fhir.hospital.example/r4",
        "CDS_JWT_ISSUERS": "issuers.yaml",
        "CDS_HASH_KEY_FILE": "hash.key",
        "CDS_SITE_FILE": "site.yaml",
        "CDS_CANDIDATE_TRIAL_FILE": "amended.yaml",
    }


def check(directory: Path, settings: dict[str, str], *options: str) -> Any:
    """Run the command."""
    return run(directory, settings, "config", "check", *options)


def run(directory: Path, settings: dict[str, str], *arguments: str) -> Any:
    """Run any command of the service."""
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    return subprocess.run(
        [sys.executable, "-m", "cds_service.cli", *arguments],
        cwd=directory,
        env=inherited | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_good(tmp_path: Path, good: dict[str, str]) -> None:
    """Exit 0, and what a start would use; nothing is written, and no secret shown."""
    before = sorted(tmp_path.iterdir())
    ran = check(tmp_path, good, "--store")

    assert (0, "") == (ran.returncode, ran.stderr)
    said = dict(line.split("  ", 1) for line in ran.stdout.splitlines())
    assert "net-retreat 2023.1 sha256:" in said["trial"]
    assert "sha256:" in said["candidate"]
    assert said["trial"].split()[-1] != said["candidate"].split()[-1]
    assert said["issuer"].strip() == (
        "general-hospital (https://ehr.hospital.example); keys: 1; "
        "FHIR servers: https://fhir.hospital.example/r4"
    )
    assert said["FHIR servers"].strip() == (
        "https://fhir.hospital.example/r4 (where the issuer lists none of its own)"
    )
    assert "America/Toronto" in said["site"]
    assert not any(secret in ran.stdout for secret in SECRETS)
    assert before == sorted(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "listed"),
    [
        ({"CDS_FHIR_SERVERS": ""}, None),
        (
            {"CDS_FHIR_SERVERS": "", "CDS_JWT_ISSUERS": "", "CDS_AUTH": "none"},
            "none: prefetch only",
        ),
        ({"CDS_JWT_ISSUERS": "", "CDS_AUTH": "none"}, "https://fhir.hospital.example/r4"),
    ],
)
def test_whose_servers(
    tmp_path: Path, good: dict[str, str], settings: dict[str, str], listed: str | None
) -> None:
    """Those of the setting are named where they count; those of an issuer beside it."""
    local = {"CDS_PUBLIC_URL": "http://127.0.0.1:8000"} if "CDS_AUTH" in settings else {}

    ran = check(tmp_path, good | local | settings)

    assert (0, "") == (ran.returncode, ran.stderr)
    said = dict(line.split("  ", 1) for line in ran.stdout.splitlines())
    assert listed == (said["FHIR servers"].strip() if "FHIR servers" in said else None)
    if listed is None:
        assert said["issuer"].endswith("; FHIR servers: none: prefetch only")


def test_every_fault_is_a_line(tmp_path: Path, good: dict[str, str]) -> None:
    """Those of settings together, those of files, and those of the network."""
    (tmp_path / "issuers.yaml").write_text("- {iss: x, colour: red}\n", encoding="utf-8")
    (tmp_path / "hash.key").chmod(0o644)
    (tmp_path / "ca.pem").write_text("nothing", encoding="utf-8")
    (tmp_path / "amended.yaml").write_bytes(DEFAULT_TRIAL.read_bytes())
    ran = check(
        tmp_path,
        good
        | {
            "CDS_PUBLIC_URL": "http://cds.hospital.example",
            "CDS_CA_FILE": "ca.pem",
            "CDS_DATABASE_URL": "postgresql+psycopg://cds:ZZPASS@127.0.0.1:1/cds?sslpassword=ZZPASS",
        },
        "--store",
    )

    assert (2, "") == (ran.returncode, ran.stdout)
    lines = ran.stderr.splitlines()
    assert all(line.startswith("cds-service: ") for line in lines)
    for part in (
        "CDS_PUBLIC_URL: must be https",
        "issuers.yaml: issuer 1 (x): colour: is not known",
        "hash.key: open to other users",
        "ca.pem: cannot be used",
        "CDS_CANDIDATE_TRIAL_FILE: holds the trial file in force",
        "the store is unreachable",
    ):
        assert 1 == sum(part in line for line in lines), (part, lines)
    assert 6 == len(lines)
    assert not any(secret in ran.stderr for secret in SECRETS)


def test_settings_first(tmp_path: Path) -> None:
    """With a setting that cannot be read, there is nothing more to be looked at."""
    ran = check(tmp_path, {"CDS_DEADLINE_SECONDS": "ZZPASS", "CDS_COLOUR": "ZZPASS"})

    assert 2 == ran.returncode
    assert 2 == len(ran.stderr.splitlines())
    assert "CDS_COLOUR: unknown setting" in ran.stderr
    assert "CDS_DEADLINE_SECONDS: " in ran.stderr
    assert "ZZPASS" not in ran.stderr


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"CDS_SITE_FILE": "nowhere.yaml"}, "nowhere.yaml"),
        ({"CDS_DATABASE_URL": "sqlite:////nowhere/cds.db"}, "no folder /nowhere"),
        ({"CDS_DATABASE_URL": "sqlite://"}, "SQLite needs a file"),
        ({"CDS_DATABASE_URL": "sqlite:///site.yaml"}, "site.yaml: is no SQLite database"),
        ({"CDS_DATABASE_URL": "sqlite:////proc/self"}, "/proc/self: cannot be read (Is a dir"),
        ({"CDS_CANDIDATE_TRIAL_FILE": "nowhere.yaml"}, "nowhere.yaml: cannot be read"),
        ({"CDS_JWT_ISSUERS": "nowhere.yaml"}, "nowhere.yaml: cannot be read"),
        ({"CDS_APPROVAL_KEYS": "k.json", "CDS_APPROVAL_FILE": "a.jws"}, "cannot be read"),
    ],
)
def test_one_fault(
    tmp_path: Path,
    good: dict[str, str],
    settings: dict[str, str],
    part: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Alone, it is the one line."""
    for name in [name for name in os.environ if name[:4] == "CDS_"]:
        monkeypatch.delenv(name)
    for name, value in (good | settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    errors = check_configuration(reach_store=False).errors

    assert 1 == len(errors)
    assert part in errors[0]


@pytest.mark.parametrize(
    ("store", "part"),
    [
        ("/proc/x.db", "no file can be made in /proc ("),
        ("site.yaml", "site.yaml: is no SQLite database"),
    ],
)
def test_a_store_that_cannot_be(
    tmp_path: Path, good: dict[str, str], store: str, part: str
) -> None:
    """The start would fail, so that the check does."""
    before = sorted(tmp_path.iterdir())
    ran = check(tmp_path, good | {"CDS_DATABASE_URL": f"sqlite:///{store}"}, "--store")

    assert (2, "") == (ran.returncode, ran.stdout)
    assert part in ran.stderr
    assert before == sorted(tmp_path.iterdir())


@pytest.mark.parametrize("options", [(), ("--store",)])
def test_a_store_that_has_been_used(
    tmp_path: Path, good: dict[str, str], options: tuple[str, ...]
) -> None:
    """Is a store; an empty file is one to come."""
    prepare(f"sqlite:///{tmp_path}/used.db", lambda: datetime.now(UTC))
    (tmp_path / "empty.db").touch()
    for store in ("used.db", "empty.db"):
        ran = check(tmp_path, good | {"CDS_DATABASE_URL": f"sqlite:///{store}"}, *options)
        assert (0, "") == (ran.returncode, ran.stderr)
    assert 0 == (tmp_path / "empty.db").stat().st_size


@pytest.mark.parametrize("named", [True, False])
def test_a_lost_hash_key(tmp_path: Path, good: dict[str, str], *, named: bool) -> None:
    """None is made for a store that was written with another; a start says the same."""
    url = f"sqlite:///{tmp_path}/used.db"
    prepare(url, lambda: datetime.now(UTC))
    with closing(sqlite3.connect(tmp_path / "used.db")) as database, database:
        database.execute("insert into audit values (2, '', 'hook', '{}', '', '')")
    settings = good | {"CDS_DATABASE_URL": url, "CDS_HASH_KEY_FILE": str(tmp_path / "lost.key")}
    if not named:
        del settings["CDS_HASH_KEY_FILE"]

    for command in (["config", "check"], ["serve", "--port", "0"]):
        ran = run(tmp_path, settings, *command)
        assert (2, "") == (ran.returncode, ran.stdout)
        (line,) = ran.stderr.splitlines()
        assert "missing, and the store has records made with it; put it back" in line
        assert ("lost.key" if named else "used.db.key") in line
    assert [tmp_path / "hash.key"] == list(tmp_path.glob("*.key"))
