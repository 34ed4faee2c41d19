"""A container engine of the tests: it takes docker's commands, and runs the image as a process.

The variable BUILT names the root of an image whose steps dockerfile.py has executed. A container's
/opt/ml is the code of that image with the volumes beside it. SAGEMAKER_BASE_DIR tells the toolkit
where it is.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    words = sys.argv[1:]
    with Path(os.environ["CALLS"]).open("a") as file:
        file.write(json.dumps(words) + "\n")
    if words[0] == "run":
        return run(words[1:])
    if words[:2] == ["image", "inspect"]:
        return 0 if words[2] == "catboost-sagemaker:latest" else 1
    return 0


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rm", action="store_true")
    parser.add_argument("--name")
    parser.add_argument("--hostname")
    parser.add_argument("--volume", action="append")
    parser.add_argument("--env", action="append")
    parser.add_argument("image")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(words)

    built = json.loads(os.environ["BUILT"])
    container = Path(tempfile.mkdtemp())
    (container / "code").symlink_to(Path(built["root"], "opt/ml/code"))
    for volume in options.volume:
        source, target, _ = volume.split(":")
        (container / Path(target).name).symlink_to(source)

    environment = {name: value for name, value in os.environ.items() if name == "HOME"}
    environment |= {
        **built["environment"],
        "PATH": f"{built['root']}/opt/venv/bin:/usr/bin:/bin",
        "SAGEMAKER_BASE_DIR": str(container),
        # No name server knows this machine as algo-1.
        "SM_STUDIO_LOCAL_MODE": "true",
        **dict(pair.split("=", 1) for pair in options.env),
    }
    program = Path(built["root"], "opt/venv/bin", options.command[0])
    os.chdir(container / "code")
    os.execve(program, [str(program), *options.command[1:]], environment)


if __name__ == "__main__":
    sys.exit(main())
