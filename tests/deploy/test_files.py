"""The files that a site deploys with: what can be checked of them without running them."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from ruamel.yaml import YAML

from cds_service.operations.metrics import Metrics
from cds_service.operations.safety import unsafe
from cds_service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "cds-service.service"
SETTINGS = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}


def read(*path: str) -> str:
    """The text of a file of the repository."""
    return ROOT.joinpath(*path).read_text(encoding="utf-8")


def yaml(*path: str) -> Any:
    """A YAML file of the repository."""
    return YAML(typ="safe").load(read(*path))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of the compose file, merge keys resolved."""
    found: dict[str, Any] = yaml("compose.yaml")["services"]
    return found


@pytest.fixture(scope="module")
def unit() -> dict[str, str]:
    """The section of the unit that says how it runs."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(read("deploy", "cds-service.service"))
    return dict(parser["Service"])


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = yaml("deploy", "prometheus", "alerts.yaml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


class TestSettings:
    """Names of settings in every file that a site copies from."""

    @pytest.mark.parametrize(
        "path",
        [
            "Containerfile",
            "compose.yaml",
            *(
                str(one.relative_to(ROOT))
                for one in (ROOT / "deploy").rglob("*")
                if one.is_file() and "tls" not in one.parts
            ),
        ],
    )
    def test_exist(self, path: str) -> None:
        """A name that does not exist would stop the start."""
        named = set(re.findall(r"\bCDS_[A-Z_]*[A-Z]\b", read(path)))

        assert named <= SETTINGS


class TestCompose:
    """The compose file."""

    @pytest.mark.parametrize("name", ["cds-service", "demo-patients", "proxy"])
    def test_hardened(self, services: dict[str, Any], name: str) -> None:
        """Nothing may be written but what is mounted, and nothing may be gained."""
        service = services[name]

        assert service["read_only"] is True
        assert ["ALL"] == service["cap_drop"]
        assert ["no-new-privileges:true"] == service["security_opt"]
        assert any(mount.startswith("/tmp") for mount in service["tmpfs"])  # noqa: S108

    def test_no_authentication_on_the_loopback_only(self, services: dict[str, Any]) -> None:
        """As the service itself insists."""
        service = services["cds-service"]

        assert "none" == service["environment"]["CDS_AUTH"]
        assert ["--host", "127.0.0.1"] == service["command"][1:3]
        assert "listen 127.0.0.1:8443" in services["proxy"]["command"][2]

    def test_the_proxy_s_port_is_replaced(self, services: dict[str, Any]) -> None:
        """Its image has no right to port 443: the words that are replaced are in the file."""
        pattern, new = re.findall(r"s/([^/]+)/([^/]+)/", services["proxy"]["command"][2])[0]

        assert 2 == read("deploy", "nginx", "cds-service.conf").count(pattern)
        assert "listen 127.0.0.1:8443" == new

    def test_time_to_end(self, services: dict[str, Any]) -> None:
        """More than the service takes: 2 s of grace, the deadline, and a margin."""
        seconds = int(services["cds-service"]["stop_grace_period"].removesuffix("s"))

        assert seconds > 2 + Settings.model_fields["deadline_seconds"].default + 2


class TestContainerfile:
    """The image's recipe."""

    def test_user(self) -> None:
        """A number that is not root's, set before anything is started."""
        lines = read("Containerfile").splitlines()

        assert "USER 10001:10001" in lines
        assert lines.index("USER 10001:10001") < lines.index('ENTRYPOINT ["cds-service"]')

    def test_base(self) -> None:
        """One, for both stages, that a build can pin by its digest."""
        text = read("Containerfile")

        assert 1 == len(re.findall(r"^ARG BASE=", text, re.MULTILINE))
        assert ["${BASE}", "${BASE}"] == re.findall(r"^FROM (\S+)", text, re.MULTILINE)

    def test_locked(self) -> None:
        """What is installed has its hash in the lock."""
        installs = re.findall(r"pip install ([^\n\\&]+)", read("Containerfile"))

        assert all("--require-hashes" in one or one.strip().endswith(" .") for one in installs)
        assert all("--no-deps" in one for one in installs)

    def test_sources(self) -> None:
        """All that is copied exists, and is not kept out of the build."""
        allowed = {line[1:] for line in read(".dockerignore").splitlines() if line[:1] == "!"}
        copied = [
            source
            for line in re.findall(r"^COPY (?!--from)(.+)$", read("Containerfile"), re.MULTILINE)
            for source in line.split()[:-1]
        ]

        assert copied
        assert all(ROOT.joinpath(source).exists() for source in copied)
        assert set(copied) == allowed

    def test_health(self) -> None:
        """Asked without a shell, of the interpreter that is there anyway."""
        text = re.sub(r"\\\n\s*", "", read("Containerfile"))
        (command,) = re.findall(r"^HEALTHCHECK .*CMD (\[.+\])$", text, re.MULTILINE)

        assert command.startswith('["python", "-I", "-c", "from urllib.request')
        assert "/health/ready" in command


