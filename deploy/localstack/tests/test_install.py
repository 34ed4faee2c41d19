"""install.py with a project and requirements of its own; the real environments are not touched."""

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import SCRIPTS

SMALL = """iniconfig==2.1.0 \\
    --hash=sha256:9deba5723312380e77435581c6bf4935c94cbfab9b1ed33ef8d238ea168eb760
"""
WRONG = SMALL.replace("9deb", "0000")
# Where install.py looks for the requirements of two of its environments.
PLACES = {"training": "training/requirements.txt", "bench": "benches/requirements.txt"}


class Installer:
    """A project that has only install.py and requirements."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.venvs = project / ".local" / "venvs"
        scripts = project / "deploy" / "localstack"
        scripts.mkdir(parents=True)
        for name in ("install.py", "uv-requirements.txt"):
            shutil.copy(SCRIPTS / name, scripts)
        self.script = scripts / "install.py"

    def call(self, **requirements: str) -> subprocess.CompletedProcess:
        """Installs the environments named by the arguments, each with its requirements."""
        for name, content in requirements.items():
            file = self.project / PLACES[name]
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)

        environment = dict(os.environ)
        environment.pop("LIMIT_INCREASE_VENVS", None)
        command = [sys.executable, str(self.script), *requirements]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)

    def works(self, name: str = "training") -> bool:
        python = self.venvs / name / "bin" / "python"
        command = [str(python), "-c", "import iniconfig"]
        return python.exists() and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def installer(tmp_path) -> Installer:
    return Installer(tmp_path / "project")


def test_installs_once_and_again_when_the_requirements_change(installer):
    # A directory that somebody made by hand is replaced.
    by_hand = installer.venvs / "training"
    by_hand.mkdir(parents=True)
    (by_hand / "something").touch()

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(installer.call, training=SMALL) for _ in range(2)]
        both = [call.result() for call in calls]
    assert [done.returncode for done in both] == [0, 0], both
    assert sum("ready after" in done.stderr for done in both) == 1, "the second waits for the first"
    assert installer.works()
    first = (installer.venvs / "training").resolve()

    began = time.monotonic()
    again = installer.call(training=SMALL)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - began < 2

    failed = installer.call(training=WRONG)
    assert failed.returncode == 1
    assert "hash" in failed.stderr.lower()
    assert installer.works(), "the old environment is still there"

    assert installer.call(training=f"# changed\n{SMALL}").returncode == 0
    assert installer.works()
    assert (installer.venvs / "training").resolve() != first
    remaining = sorted(path.name for path in installer.venvs.glob("training*"))
    assert remaining == ["training", by_hand.resolve().name]


def test_several_are_made_simultaneously_and_one_that_fails_does_not_stop_another(installer):
    done = installer.call(bench=WRONG, training=SMALL)
    assert done.returncode == 1
    assert installer.works("training") and not installer.works("bench")
    lines = done.stderr.splitlines()
    failures = [line for line in lines if "cannot make the environment" in line]
    assert len(failures) == 1 and failures[0].startswith("bench: ")
    assert all("creating" in line for line in lines[:2]), "both begin before either goes on"

    done = installer.call(bench=SMALL, training=SMALL)
    assert done.returncode == 0
    assert installer.works("training") and installer.works("bench")
    assert "training: " not in done.stderr, "it is up to date, and nothing is said about it"

    again = installer.call(bench=SMALL, training=SMALL)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_the_projects_own_environment_is_up_to_date():
    """These tests run from it. To ensure it again costs nothing."""
    venv = Path(sys.prefix)
    assert venv.name == "localstack"
    environment = {**os.environ, "LIMIT_INCREASE_VENVS": str(venv.parent)}
    command = [sys.executable, str(SCRIPTS / "install.py"), venv.name]

    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 2
