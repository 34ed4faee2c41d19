#!/usr/bin/env python3.11
"""Proves the functions for arm64 on a machine of another processor, or on arm64 itself.

    python3.11 tests/arm64/run.py                   # builds them as `deploy --target aws` does
    python3.11 tests/arm64/run.py --functions DIR   # takes those of an earlier build

1. builds the four functions for arm64, with cargo-lambda and the release profile;
2. checks that they need no newer C library than Lambda's runtime has (symbols.py);
3. repeats the golden models, CatBoost's own figures, on arm64;
4. runs a whole run through them, which must decide as one of this machine.

On x86_64 this needs `rustup target add aarch64-unknown-linux-gnu`, and from Debian or Ubuntu
`apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross`.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENVS = Path(os.environ.get("LIMIT_INCREASE_VENVS") or ROOT / ".local" / "venvs")
FUNCTIONS = [
    "query-batch-scores",
    "score-customers",
    "evaluate-limit-increase",
    "update-database",
]
TARGET = "aarch64-unknown-linux-gnu"
# Debian's and Ubuntu's place for the C library of another processor.
LIBRARY = "/usr/aarch64-linux-gnu"
RUNNER = [] if platform.machine() == "aarch64" else ["qemu-aarch64", "-L", LIBRARY]


def step(title: str, command: list[str], **variables: str) -> None:
    print(f"--- {title}: {' '.join(command)}", flush=True)
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True)


def build() -> Path:
    directory = ROOT / "target" / "lambda" / "arm64"
    install = [sys.executable, "deploy/localstack/install.py", "build"]
    step("cargo-lambda", install)
    packages = [word for name in FUNCTIONS for word in ("--package", name)]
    options = ["--locked", "--release", "--arm64", "--lambda-dir", str(directory)]
    path = os.pathsep.join([str(VENVS / "build" / "bin"), os.environ["PATH"]])
    step("build", ["cargo", "lambda", "build", *options, *packages], PATH=path)
    return directory


def golden() -> None:
    """The golden models, in a program for arm64 that the runner runs."""
    variables = {}
    if RUNNER:
        variables = {
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": "aarch64-linux-gnu-gcc",
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER": " ".join(RUNNER),
        }
    command = ["cargo", "test", "--locked", "--target", TARGET]
    step(
        "golden models", [*command, "-p", "limit-increase-scoring", "--test", "golden"], **variables
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--functions", type=Path, help="the functions of an earlier build")
    arguments = parser.parse_args()

    needed = [*RUNNER[:1], *(["aarch64-linux-gnu-gcc"] if RUNNER else []), "readelf"]
    missing = [program for program in needed if shutil.which(program) is None]
    if missing:
        print(f"there is no {', '.join(missing)}; --help says how to get it", file=sys.stderr)
        return 2

    directory = (arguments.functions or build()).resolve()
    programs = [str(directory / name / "bootstrap") for name in FUNCTIONS]
    step("the C library", [sys.executable, "tests/arm64/symbols.py", *programs])
    golden()
    suite = ["cargo", "test", "--workspace", "--test", "arm64"]
    step("a whole run", suite, ARM64_FUNCTIONS=str(directory), ARM64_RUNNER=" ".join(RUNNER))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        print(f"failed: {' '.join(error.cmd)}", file=sys.stderr)
        sys.exit(1)