class TestKubernetes:
    """The manifests."""

    @pytest.fixture
    def parts(self) -> dict[str, Any]:
        """All of them, by kind."""
        text = read("deploy", "kubernetes", "cds-service.yaml")
        return {one["kind"]: one for one in YAML(typ="safe").load_all(text)}

    def test_parts(self, parts: dict[str, Any]) -> None:
        """What several replicas need."""
        assert {
            "ConfigMap",
            "Deployment",
            "Service",
            "PodDisruptionBudget",
            "NetworkPolicy",
        } == set(parts)
        assert ["Ingress", "Egress"] == parts["NetworkPolicy"]["spec"]["policyTypes"]

    def test_hardened(self, parts: dict[str, Any]) -> None:
        """No root, no capability, nothing that can be written but memory."""
        pod = parts["Deployment"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]

        assert (True, 10001) == (
            pod["securityContext"]["runAsNonRoot"],
            pod["securityContext"]["runAsUser"],
        )
        assert {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        } == container["securityContext"]
        writable = [one for one in container["volumeMounts"] if not one.get("readOnly")]
        assert ["/var/lib/cds-service", "/tmp"] == [one["mountPath"] for one in writable]  # noqa: S108

    def test_probes(self, parts: dict[str, Any]) -> None:
        """Ask what the service has; readiness often enough to see the moment before the end."""
        pod = parts["Deployment"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]

        assert "/health/live" == container["livenessProbe"]["httpGet"]["path"]
        assert "/health/ready" == container["readinessProbe"]["httpGet"]["path"]
        assert 1 == container["readinessProbe"]["periodSeconds"]
        assert pod["terminationGracePeriodSeconds"] > 2 + 5 + 2

    def test_no_settings_from_the_cluster(self, parts: dict[str, Any]) -> None:
        """Kubernetes makes variables of each Service's name, and these would stop the start."""
        name = parts["Service"]["metadata"]["name"].upper().replace("-", "_")

        assert name.startswith(PREFIX)
        assert f"{name}_PORT" not in SETTINGS
        assert parts["Deployment"]["spec"]["template"]["spec"]["enableServiceLinks"] is False

    def test_configuration_is_safe(self, parts: dict[str, Any]) -> None:
        """The service would start with it."""
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in parts["ConfigMap"]["data"].items()
        }
        settings = Settings(database_url=SecretStr("postgresql+psycopg://cds@db/cds"), **given)

        assert [] == unsafe(settings)


