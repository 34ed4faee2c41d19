"""The container engine: docker, or any program that takes docker's commands. And the image.

`python -m limit_sagemaker.engine build|clean` makes and removes the image, for the Makefile.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from limit_training.errors import EXIT_UNEXPECTED, TrainingError

ENGINES = ("docker", "podman", "nerdctl")
IMAGE = "catboost-sagemaker:latest"
CONTEXT = Path(__file__).resolve().parents[1]


def find() -> str:
    """The path of the engine: what CONTAINER_ENGINE names, or the first of those on the PATH."""
    named = os.environ.get("CONTAINER_ENGINE")
    candidates = (named,) if named else ENGINES
    for candidate in candidates:
        if found := shutil.which(candidate):
            check(found)
            return found
    raise TrainingError(
        f"there is no container engine: {', '.join(candidates)} is not on the PATH",
        where="CONTAINER_ENGINE" if named else "PATH",
        next_step="install Docker, Podman or nerdctl, or name one in CONTAINER_ENGINE; without"
        " --container the same training runs as a process",
        exit_code=EXIT_UNEXPECTED,
    )


def check(engine: str) -> None:
    """Finds out whether the engine works: docker's program is of no use without its service."""
    done = subprocess.run(
        [engine, "info"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise TrainingError(
            f"{Path(engine).name} does not work: {said[-1]}",
            where=engine,
            next_step="start it, or name another engine in CONTAINER_ENGINE",
            exit_code=EXIT_UNEXPECTED,
        )


def has_image(engine: str, image: str) -> bool:
    question = [engine, "image", "inspect", image]
    done = subprocess.run(question, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def build() -> int:
    """Builds the image; the engine shows its progress."""
    return subprocess.run([find(), "build", "--tag", IMAGE, str(CONTEXT)]).returncode


def clean() -> int:
    """Removes the image, and the layers that only it used."""
    engine = find()
    if not has_image(engine, IMAGE):
        print(f"there is no image {IMAGE}")
        return 0
    return subprocess.run([engine, "image", "rm", IMAGE]).returncode


def main() -> int:
    tasks = {"build": build, "clean": clean}
    if len(sys.argv) != 2 or sys.argv[1] not in tasks:
        print("usage: python -m limit_sagemaker.engine build|clean", file=sys.stderr)
        return 2
    try:
        return tasks[sys.argv[1]]()
    except TrainingError as error:
        print(error.render(), file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
