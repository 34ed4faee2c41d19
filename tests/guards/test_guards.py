"""The guards of guards.toml and their tests are in the tree, and ARCHITECTURE.md lists them."""

import re
from functools import cache

import pytest
from remove import ROOT, Guard, batches, guards

GUARDS = guards()
# Where a test of each kind of program may be. A suite is one file; a unit test is beside its code.
UNITS = {"--lib": ["shared", "deploy"], "--bins": ["functions", "deploy"]}


@cache
def sources(folders: tuple[str, ...]) -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in folders
        for path in (ROOT / folder).rglob("*.rs")
        if "target" not in path.parts
    }


def places(guard: Guard) -> dict[str, str]:
    """The files in which the guard's test may be."""
    if guard.program in UNITS:
        files = sources(tuple(UNITS[guard.program]))
        return {
            name: text for name, text in files.items() if "#[cfg(test)]" in text or "tests" in name
        }

    suite = guard.program.removeprefix("--test ")
    wanted = re.compile(rf"tests/suites/{suite}(/\w+)?\.rs|shared/\w+/tests/{suite}\.rs")
    files = sources(("tests", "shared"))
    return {name: text for name, text in files.items() if wanted.fullmatch(name)}


@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_the_guard_is_in_the_code_once(guard):
    assert guard.place.read_text(encoding="utf-8").count(guard.code) == 1
    assert guard.without != guard.code


@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_the_test_that_fails_without_it_exists(guard):
    function = f"fn {guard.name.rpartition('::')[2]}("
    found = [name for name, text in places(guard).items() if function in text]
    assert found, f"no {function}..) for {guard.program}"
    if found[0].startswith("tests/suites/"):
        # A case counts when the suite runs it.
        suite = f"tests/suites/{guard.program.removeprefix('--test ')}.rs"
        text = (ROOT / suite).read_text(encoding="utf-8")
        assert re.search(rf"^\s+{guard.name},$", text, re.MULTILINE), f"{suite} lacks the case"


def test_every_promise_has_a_guard():
    assert {guard.promise for guard in GUARDS} == set(range(1, 16))


def test_no_two_guards_are_the_same():
    assert len({(guard.file, guard.code, guard.without) for guard in GUARDS}) == len(GUARDS)
    assert len({guard.guard for guard in GUARDS}) == len(GUARDS)


def row(guard: Guard) -> str:
    program = guard.program.removeprefix("--test ")
    program = {"--lib": guard.file.split("/src")[0], "--bins": guard.file.split("/src")[0]}.get(
        program, program
    )
    name = guard.name.rpartition("::")[2]
    return f"| {guard.promise} | {guard.guard} | `{guard.file}` | `{program}`: `{name}` |"


def test_architecture_lists_every_guard_with_its_test():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, _, section = text.partition("\n## The guards\n")
    section = section.partition("\n## ")[0]
    rows = [line for line in section.splitlines() if re.match(r"\| \d", line)]
    wanted = [row(guard) for guard in GUARDS]
    assert rows == wanted, "the table should be:\n" + "\n".join(wanted)


def test_guards_that_are_removed_together_have_their_own_tests():
    for batch in batches(GUARDS, together=True):
        for kind in ("name", "file"):
            assert len({getattr(guard, kind) for guard in batch}) == len(batch)
        assert len({guard.program for guard in batch}) == 1
    assert sum(len(batch) for batch in batches(GUARDS, together=True)) == len(GUARDS)
    assert all(len(batch) == 1 for batch in batches(GUARDS, together=False))
