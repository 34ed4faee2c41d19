#!/usr/bin/env python3.11
"""Checks that programs need no newer C library than a runtime of Lambda has.

    python3.11 tests/arm64/symbols.py --machine aarch64 target/lambda/arm64/*/bootstrap

`readelf` (binutils) reads the programs of every processor. `provided.al2023` is Amazon Linux 2023,
whose glibc is 2.34 (https://docs.aws.amazon.com/linux/al2023/ug/glibc.html).
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

NEWEST = (2, 34)
MACHINES = {"aarch64": "AArch64", "x86_64": "Advanced Micro Devices X86-64"}


def readelf(option: str, program: Path) -> str:
    command = ["readelf", option, "--wide", str(program)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def versions(program: Path) -> set[tuple[int, ...]]:
    """The versions of glibc whose symbols the program asks for."""
    needs = readelf("--version-info", program)
    return {
        tuple(int(part) for part in version.split("."))
        for version in re.findall(r"Name: GLIBC_([\d.]+)", needs)
    }


def problems(program: Path, machine: str) -> list[str]:
    """What keeps the program from running on the runtime."""
    found = []
    if f"Machine:                           {MACHINES[machine]}" not in readelf(
        "--file-header", program
    ):
        found.append(f"{program}: not a program for {machine}")

    asked = versions(program)
    if not asked:
        found.append(f"{program}: asks for no symbol of glibc, so nothing is known of it")
    for version in sorted(asked):
        if version > NEWEST:
            newest = ".".join(map(str, NEWEST))
            text = ".".join(map(str, version))
            found.append(f"{program}: asks for GLIBC_{text}, and the runtime has {newest}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", choices=MACHINES, default="aarch64")
    parser.add_argument("programs", nargs="+", type=Path)
    arguments = parser.parse_args()

    wrong = [line for one in arguments.programs for line in problems(one, arguments.machine)]
    for program in arguments.programs:
        newest = max(versions(program), default=())
        print(f"{program}: {arguments.machine}, GLIBC_{'.'.join(map(str, newest))}")
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
