#!/usr/bin/env python3.11
"""Writes limit-increase.asl.json from limit-increase.yaml; `--check` only compares the two.

It needs PyYAML, which is in the Python environment `build`. `make render` runs it there.
"""

import argparse
import difflib
import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "limit-increase.yaml"
RENDERED = HERE / "limit-increase.asl.json"
WIDTH = 100


class UniqueKeyLoader(yaml.SafeLoader):
    """Reads YAML and refuses a repeated key, where YAML would keep the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                problem = f"the key {key!r} is not text; put it in quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"the key {key!r} is written twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)

        return super().construct_mapping(node, deep)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the JSON is out of date")
    check = parser.parse_args().check

    try:
        rendered = render(SOURCE.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        print(f"{SOURCE.name}: {error}", file=sys.stderr)
        return 1

    current = RENDERED.read_text(encoding="utf-8") if RENDERED.exists() else ""
    if current == rendered:
        return 0
    if check:
        sys.stdout.writelines(difference(current, rendered))
        print(
            f"{RENDERED.name} is not what {SOURCE.name} describes.\n"
            f"Edit {SOURCE.name} only, run `make render`, and commit both files.",
            file=sys.stderr,
        )
        return 1

    RENDERED.write_text(rendered, encoding="utf-8", newline="\n")
    print(f"wrote {RENDERED.name}")
    return 0


def render(source: str) -> str:
    """The JSON of a definition in YAML.

    The loader gives an anchored part and its aliases as one object. That is how a repeated part is
    recognised; its Comment stays only where the part is first used.
    """
    definition = yaml.load(source, Loader=UniqueKeyLoader)
    return to_json(without_repeated_comments(definition, seen=set())) + "\n"


def without_repeated_comments(value: Any, seen: set[int]) -> Any:
    if isinstance(value, list):
        return [without_repeated_comments(item, seen) for item in value]
    if not isinstance(value, dict):
        return value

    repeated = id(value) in seen
    seen.add(id(value))
    return {
        key: without_repeated_comments(member, seen)
        for key, member in value.items()
        if not (repeated and key == "Comment")
    }


def to_json(value: Any, indent: int = 0, prefix: int = 0) -> str:
    """`value` on one line if it fits within `WIDTH`, and otherwise one member on each line.

    `prefix` is the length of the key that stands before the value on its line.
    """
    line = on_one_line(value)
    is_nested = isinstance(value, dict | list) and len(value) > 0
    if not is_nested or (indent > 0 and indent + prefix + len(line) < WIDTH):
        return line

    inner = indent + 2
    if isinstance(value, dict):
        members = []
        for key, member in value.items():
            name = f"{json.dumps(key)}: "
            members.append(name + to_json(member, inner, len(name)))
    else:
        members = [to_json(item, inner) for item in value]

    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = ",\n".join(" " * inner + member for member in members)
    return f"{opening}\n{lines}\n{' ' * indent}{closing}"


def on_one_line(value: Any) -> str:
    if isinstance(value, dict) and value:
        members = (f"{json.dumps(key)}: {on_one_line(member)}" for key, member in value.items())
        return f"{{ {', '.join(members)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(on_one_line, value))}]"
    return json.dumps(value, allow_nan=False)


def difference(current: str, rendered: str) -> list[str]:
    return list(
        difflib.unified_diff(
            current.splitlines(keepends=True),
            rendered.splitlines(keepends=True),
            fromfile=f"{RENDERED.name} (in the tree)",
            tofile=f"{RENDERED.name} (rendered)",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