class TestUnit:
    """The systemd unit."""

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("User", "cds-service"),
            ("ProtectSystem", "strict"),
            ("NoNewPrivileges", "yes"),
            ("CapabilityBoundingSet", ""),
            ("StateDirectory", "cds-service"),
            ("WorkingDirectory", "/var/lib/cds-service"),
            ("LimitCORE", "0"),
            ("KillSignal", "SIGTERM"),
        ],
    )
    def test_keys(self, unit: dict[str, str], key: str, value: str) -> None:
        """Those that matter most."""
        assert value == unit[key]

    def test_a_wrong_configuration_is_not_started_again(
        self, unit: dict[str, str], tmp_path: Path
    ) -> None:
        """Its exit code is the one that ends the tries, and that of no step before is asked for."""
        command = unit["ExecStart"].split()[1:]
        ran = subprocess.run(
            [sys.executable, "-m", "cds_service.cli", *command],
            cwd=tmp_path,
            env=os.environ | {"CDS_AUTH": "perhaps"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert str(ran.returncode) == unit["RestartPreventExitStatus"]
        assert "CDS_AUTH" in ran.stderr
        assert not [key for key in unit if key.startswith("ExecStartPre")]

    def test_what_it_names_is_there(self, unit: dict[str, str]) -> None:
        """The steps in its head make each folder that they, or the unit, take for granted."""
        text = read("deploy", UNIT.name)
        head = text.partition("[Unit]")[0]
        folder = str(Path(unit["EnvironmentFile"]).parent)
        made = re.search(rf"^#   install -d .* {folder}$", head, re.MULTILINE)
        filled = re.search(rf"^#   install -m .* {folder}/$", head, re.MULTILINE)

        assert made is not None
        assert filled is not None
        assert made.start() < filled.start()
        assert "Documentation=file:" not in text

    def test_loopback(self, unit: dict[str, str]) -> None:
        """Others reach it through the proxy."""
        assert "--host 127.0.0.1" in unit["ExecStart"]

    def test_time_to_end(self, unit: dict[str, str]) -> None:
        """More than the service takes."""
        assert int(unit["TimeoutStopSec"]) > 2 + 5 + 2

    @pytest.mark.may_skip("a container need not have systemd; the keys are checked without it")
    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
    def test_systemd(self, tmp_path: Path) -> None:
        """Knows every key, and finds it hardened."""
        file = tmp_path / UNIT.name
        file.write_text(
            read("deploy", UNIT.name).replace("/opt/cds-service/bin/cds-service", "/bin/true")
        )
        environment = os.environ | {"SYSTEMD_LOG_LEVEL": "warning"}
        verified = subprocess.run(
            ["systemd-analyze", "verify", str(file)],  # noqa: S607
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        judged = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)],  # noqa: S607
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

        assert (0, "") == (verified.returncode, verified.stderr)
        exposure = re.search(r"exposure level for \S+: (\d+\.\d)", judged.stdout)
        assert exposure is not None
        assert float(exposure[1]) < 2


class TestAlerts:
    """The alert rules."""

    def test_metrics_exist(self, rules: list[dict[str, Any]]) -> None:
        """Every series that a rule watches is one of the service's."""
        families = set(re.findall(r"^# TYPE (\S+)", Metrics().render()[0].decode(), re.MULTILINE))
        for rule in rules:
            named = set(re.findall(r"\bcds_[a-z_]+\b", rule["expr"]))
            assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} <= families, rule

    def test_labels_exist(self, rules: list[dict[str, Any]]) -> None:
        """Every label that a rule picks by has that value, or a rule would never fire."""
        from cds_service.operations import labels  # noqa: PLC0415 - only this test

        values = {
            "route": set(labels.ROUTES),
            "status": set(labels.STATUSES),
            "outcome": set(labels.FEEDBACK_OUTCOMES),
            "comparison": set(labels.COMPARISONS),
            "caller": {"other"},
            "state": set(labels.BREAKER_STATES),
            "job": {"cds-service"},
        }
        for rule in rules:
            for label, value in re.findall(r'(\w+)!?="([^"]+)"', rule["expr"]):
                assert value in values[label], rule

    def test_form(self, rules: list[dict[str, Any]]) -> None:
        """Each has a name, a severity and a sentence."""
        assert len(rules) == len({rule["alert"] for rule in rules})
        for rule in rules:
            assert (
                {"alert", "expr", "labels", "annotations"}
                <= set(rule)
                <= {"alert", "expr", "for", "labels", "annotations"}
            )
            assert rule["labels"]["severity"] in ("page", "ticket", "info")
            assert rule["annotations"]["summary"].endswith((".", ")."))
            assert rule["expr"].count("(") == rule["expr"].count(")")

    @pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
    def test_promtool(self) -> None:
        """Prometheus itself takes the file."""
        file = ROOT / "deploy" / "prometheus" / "alerts.yaml"
        subprocess.run(["promtool", "check", "rules", str(file)], check=True)  # noqa: S607
