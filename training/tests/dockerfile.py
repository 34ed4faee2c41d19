"""Executes the steps of a Dockerfile without an engine, as far as they go.

Each absolute path of a step becomes a path in a folder of the test. `apt-get`, `useradd` and
`chown` need root and Debian, so they are only written down. Everything else really runs.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from install import uv_environment

RECORDED = ("apt-get", "chown", "useradd")
ABSOLUTE = re.compile(r"(?<![\w.:/$}-])/(?=[a-z])")


@dataclass
class Stage:
    """One FROM of the Dockerfile, and what its steps have set."""

    base: str
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""
    command: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        return self.root / os.path.join(self.directory, path).lstrip("/")


@dataclass
class Build:
    """A build of a Dockerfile: its stages by name, and the commands that were only written down."""

    context: Path
    root: Path
    stages: dict[str, Stage] = field(default_factory=dict)

    @property
    def image(self) -> Stage:
        return list(self.stages.values())[-1]

    @property
    def recorded(self) -> str:
        return (self.root / "recorded").read_text(encoding="utf-8")

    def run(self) -> "Build":
        self._make_programs()
        for word, text in instructions(self.context / "Dockerfile"):
            getattr(self, f"_{word.lower()}")(text)
        return self

    def _make_programs(self) -> None:
        programs = self.root / "programs"
        programs.mkdir(parents=True)
        scripts = {name: f'echo {name} "$@" >> {self.root / "recorded"}' for name in RECORDED}
        # The Python of the base image. One of a virtual environment would give venvs of its own.
        scripts["python"] = f'exec {shlex.quote(sys._base_executable)} "$@"'
        for name, text in scripts.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)

    def _from(self, text: str) -> None:
        base, _, name = text.partition(" AS ")
        name = name or str(len(self.stages))
        root = self.root / f"stage-{name}"
        root.mkdir()
        self.stages[name] = Stage(base, root)

    def _workdir(self, text: str) -> None:
        self.image.directory = text
        self.image.inside(".").mkdir(parents=True, exist_ok=True)

    def _env(self, text: str) -> None:
        self.image.environment |= dict(pair.split("=", 1) for pair in shlex.split(text))

    def _user(self, text: str) -> None:
        self.image.user = text

    def _cmd(self, text: str) -> None:
        self.image.command = json.loads(text)

    def _copy(self, text: str) -> None:
        *sources, target = text.split()
        if sources[0].startswith("--from="):
            stage = self.stages[sources.pop(0).removeprefix("--from=")]
            (source,) = sources
            # Programs of an environment know its path, which is the same in both stages.
            self.image.inside(target).symlink_to(stage.inside(source))
            return
        for source in sources:
            self._copy_from_context(source, target)

    def _copy_from_context(self, source: str, target: str) -> None:
        found, place = self.context / source, self.image.inside(target)
        assert f"!{source}" in (self.context / ".dockerignore").read_text().splitlines(), source
        if found.is_dir():
            shutil.copytree(found, place, ignore=shutil.ignore_patterns("__pycache__"))
            return
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, place)

    def _run(self, text: str) -> None:
        root = str(self.image.root)
        script = ABSOLUTE.sub(f"{root}/", text)
        programs = self.root / "programs"
        environment = uv_environment([sys.executable, "-m", "pip"])
        environment["PATH"] = f"{programs}:{environment['PATH']}"
        done = subprocess.run(
            ["sh", "-e", "-c", script],
            cwd=self.image.inside("."),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"RUN {text}\n{done.stdout}"


def instructions(file: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, each as its word and the rest of its lines."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(word, re.sub(r"\s+", " ", text)) for word, text in found]
