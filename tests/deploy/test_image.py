"""The image that ``Containerfile`` describes, built and run by a real container engine.

Its base comes from Debian's packages, for no registry of images is asked: a Python of the same
version, and nothing else that the recipe counts on.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.deploy.conftest import ROOT, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOOLS = ("podman", "runc", "mmdebstrap")
_PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
_SERVICE = "/cds-services/net-retreat-eligibility"
# As docs/install.md has it, with the limits that an engine within a container may set.
_HARDENED = (
    "--network=host --read-only --cap-drop=ALL --security-opt=no-new-privileges "
    "--tmpfs=/tmp:mode=1777,size=64m --ulimit=nofile=1024:1024 --ulimit=nproc=1000:1000"
)


@dataclass(frozen=True)
class Engine:
    """Podman with a storage of its own, which goes with the test."""

    storage: Path

    def __call__(
        self, *arguments: str, good: bool = True, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run one of its commands; unless ``good`` is false it must succeed."""
        ran = subprocess.run(
            [*self._podman(), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert not good or ran.returncode == 0, ran.stderr
        return ran

    def _podman(self) -> list[str]:
        places = f"--root={self.storage}/root --runroot={self.storage}/run"
        return shlex.split(
            f"podman {places} --storage-driver=overlay --cgroup-manager=cgroupfs --runtime=runc"
        )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(_TOOLS)} (Debian's packages of these names)")
    found = Engine(tmp_path_factory.mktemp("engine"))
    yield found
    found("rm", "--all", "--force")
    found("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def base(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with a Python, from the packages of the machine's own Debian."""
    release = _os_release()
    tree = tmp_path_factory.mktemp("base") / "tree.tar"
    sources = [str(one) for one in Path("/etc/apt/sources.list.d").glob("*.sources")]
    make = f"mmdebstrap --quiet --variant=essential --include={_PACKAGES} {release}"
    subprocess.run([*shlex.split(make), str(tree), *sources], check=True, timeout=300)
    engine("import", "--quiet", str(tree), "localhost/base")
    tree.unlink()
    return "localhost/base"


def _os_release() -> str:
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    (named,) = [line for line in lines if line.startswith("VERSION_CODENAME=")]
    return named.partition("=")[2].strip('"')


@pytest.fixture(scope="module")
def image(engine: Engine, base: str) -> str:
    """The service's image. The machine's certificates are lent to the build, as its network is."""
    engine(
        "build", "--format=docker", "--isolation=chroot", "--network=host", "--quiet",
        "--volume=/etc/ssl/certs:/etc/ssl/certs:ro", f"--build-arg=BASE={base}",
        "--tag=localhost/cds-service", str(ROOT),
    )  # fmt: skip
    return "localhost/cds-service"


@pytest.fixture
def started(engine: Engine, image: str) -> Iterator[Container]:
    """The service, hardened as the documents say, with a volume for its store."""
    container = Container(engine, image, f"cds-{uuid.uuid4().hex[:8]}")
    container.start()
    yield container
    engine("rm", "--force", container.name)
    engine("volume", "rm", "--force", container.name)


@dataclass
class Container:
    """One container of the image."""

    engine: Engine
    image: str
    name: str
    port: int = 0

    @property
    def base_url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it with two workers, and wait until it is ready."""
        self.port = free_port()
        volume = f"--volume={self.name}:/var/lib/cds-service"
        command = f"serve --host 127.0.0.1 --port {self.port} --workers 2"
        self.engine(
            "run", "--detach", f"--name={self.name}", *shlex.split(_HARDENED), volume,
            "--env=CDS_AUTH=none", self.image, *shlex.split(command),
        )  # fmt: skip
        give_up = time.monotonic() + 60
        while not self._ready():
            assert time.monotonic() < give_up, self.engine("logs", self.name).stderr
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.base_url}/health/ready").status_code == 200
        except httpx2.TransportError:
            return False

    def stop(self) -> int:
        """End it as an orchestrator does; its exit code."""
        self.engine("stop", "--time=15", self.name)
        said = self.engine("inspect", "--format={{.State.ExitCode}}", self.name).stdout
        self.engine("rm", self.name)
        return int(said)

    def run_inside(self, *command: str) -> str:
        """What a command prints that is run in it."""
        return self.engine("exec", self.name, *command).stdout

    def hook(self) -> httpx2.Response:
        """A hook about a patient of whom nothing but the Patient is known."""
        hook = {
            "hook": "patient-view",
            "hookInstance": str(uuid.uuid4()),
            "context": {"userId": "Practitioner/9", "patientId": "p1"},
            "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}},
        }
        return httpx2.post(f"{self.base_url}{_SERVICE}", json=hook, timeout=20)

    def audit(self) -> dict[str, str]:
        """What the check of its audit says."""
        said = self.run_inside("cds-service", "audit", "verify")
        return {
            name: it.strip() for name, _, it in (one.partition(":") for one in said.split("\n"))
        }


def test_it_serves_hardened(started: Container) -> None:
    """As a user without rights, on a tree that nobody can write, it answers and audits."""
    answer = started.hook()
    feedback = httpx2.post(
        f"{started.base_url}{_SERVICE}/feedback",
        json={
            "feedback": [
                {
                    "card": answer.json()["cards"][0]["uuid"],
                    "outcome": "overridden",
                    "outcomeTimestamp": "2026-11-23T10:00:00Z",
                }
            ]
        },
    )
    who = started.run_inside("python", "-c", "import os; print(os.getuid(), os.getgid())")
    written = started.run_inside("python", "-c", "import os; print(*sorted(os.listdir('.')))")
    refused = started.engine("exec", started.name, "touch", "/opt/x", good=False)

    assert (200, 200) == (answer.status_code, feedback.status_code)
    assert "10001 10001" == who.strip()
    assert {"cds_service.db", "cds_service.db.key"} <= {*written.split()}
    assert "Read-only file system" in refused.stderr
    assert "3" == started.audit()["rows"]  # the first, the hook's, the feedback's


def test_it_is_healthy_as_its_recipe_asks(engine: Engine, image: str, started: Container) -> None:
    """The command of the health check works in it; its port is that of the default command."""
    (found,) = json.loads(engine("inspect", image).stdout)
    _, *check = found["Healthcheck"]["Test"]
    moved = [one.replace(":8000/", f":{started.port}/") for one in check]

    started.run_inside(*moved)
    unheard = started.engine("exec", started.name, *check, good=False)

    assert unheard.returncode != 0


def test_it_ends_and_goes_on(started: Container) -> None:
    """SIGTERM ends it with 0, and the next container of the same volume goes on with the audit."""
    assert 200 == started.hook().status_code
    before = started.audit()
    code = started.stop()
    started.start()
    again = started.hook()

    assert 0 == code
    assert 200 == again.status_code
    assert int(before["rows"]) + 1 == int(started.audit()["rows"])


def test_it_does_not_start_for_everybody(engine: Engine, image: str) -> None:
    """By itself it listens on all addresses, so that nothing starts without the trusted EHRs."""
    flags = shlex.split(_HARDENED)
    ran = engine("run", "--rm", *flags, image, good=False)
    open_to_all = engine("run", "--rm", *flags, "--env=CDS_AUTH=none", image, good=False)

    for refused, named in ((ran, "CDS_JWT_ISSUERS"), (open_to_all, "CDS_AUTH=none")):
        # The engine may say something of its own before.
        (line,) = [one for one in refused.stderr.splitlines() if one.startswith("cds-service: ")]
        assert 2 == refused.returncode
        assert named in line


def test_what_is_in_it(engine: Engine, image: str) -> None:
    """No root, no installer, no tests, and no setting that would be a secret."""
    (found,) = json.loads(engine("inspect", image).stdout)
    inside: Any = engine(
        "run", "--rm", *shlex.split(_HARDENED), "--entrypoint=python", image, "-c",
        "import importlib.util as u, psycopg; print([n for n in ('pip', 'pytest', 'tests') "
        "if u.find_spec(n)])",
    ).stdout  # fmt: skip

    assert "10001:10001" == found["Config"]["User"]
    assert ["cds-service"] == found["Config"]["Entrypoint"]
    assert "SIGTERM" in str(found["Config"].get("StopSignal"))
    assert not [one for one in found["Config"]["Env"] if one.startswith("CDS_")]
    assert "[]" == inside.strip()
