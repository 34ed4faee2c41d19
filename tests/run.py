#!/usr/bin/env python3.11
"""Runs every test, several programs at a time. `make test-all` calls it.

    python3.11 tests/run.py                  # everything
    python3.11 tests/run.py faults training  # only these; --list shows their names
    python3.11 tests/run.py --jobs 1         # one after the other

It installs the Python environments and compiles the tests first, both simultaneously. Most tests
wait for services, so on two cores four programs at a time take half as long as one. A line of
output has the name of its program before it. The whole output of a program that fails is shown
again at the end. The exit code is 1 when a program failed or could not be run.
"""

import argparse
import asyncio
import os
import shutil
import sys
import sysconfig
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = Path(os.environ.get("LIMIT_INCREASE_VENVS") or ROOT / ".local" / "venvs")
INSTALL = [sys.executable, "deploy/localstack/install.py"]
CARGO = ["cargo", "test", "--workspace"]
# A program of the operating system, without which its suite is not run. It is in no user's PATH.
PGBOUNCER = os.environ.get("PGBOUNCER") or shutil.which(
    "pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
)
# The folders with Python tests, each with the environment that it needs.
PYTHON = {
    "training": ("training", "training/tests"),
    "cloudformation": ("build", "cloudformation/tests"),
    "localstack": ("localstack", "deploy/localstack/tests"),
    "parquet": ("bench", "tests/parquet"),
    "train-sagemaker": ("training", "tests/train_sagemaker"),
    "guards": ("build", "tests/guards"),
    "pipeline": ("pipeline", "pipeline/tests"),
}
# The image of the SageMaker job. One of its packages is compiled against Python's headers.
IMAGE = "training/tests/test_image.py"
# Another version of PostgreSQL for the suite `tables`, if the operating system has it.
DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15")
# Inputs that are not a part of the project.
TRIALS = Path(os.environ.get("LIMIT_INCREASE_TRIALS") or ROOT.parent / "shared" / "trials")
# Those of the folders that run the command line too.
WITH_PROGRAMS = {"train-sagemaker"}


@dataclass
class Program:
    """A program to run once others have ended well, and what became of it."""

    name: str
    command: list[str]
    needs: list["Program"] = field(default_factory=list)
    # Why it cannot be run here. That is no failure, unless somebody has named the program.
    lacks: str = ""
    # It takes minutes and tests one corner, so that it is run when somebody names it.
    only_named: bool = False
    output: list[str] = field(default_factory=list)
    seconds: float = 0.0
    exit_code: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, places: asyncio.Semaphore) -> None:
        for other in self.needs:
            await other.ended.wait()
        if not self.lacks and all(other.exit_code == 0 for other in self.needs):
            async with places:
                await self.run_now()
        self.ended.set()

    async def run_now(self) -> None:
        begun = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *self.command,
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**24,
        )
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self.output.append(text)
            if text:
                print(f"{self.name:14} | {text}", flush=True)
        self.exit_code = await process.wait()
        self.seconds = time.monotonic() - begun

    def result(self) -> str:
        if self.exit_code is None:
            return f"NOT RUN: {self.lacks}" if self.lacks else "NOT RUN"
        return "passed" if self.exit_code == 0 else f"FAILED with {self.exit_code}"


def preparations() -> tuple[Program, Program]:
    """Installs the environments; compiles the tests."""
    environments = ["localstack", "build", "audit", "training", "postgres-tls", "bench", "pipeline"]
    return (
        Program("install", [*INSTALL, *environments]),
        Program("compile", [*CARGO, "--no-run"]),
    )


