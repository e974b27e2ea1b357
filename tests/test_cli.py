"""The command line: a report and nothing else, or one line that says what is wrong."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cds_service import cli
from tests.charts import chart, coded, lab, patient, quantity, resource, words

AS_OF = "2026-11-23"
ROOT = Path(__file__).parents[1]


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Run:
    """Run the command in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def _run(*arguments: str | Path, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["cds-service", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Ran(int(ended.value.code or 0), out.decode(), err.decode())

    return _run


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A chart that can be evaluated."""
    return write(tmp_path / "chart.json", chart())


def write(path: Path, content: Any) -> Path:
    """Write JSON, or text and bytes as they are."""
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(ran: Ran, *parts: str, code: int = 2) -> None:
    """Assert that a command ended with one line that says certain things, and no traceback."""
    assert (code, "") == (ran.code, ran.out)
    assert 1 == ran.err.count("\n")
    assert ran.err.startswith("cds-service: ")
    for part in parts:
        assert part in ran.err


def report(ran: Ran) -> dict[str, Any]:
    """The report of a command that printed one JSON object, and nothing else."""
    assert (0, "") == (ran.code, ran.err)
    assert 1 == ran.out.count("\n")
    found: dict[str, Any] = json.loads(ran.out)
    return found


def criterion(found: dict[str, Any], name: str) -> dict[str, Any]:
    """One criterion of a report."""
    return next(one for one in found["criteria"] if one["id"] == name)


# --- A chart that is none ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"<html><body>\n<h1>Sign in</h1>\n</body></html>", "is not JSON"),
        (b"not json", "is not JSON"),
        (b'{"resourceType": "Bundle", "entry": [', "is not JSON"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not JSON"),
        (b"[1, 2]", "is not a FHIR Bundle"),
        (b"{}", "is not a FHIR Bundle"),
        (b'{"resourceType": "Bundle"}', "holds no Patient"),
        (b'{"resourceType": "Bundle", "entry": [{"resource": {"id": "anna"}}]}', "no Patient"),
        (b"[" * 100_000, "is not a FHIR Bundle"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_chart_is_refused(
    run: Run, tmp_path: Path, content: bytes, part: str
) -> None:
    """From a file and from standard input alike."""
    path = write(tmp_path / "x.json", content)

    refused(run("evaluate", path), part, "x.json")
    refused(run("evaluate", "-", stdin=content), part, "standard input")


def test_a_file_that_cannot_be_opened_is_refused(run: Run, tmp_path: Path) -> None:
    """One that is not there, and a directory."""
    refused(run("evaluate", "none.json"), "none.json", "No such file")
    refused(run("evaluate", tmp_path), "Is a directory")


def test_a_file_without_a_name_is_refused(run: Run, base: Path) -> None:
    """Standard input is read where it is asked for, not for an empty variable of a script."""
    refused(run("evaluate", "", stdin=base.read_bytes()), "the name of the file is empty")


def test_one_of_several_patients_must_be_chosen(run: Run, tmp_path: Path) -> None:
    """And must be one of them."""
    two = chart()
    two["entry"].append({"resource": patient(id="ben")})
    path = write(tmp_path / "two.json", two)

    refused(run("evaluate", path), "2 patients", "--patient")
    refused(run("evaluate", path, "--patient", "zoe"), "does not hold")
    refused(run("evaluate", path, "--patient", ""), "does not hold")
    chosen = run("evaluate", path, "--patient", "ben", "--format", "json", "--as-of", AS_OF)
    assert ("Patient/ben", "not_relevant") == (report(chosen)["subject"], report(chosen)["overall"])


# --- Wrong use ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "day",
    ["today", "2026-2-3", "20260203", "2026-02-30", "2026-W01-1", "2026", "", "1999-12-31",
     "9999-12-31"],
)  # fmt: skip
def test_a_day_that_is_none_is_refused(run: Run, base: Path, day: str) -> None:
    """ISO only, and of this century or the next."""
    refused(run("evaluate", base, "--as-of", day), "--as-of")


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate"],
        ["evaluate", "chart.json", "--fhir-server", "https://ehr.test/fhir"],
        ["evaluate", "--fhir-server", "https://ehr.test/fhir"],
        ["evaluate", "--fhir-server", "no url", "--patient", "1"],
        ["evaluate", "--fhir-server", "file:///etc/passwd", "--patient", "1"],
        ["evaluate", "chart.json", "--format", "xml"],
        ["evaluate", "chart.json", "--colour"],
        ["evaluate", "chart.json", "another.json"],
        ["assess", "chart.json"],
        ["serve", "--port", "many"],
    ],
)
def test_wrong_use_is_refused(run: Run, base: Path, arguments: list[str]) -> None:
    """In one line, with exit 2."""
    assert base.exists()

    refused(run(*arguments))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["audit", "export"], "Missing option '--out'"),
        (["switch", "off"], "Missing argument '"),
        (["serve", "--workers", "0"], "'--workers'"),
        (["serve", "--colour"], "--colour"),
    ],
)
def test_wrong_use_is_named(run: Run, arguments: list[str], named: str) -> None:
    """With the option that is missing or wrong."""
    ran = run(*arguments)

    refused(ran)
    assert named in ran.err


def test_a_server_that_is_off_is_a_failed_job(run: Run) -> None:
    """Nothing was wrong with the command."""
    ran = run("evaluate", "--fhir-server", "http://127.0.0.1:9/fhir", "--patient", "1")

    refused(ran, "Patient", code=1)


def test_the_version(run: Run) -> None:
    """Name and version in the first line, then what decides about patients, by its digests."""
    ran = run("--version")

    assert (0, "") == (ran.code, ran.err)
    own, trial, mappings = ran.out.splitlines()
    assert re.fullmatch(r"cds-service \d+\.\d+\.\d+\S*", own)
    assert re.fullmatch(r"trial net-retreat \S+ sha256:[0-9a-f]{64}", trial)
    assert re.fullmatch(r"mappings \S+ sha256:[0-9a-f]{64}", mappings)


# --- Site file ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("colour: red", ["colour"]),
        ("timezone: Mars/Olympus", ["timezone", "time zone"]),
        ("timezone: ''", ["timezone"]),
        ("timezone: ../../etc/passwd", ["timezone"]),
        ("timezone: America", ["timezone"]),
        ("timezone: 5", ["timezone"]),
        ("uln: {bilirubin: {value: 21, unit: furlong}}", ["uln.bilirubin", "furlong"]),
        ("uln: {bilirubin: {value: 21, unit: ''}}", ["uln.bilirubin"]),
        ("uln: {bilirubin: {value: 21}}", ["uln.bilirubin.unit"]),
        ("uln: {bilirubin: {value: -1, unit: umol/L}}", ["uln.bilirubin.value"]),
        ("uln: {bilirubin: {value: .nan, unit: umol/L}}", ["no number"]),
        ("uln: {mood: {value: 21, unit: umol/L}}", ["uln.mood"]),
        ("uln: 21", ["uln"]),
        ("uln: {mood: {value: 1, unit: L}, alt: {value: 1, unit: L}}", ["uln.mood", "uln.alt"]),
        ("everolimus_access: perhaps", ["everolimus_access"]),
        ("prrt_activity_tolerance: 10", ["prrt_activity_tolerance"]),
        ("gilbert_bilirubin_uln_multiple: 0", ["gilbert_bilirubin_uln_multiple"]),
        ("cards: [sometimes]", ["cards"]),
        ("override_days: -1", ["override_days"]),
        ("test_patients: [HTEST]", ["test_patients: 'HTEST' is no system|code, such as http"]),
        ("test_patients: ['|HTEST']", ["test_patients", "system|code"]),
        ("test_patients: ['urn:x|']", ["test_patients", "system|code"]),
        ("test_patients: ['urn:x| y']", ["test_patients", "system|code"]),
        ("test_patients: urn:x|y", ["test_patients: must be a list"]),
        ("test_patients: [5]", ["test_patients.0"]),
        (
            "colour: red\ncards: x\noverride_days: -1",
            ["colour: is not known", "cards: must be a list", "override_days"],
        ),
        ("mappings: [none.csv]", ["none.csv"]),
        ("mappings: ['.']", ["cannot be read"]),
        ("mappings: site.yaml", ["mappings"]),
        ("- timezone", ["site.yaml"]),
        ("0", ["site.yaml"]),
        ("a: [", ["is not YAML"]),
        ("a: 1\na: 2", ["is not YAML"]),
        ("a: &x [*x]", ["a"]),
        ("[" * 5000, ["is not YAML"]),
        (b"\xff\xfe\x00", ["cannot be read"]),
    ],
)
def test_a_site_file_that_is_wrong_is_refused(
    run: Run, base: Path, tmp_path: Path, content: Any, parts: list[str]
) -> None:
    """The line names the key, or the file that it names."""
    site = write(tmp_path / "site.yaml", content)

    refused(run("evaluate", base, "--site", site), *parts)


def test_a_site_file_that_cannot_be_opened_is_refused(run: Run, base: Path, tmp_path: Path) -> None:
    """One that is not there, and a directory."""
    refused(run("evaluate", base, "--site", "none.yaml"), "none.yaml", "cannot be read")
    refused(run("evaluate", base, "--site", tmp_path), "cannot be read")


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "{}"])
def test_an_empty_site_file_configures_nothing(
    run: Run, base: Path, tmp_path: Path, content: str
) -> None:
    """Every setting is optional."""
    site = write(tmp_path / "site.yaml", content)

    found = report(run("evaluate", base, "--site", site, "--as-of", AS_OF, "--format", "json"))

    assert "needs_confirmation" == criterion(found, "everolimus-access")["status"]


HEADER = "concept,system,code,match,use,property,display,source,verified,note\n"
LOCAL = HEADER + "hemoglobin,https://lab.test/codes,HGB,exact,fact,mass,Haemoglobin,site,yes,\n"


def test_a_site_s_own_code_makes_its_result_count(run: Run, tmp_path: Path) -> None:
    """A haemoglobin under a local code, which no table of ours knows."""
    code = coded("HGB", "https://lab.test/codes")
    local = lab("hemoglobin", 70, "g/L", id_="local") | {"code": code}
    base = write(tmp_path / "chart.json", chart(local, without="hb"))
    write(tmp_path / "local.csv", LOCAL)
    site = write(tmp_path / "site.yaml", "mappings: [local.csv]\ntimezone: America/Toronto\n")
    arguments = ("evaluate", base, "--as-of", AS_OF, "--format", "json")

    without, with_site = report(run(*arguments)), report(run(*arguments, "--site", site))

    assert "unknown" == criterion(without, "hemoglobin")["status"]
    assert "not_met" == criterion(with_site, "hemoglobin")["status"]
    assert without["mappings"]["digest"] != with_site["mappings"]["digest"]


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (LOCAL.replace("hemoglobin", "mood"), "local.csv:2"),
        (LOCAL.replace("exact", "roughly"), "local.csv:2"),
        (LOCAL + LOCAL.splitlines()[1] + "\n", "local.csv:3"),
        (LOCAL.replace("property", "colour"), "local.csv:1"),
        ("<html>", "local.csv:1"),
        ("", "local.csv"),
        (b"\xff\xfe", "local.csv"),
    ],
)
def test_a_table_of_a_site_that_is_wrong_is_refused(
    run: Run, base: Path, tmp_path: Path, table: Any, part: str
) -> None:
    """By file and line."""
    write(tmp_path / "local.csv", table)
    site = write(tmp_path / "site.yaml", "mappings: [local.csv]")

    refused(run("evaluate", base, "--site", site), part)


# --- Attestations ------------------------------------------------------------------------------

SIGNED = "- {criterion: consent, answer: met, by: Practitioner/9, on: 2026-11-20}\n"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (SIGNED.replace("consent", "mood"), "mood"),
        (SIGNED.replace("answer: met", "answer: maybe"), "answer"),
        (SIGNED.replace("2026-11-20", "2026-13-20"), "attest.yaml"),
        (SIGNED.replace("Practitioner/9", "' '"), "by is empty"),
        (SIGNED.replace("2026-11-20", "lately"), "on"),
        (SIGNED.replace("by: Practitioner/9, ", ""), "by"),
        (SIGNED.replace("by:", "who: x, by:"), "who"),
        (SIGNED.replace("by: Practitioner/9", "by: 9"), "by"),
        ("criterion: consent", "array"),
        ("{}", "array"),
        ("0", "array"),
        ("- consent", "object"),
        ("- [", "is not YAML"),
        ("- &x [*x]", "object"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_an_attestation_file_that_is_wrong_is_refused(
    run: Run, base: Path, tmp_path: Path, content: Any, part: str
) -> None:
    """Nothing of it is used."""
    attest = write(tmp_path / "attest.yaml", content)

    refused(run("evaluate", base, "--attest", attest), part, "attest.yaml")


@pytest.mark.parametrize("through", ["", ", through: 2026-11-23", ", through: 9999-12-31"])
def test_an_attestation_settles_what_only_a_person_knows(
    run: Run, base: Path, tmp_path: Path, through: str
) -> None:
    """As long as it holds."""
    attest = write(tmp_path / "attest.yaml", SIGNED.replace("20}", f"20{through}}}"))

    ran = run("evaluate", base, "--attest", attest, "--as-of", AS_OF, "--format", "json")

    found = criterion(report(ran), "consent")
    assert ("met", "attestation") == (found["status"], found["basis"])


# --- Output ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "text", "markdown"])
def test_every_form_prints_every_criterion(run: Run, base: Path, form: str) -> None:
    """On standard output, with nothing on standard error."""
    ran = run("evaluate", base, "--as-of", AS_OF, "--format", form)

    assert (0, "") == (ran.code, ran.err)
    # The words for people have titles, the others ids.
    assert ("Platelet" if form == "markdown" else "platelets") in ran.out


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_forms_for_people_say_what_to_order_and_what_to_ask(
    run: Run, tmp_path: Path, form: str
) -> None:
    """Whatever the report says is missing, in its own words."""
    asked = (
        "evaluate",
        write(tmp_path / "chart.json", chart(without="plt")),
        "--as-of",
        AS_OF,
        "--format",
    )
    missing = [it for one in report(run(*asked, "json"))["criteria"] for it in one["missing"]]

    said = " ".join(run(*asked, form).out.split())

    assert {"order", "question"} == {one["kind"] for one in missing}
    assert [] == [one["label"] for one in missing if one["label"] not in said]


def test_standard_input_is_a_chart_as_a_file_is(run: Run, base: Path) -> None:
    """And NDJSON is one as a Bundle is."""
    options = ("--as-of", AS_OF, "--format", "json")
    lines = b"\n".join(json.dumps(one["resource"]).encode() for one in chart()["entry"])

    from_file = report(run("evaluate", base, *options))

    assert from_file == report(run("evaluate", "-", *options, stdin=base.read_bytes()))
    assert from_file == report(run("evaluate", "-", *options, stdin=lines))


def test_a_batch_and_a_transaction_are_charts(run: Run) -> None:
    """The one holds searchsets, the other refers by urn."""
    options = ("evaluate", "-", "--as-of", AS_OF, "--format", "json")
    whole = chart()
    batch = {
        "resourceType": "Bundle",
        "type": "batch-response",
        "entry": [{"resource": whole, "response": {"status": "200"}}],
    }
    text = json.dumps(whole).replace("https://ehr.test/fhir/Patient/anna", "urn:uuid:1")
    urn = text.replace('"Patient/anna"', '"urn:uuid:1"').replace("collection", "transaction")

    expected = report(run(*options, stdin=json.dumps(whole).encode()))["criteria"]

    assert expected == report(run(*options, stdin=json.dumps(batch).encode()))["criteria"]
    assert expected == report(run(*options, stdin=urn.encode()))["criteria"]


def test_nothing_in_a_chart_steers_the_terminal(run: Run) -> None:
    """Neither its ids nor its words."""
    evil = "\x1b[2J\x07\u202eevil"
    content = chart(
        lab("hemoglobin", 70, "g/L", id_=evil),
        resource(
            "MedicationStatement", evil, status="active", medicationCodeableConcept=words(evil)
        ),
        lab("platelets", quantity(1), evil),
    )

    for form in ("text", "markdown"):
        ran = run("evaluate", "-", "--format", form, stdin=json.dumps(content).encode())
        assert 0 == ran.code
        assert not set("\x1b\x07\u202e") & set(ran.out)


def test_half_a_character_in_a_chart_is_printed_as_a_whole_one(run: Run) -> None:
    """In every form, and the file is read at all."""
    text = json.dumps(chart(lab("hemoglobin", 70, "g/L", id_="h") | {"code": words("@")}))
    content = text.replace("PET/CT Ga-68", "PET/CT \\ud83d Ga-68").encode()

    for form in ("json", "text", "markdown"):
        assert 0 == run("evaluate", "-", "--format", form, stdin=content).code


# --- As a process ------------------------------------------------------------------------------


def process(
    *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the module as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "cds_service.cli", *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        check=False,
        timeout=60,
    )


def test_a_process_prints_one_json_object() -> None:
    """From standard input."""
    content = json.dumps(chart()).encode()

    ran = process("evaluate", "-", "--as-of", AS_OF, "--format", "json", stdin=content)

    assert (0, b"") == (ran.returncode, ran.stderr)
    assert "possible" == json.loads(ran.stdout)["overall"]


def test_a_process_refuses_in_one_line() -> None:
    """No traceback, and nothing on standard output."""
    ran = process("evaluate", "-", stdin=b"<html>")

    assert (2, b"") == (ran.returncode, ran.stdout)
    assert b"cds-service: standard input is not JSON\n" == ran.stderr


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_a_terminal_that_knows_only_ascii_gets_the_report(form: str) -> None:
    """With a mark for what it cannot show."""
    content = json.dumps(chart()).encode()

    ran = process("evaluate", "-", "--format", form, stdin=content, PYTHONIOENCODING="ascii")

    assert (0, b"") == (ran.returncode, ran.stderr)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["evaluate", "--help"], ["serve", "--help"], ["demo", "--help"]]
)
def test_every_command_has_help(arguments: list[str]) -> None:
    """On standard output."""
    ran = process(*arguments)

    assert (0, b"") == (ran.returncode, ran.stderr)
    assert b"Usage" in ran.stdout
