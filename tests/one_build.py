#!/usr/bin/env python3
"""Checks that the programs and the tests share every compiled crate.

`cargo build` (the command line and the functions) and `cargo test --workspace` would compile a
crate twice if a test needed more features of it than a program does. Prints each such crate, and
exits with 1.

A document that says `cargo run -p` would have its reader compile most crates a second time, so the
documents say `cargo limit-increase`, which .cargo/config.toml explains. Prints each other line.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TREE = ["cargo", "tree", "--locked", "--prefix", "none", "--format", "{p} [{f}]"]


def features(*options: str) -> dict[str, set[str]]:
    """The lists of features with which each crate from a registry is compiled.

    A crate that a build script uses as well has more than one.
    """
    output = subprocess.run([*TREE, *options], check=True, capture_output=True, text=True).stdout
    found: dict[str, set[str]] = {}
    for line in output.splitlines():
        crate, _, listed = line.removesuffix(" (*)").partition(" [")
        # A crate of this workspace is shown with its directory.
        if "(/" not in crate:
            found.setdefault(crate, set()).add(listed.removesuffix("]"))
    return found


def second_builds() -> list[str]:
    """The places where a document runs the command line in a way that compiles it anew."""
    documents = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    return [
        f"{document}:{number}: {line.strip()}"
        for document in documents
        for number, line in enumerate((ROOT / document).read_text("utf-8").splitlines(), 1)
        if re.search(r"cargo run (-p|--package)\b", line)
    ]


def main() -> int:
    if places := second_builds():
        print("\n".join(places))
        print("Write `cargo limit-increase` instead.", file=sys.stderr)
        return 1
    programs = features("--edges", "normal,build")
    tests = features("--edges", "normal,build,dev", "--workspace")
    differing = [crate for crate, lists in programs.items() if not lists <= tests[crate]]
    for crate in differing:
        ours, theirs = sorted(programs[crate]), sorted(tests[crate])
        print(f"{crate}: a program has {ours}, a test has {theirs}")
    if differing:
        print(
            "Each of these is compiled twice. Name the crate with all of these features "
            "in the root's Cargo.toml, and list it in deploy/Cargo.toml.",
            file=sys.stderr,
        )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