def test_programs(install: Program, compiling: Program) -> list[Program]:
    """All of them, the longest of each kind first, so that none is left alone at the end."""
    manifest = tomllib.loads((ROOT / "tests" / "Cargo.toml").read_text())
    names = [test["name"] for test in manifest["test"] if test.get("test", True)]
    suites = {name: ["--test", name] for name in names}
    crates = {
        "crates": ["--exclude", "limit-increase-tests", "--test", "*"],
        "units": ["--lib", "--bins"],
        "documentation": ["--doc"],
    }
    if (DEBIAN_POSTGRES / "bin" / "initdb").is_file():
        os.environ.setdefault("POSTGRES_FOLDER", str(DEBIAN_POSTGRES))
    rust = [
        Program(name, [*CARGO, *options], needs=[install, compiling])
        for name, options in {**suites, **crates}.items()
    ]
    python = [
        Program(
            name,
            [*pytest(venv), folder, f"--ignore={IMAGE}"],
            needs=[install, compiling] if name in WITH_PROGRAMS else [install],
        )
        for name, (venv, folder) in PYTHON.items()
    ]
    return [*rust, *with_more(install, compiling), *python]


def with_more(install: Program, compiling: Program) -> list[Program]:
    """Those that need more than Rust, a C compiler and Python. Without it they are not run."""
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return [
        Program(
            "pgbouncer",
            ["env", f"PGBOUNCER={PGBOUNCER}", *CARGO, "--test", "pgbouncer"],
            needs=[install, compiling],
            lacks="" if PGBOUNCER else "there is no PgBouncer (apt-get install pgbouncer)",
            only_named=True,
        ),
        Program(
            "trials",
            [*CARGO, "--test", "trials"],
            needs=[install, compiling],
            lacks="" if TRIALS.is_dir() else f"there is no {TRIALS} (LIMIT_INCREASE_TRIALS)",
        ),
        Program(
            "image",
            [*pytest("training"), IMAGE],
            needs=[install],
            lacks="" if headers.is_file() else f"there is no {headers} (python3.11-dev)",
            only_named=True,
        ),
    ]


def pytest(venv: str) -> list[str]:
    return [str(VENVS / venv / "bin" / "python"), "-m", "pytest", "-q"]


async def run(programs: list[Program], jobs: int) -> None:
    places = asyncio.Semaphore(jobs)
    async with asyncio.TaskGroup() as group:
        for program in programs:
            group.create_task(program.run(places))


def report(programs: list[Program], named: list[str], seconds: float) -> int:
    failed = [
        program
        for program in programs
        if program.exit_code != 0 and (not program.lacks or program.name in named)
    ]
    for program in failed:
        print(f"\n--- the output of {program.name}", *program.output, sep="\n")

    print()
    for program in programs:
        print(f"{program.name:14} {program.seconds:6.0f} s  {program.result()}")
    print(f"{'together':14} {seconds:6.0f} s")

    for program in failed:
        print(f"{program.name} {program.result()}. To repeat: {' '.join(program.command)}")
    return 1 if failed else 0


def main() -> int:
    install, compiling = preparations()
    everything = test_programs(install, compiling)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a program to run")
    parser.add_argument("--list", action="store_true", help="show the names and exit")
    parser.add_argument(
        "--jobs",
        type=int,
        default=(os.cpu_count() or 1) + 2,
        help="how many programs run at a time (default: two more than there are processors)",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {program.name for program in everything}
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; --list shows the names")
    if arguments.jobs < 1:
        parser.error("--jobs must be at least 1")
    if arguments.list:
        print(*(program.name for program in everything), sep="\n")
        return 0

    for program in everything:
        if program.only_named and not arguments.names:
            program.lacks = f"it takes minutes; make test-all TESTS={program.name}"
    # The SageMaker SDK takes twice as long to import without its compiled modules.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    chosen = [one for one in everything if not arguments.names or one.name in arguments.names]
    needed = [
        one for one in (install, compiling) if any(one in program.needs for program in chosen)
    ]
    begun = time.monotonic()
    asyncio.run(run([*needed, *chosen], arguments.jobs))
    return report([*needed, *chosen], arguments.names, time.monotonic() - begun)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
