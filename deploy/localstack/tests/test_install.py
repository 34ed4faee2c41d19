"""install.py, with requirements of its own so that the project's environments are left alone."""

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


class Installer:
    def __init__(self, project: Path) -> None:
        self.project = project
        self.venvs = project / ".local" / "venvs"
        here = project / "deploy" / "localstack"
        here.mkdir(parents=True)
        for name in ("install.py", "uv-requirements.txt"):
            shutil.copy(SCRIPTS / name, here)
        self.script, self.requirements = (
            here / "install.py",
            project / "training" / "requirements.txt",
        )
        self.requirements.parent.mkdir()

    def call(self, requirements: str) -> subprocess.CompletedProcess:
        self.requirements.write_text(requirements)
        environment = {
            name: value for name, value in os.environ.items() if name != "LIMIT_INCREASE_VENVS"
        }
        command = [sys.executable, str(self.script), "training"]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)

    def works(self) -> bool:
        python = self.venvs / "training" / "bin" / "python"
        return (
            subprocess.run([str(python), "-c", "import iniconfig"], capture_output=True).returncode
            == 0
        )


@pytest.fixture
def installer(tmp_path) -> Installer:
    return Installer(tmp_path / "project")


def test_installs_once_and_again_when_the_requirements_change(installer):
    # A directory that somebody made by hand is replaced.
    by_hand = installer.venvs / "training"
    by_hand.mkdir(parents=True)
    (by_hand / "something").touch()

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(installer.call, [SMALL, SMALL]))
    assert [done.returncode for done in both] == [0, 0], both
    assert sum("ready after" in done.stderr for done in both) == 1, "the second waits for the first"
    assert installer.works()
    first = (installer.venvs / "training").resolve()

    began = time.monotonic()
    again = installer.call(SMALL)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - began < 2

    failed = installer.call(WRONG)
    assert failed.returncode == 1
    assert "hash" in failed.stderr.lower()
    assert installer.works(), "the old environment is still there"

    assert installer.call(f"# changed\n{SMALL}").returncode == 0
    assert installer.works()
    assert (installer.venvs / "training").resolve() != first
    assert sorted(path.name for path in installer.venvs.glob("training*")) == [
        "training",
        by_hand.resolve().name,
    ]


def test_the_projects_own_environment_is_up_to_date():
    """These tests run from it; making sure of it again costs nothing."""
    venv = Path(sys.prefix)
    assert venv.name == "localstack"
    environment = {**os.environ, "LIMIT_INCREASE_VENVS": str(venv.parent)}
    command = [sys.executable, str(SCRIPTS / "install.py"), venv.name]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 2
