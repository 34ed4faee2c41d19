#!/usr/bin/env python3.11
"""Takes each guard of guards.toml out of the code, and runs the test that has to fail without it.

    python3.11 tests/guards/remove.py                   # each guard alone: about two hours
    python3.11 tests/guards/remove.py --list shard      # the guards with this word
    python3.11 tests/guards/remove.py ETag ceiling      # these alone
    python3.11 tests/guards/remove.py --together        # several in one build

A guard that no test misses is reported, and the exit code is 1. The files are put back in any
case. With --together a test may fail for the sake of another guard of the same build, so read the
messages.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# A test that hangs has not failed.
SECONDS = 900
CARGO = ["cargo", "test", "--workspace"]


@dataclass(frozen=True)
class Guard:
    """A guard, and the test that fails without it."""

    promise: int
    guard: str
    file: str
    code: str
    without: str
    test: str

    @property
    def program(self) -> str:
        """The options with which cargo selects the test's program."""
        return self.test.rpartition(" ")[0]

    @property
    def name(self) -> str:
        """The test's name in its program."""
        return self.test.rpartition(" ")[2]

    @property
    def place(self) -> Path:
        return ROOT / self.file

    def __str__(self) -> str:
        return f"promise {self.promise}: {self.guard} ({self.file})"


def guards() -> list[Guard]:
    return [Guard(**one) for one in tomllib.loads((HERE / "guards.toml").read_text())["guard"]]


def batches(chosen: list[Guard], together: bool) -> list[list[Guard]]:
    """Guards that are removed in one build. No two of them have the same test or file."""
    made: list[list[Guard]] = []
    for guard in chosen:
        fits = (
            batch
            for batch in made
            if together
            and all(
                other.program == guard.program
                and other.name != guard.name
                and other.file != guard.file
                for other in batch
            )
        )
        batch = next(fits, None)
        if batch is None:
            made.append([guard])
        else:
            batch.append(guard)
    return made


def run(command: list[str]) -> tuple[int, str]:
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 0, f"it did not end within {SECONDS} s"
    return ended.returncode, ended.stdout


def message_of(name: str, output: str) -> str:
    """What the failed test says, in one line."""
    _, _, said = output.partition(f"---- {name} ")
    lines = [line.strip() for line in said.splitlines()[1:] if line.strip()]
    return " ".join(lines[:6])[:400]


def verdict(guard: Guard) -> tuple[bool, str]:
    """Whether the guard's test failed, and what it said."""
    status, output = run([*CARGO, *guard.program.split(), "--", guard.name, "--exact"])
    failed = re.search(rf"^test {re.escape(guard.name)}\s.*FAILED", output, re.MULTILINE)
    if status != 0 and failed:
        return True, message_of(guard.name, output)
    return False, output[-3000:]


def remove(batch: list[Guard]) -> list[str]:
    """Removes these guards, runs their tests, puts the guards back. Returns what went wrong."""
    before = {guard.place: guard.place.read_text() for guard in batch}
    wrong = []
    try:
        for guard in batch:
            text = before[guard.place]
            assert text.count(guard.code) == 1, f"{guard}: its code is not there exactly once"
            guard.place.write_text(text.replace(guard.code, guard.without))

        # A program that does not compile proves nothing.
        for command in (["cargo", "build"], [*CARGO, *batch[0].program.split(), "--no-run"]):
            status, output = run(command)
            if status != 0:
                named = ", ".join(map(str, batch))
                return [f"{named}: it does not compile without it\n{output[-3000:]}"]

        for guard in batch:
            failed, said = verdict(guard)
            print(f"{'fails ' if failed else 'PASSES'} {guard}\n       {guard.test}", flush=True)
            print(f"       {said}" if failed else said, flush=True)
            if not failed:
                wrong.append(f"{guard}: {guard.test} does not fail without it")
    finally:
        for place, text in before.items():
            place.write_text(text)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="only guards with such a word")
    parser.add_argument("--list", action="store_true", help="show the guards and exit")
    parser.add_argument("--together", action="store_true", help="several guards in one build")
    arguments = parser.parse_args()

    def is_chosen(guard: Guard) -> bool:
        text = f"{guard} {guard.test}"
        return not arguments.words or any(word in text for word in arguments.words)

    chosen = [guard for guard in guards() if is_chosen(guard)]
    if arguments.list:
        print(*(f"{guard}\n    {guard.test}" for guard in chosen), sep="\n")
        return 0

    wrong = [one for batch in batches(chosen, arguments.together) for one in remove(batch)]
    print(
        f"\n{len(chosen) - len(wrong)} of {len(chosen)} guards have a test that fails without them"
    )
    print(*wrong, sep="\n")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
