"""The signed approval of criteria, tables and site file."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from cds_service.errors import ConfigError
from cds_service.knowledge import approved_knowledge, load_knowledge
from cds_service.settings import Settings
from cds_service.trust.approval import Approval, check_approval, file_digest, new_key, sign

BY = "Dr. Ada Principal"


def approval(**fields: str | None) -> Approval:
    """An approval of some files."""
    given: dict[str, str | None] = {"trial": "sha256:t", "mappings": "sha256:m", "site": None}
    return Approval(**(given | fields), by=BY, on=date(2026, 11, 24))  # type: ignore[arg-type]


class Signer:
    """Somebody with a key, and the files that hold it."""

    def __init__(self, folder: Path, by: str = BY) -> None:
        private, public = new_key(by)
        self.key = folder / f"{by}.jwk"
        self.key.write_text(json.dumps(private))
        self.keys = folder / f"{by}.jwks"
        self.keys.write_text(json.dumps({"keys": [public]}))
        self.folder = folder

    def signed(self, what: Approval) -> Path:
        """An approval signed by this one."""
        path = self.folder / "approval.jws"
        path.write_text(sign(what, self.key) + "\n")
        return path


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """One whose approval is taken."""
    return Signer(tmp_path)


def test_what_was_signed_is_approved(signer: Signer) -> None:
    """The approval names who gave it and when."""
    found = check_approval(signer.signed(approval()), signer.keys, approval())

    assert (BY, date(2026, 11, 24)) == (found.by, found.on)


@pytest.mark.parametrize("what", ["trial", "mappings", "site"])
def test_another_file_is_not_approved(signer: Signer, what: str) -> None:
    """One byte changed is another digest, and the message says which file it is."""
    file = signer.signed(approval())

    with pytest.raises(ConfigError, match=f"the {what} in force is not the one that"):
        check_approval(file, signer.keys, approval(**{what: "sha256:other"}))


def test_somebody_else_cannot_approve(signer: Signer, tmp_path: Path) -> None:
    """The same name with another key is nobody listed."""
    (tmp_path / "other").mkdir()
    file = Signer(tmp_path / "other").signed(approval())

    with pytest.raises(ConfigError, match="not signed by anyone listed"):
        check_approval(file, signer.keys, approval())


@pytest.mark.parametrize("change", ["payload", "signature", "header", "nothing", "none"])
def test_a_changed_approval_is_none(signer: Signer, change: str) -> None:
    """Whatever is changed in it."""
    file = signer.signed(approval())
    header, payload, signature = file.read_text().strip().split(".")
    unsigned = "eyJhbGciOiJub25lIn0"
    file.write_text(
        {
            "payload": f"{header}.{payload[:-4]}AAAA.{signature}",
            "signature": f"{header}.{payload}.{signature[:-4]}AAAA",
            "header": f"{unsigned}.{payload}.{signature}",
            "nothing": "",
            "none": f"{unsigned}.{payload}.",
        }[change]
    )

    with pytest.raises(ConfigError, match="not signed by anyone listed"):
        check_approval(file, signer.keys, approval())


def test_a_private_key_among_the_public_ones_is_refused(signer: Signer) -> None:
    """Who holds it could approve in the signer's name."""
    signer.keys.write_text(json.dumps({"keys": [json.loads(signer.key.read_text())]}))

    with pytest.raises(ConfigError, match="holds a private key"):
        check_approval(signer.signed(approval()), signer.keys, approval())


def test_one_cannot_sign_for_another(signer: Signer) -> None:
    """The key names its holder."""
    other = Approval(trial="t", mappings="m", site=None, by="Dr. Else", on=date(2026, 11, 24))

    with pytest.raises(ConfigError, match=r"no private key of Dr\. Else"):
        sign(other, signer.key)


class TestStart:
    """What the service starts with, where a site asks for approvals."""

    def settings(self, signer: Signer, approval_file: Path | None, site: Path | None) -> Settings:
        """A site that takes this signer's approval."""
        return Settings(
            auth="none", approval_keys=signer.keys, approval_file=approval_file, site_file=site
        )

    def test_approved_files_are_served(self, signer: Signer, tmp_path: Path) -> None:
        """All three as they were signed."""
        site = tmp_path / "site.yaml"
        site.write_text("timezone: America/Toronto\n")
        file = signer.signed(load_knowledge(site).to_approve(site, BY, date(2026, 11, 24)))

        knowledge = approved_knowledge(self.settings(signer, file, site))

        assert knowledge.site.timezone == "America/Toronto"

    def test_a_changed_site_file_is_not(self, signer: Signer, tmp_path: Path) -> None:
        """An upper limit of normal decides about patients as much as a criterion does."""
        site = tmp_path / "site.yaml"
        site.write_text("timezone: America/Toronto\n")
        file = signer.signed(load_knowledge(site).to_approve(site, BY, date(2026, 11, 24)))
        site.write_text("timezone: America/Toronto\nuln: {bilirubin: {value: 90, unit: umol/L}}\n")

        with pytest.raises(ConfigError, match="the site in force is not the one"):
            approved_knowledge(self.settings(signer, file, site))

    def test_no_approval_is_no_start(self, signer: Signer) -> None:
        """Keys without an approval mean that nothing is approved."""
        with pytest.raises(ConfigError, match="CDS_APPROVAL_FILE"):
            approved_knowledge(self.settings(signer, None, None))


def test_no_file_has_no_digest(tmp_path: Path) -> None:
    """And one that cannot be read is an error, not another digest."""
    assert file_digest(None) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        file_digest(tmp_path / "absent")
