"""Runs train.py as a SageMaker training job, in script mode.

SageMaker puts the data under SM_CHANNEL_TRAINING and gives the hyperparameters as one JSON object
in SM_HPS. Afterwards it packs the content of SM_MODEL_DIR into model.tar.gz; that is the artifact's
three files. Each hyperparameter is an option of train.py (`target`, `positive`, `iterations`, ..).
An option that may be repeated (`param`) is given as a JSON list. `limit-increase train-sagemaker`
writes the request for such a job.
"""

import argparse
import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

import train
from limit_training.errors import EXIT_OK, TrainingError
from limit_training.options import parser

TABLES = (".csv", ".csv.gz", ".parquet")
# Options that this entry sets itself.
OURS = {"data", "output", "json", "quiet"}
# The console shows the beginning of the file `failure` as the reason of a failure.
FAILURE_BYTES = 1024


def job_error(what: str, next_step: str) -> TrainingError:
    return TrainingError(what, where="SageMaker training job", next_step=next_step)


def main() -> int:
    try:
        run(dict(os.environ))
    except TrainingError as error:
        print(error.render(), file=sys.stderr)
        write_reason(error.render())
        return error.exit_code
    return EXIT_OK


def run(environment: dict[str, str]) -> dict:
    channel = directory(environment, "SM_CHANNEL_TRAINING")
    model = directory(environment, "SM_MODEL_DIR")
    options = hyperparameters(environment)

    arguments = [f"--data={table(channel, options.pop('data-file', ''))}"]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        # Name and value in one word, so that a value with a dash in front stays a value.
        arguments += [f"--{name}={located(channel, name, str(one))}" for one in values]
    if "threads" not in options and environment.get("SM_NUM_CPUS"):
        arguments.append(f"--threads={environment['SM_NUM_CPUS']}")

    with tempfile.TemporaryDirectory() as temporary:
        artifact = Path(temporary, "model.tar.gz")
        result = train.run(parse([*arguments, f"--output={artifact}"]))
        with tarfile.open(artifact) as archive:
            # `extractall` is only safe with a filter, which Python has from 3.11.4 on. These are
            # three files that this program has just written.
            for member in archive:
                Path(model, member.name).write_bytes(archive.extractfile(member).read())

    # People look for the figures of a job in its log.
    print(json.dumps({**result, "output": str(model)}, allow_nan=False))
    return result


def directory(environment: dict[str, str], name: str) -> Path:
    value = environment.get(name)
    if not value or not Path(value).is_dir():
        raise job_error(
            f"{name} is {value!r}, not a directory",
            "start this with SageMaker and a channel named training; elsewhere call train.py",
        )
    return Path(value)


def hyperparameters(environment: dict[str, str]) -> dict:
    try:
        given = json.loads(environment.get("SM_HPS") or "{}")
    except ValueError as error:
        raise job_error(
            f"SM_HPS is not JSON: {error}", "start this with SageMaker's training toolkit"
        ) from error
    options = {name.replace("_", "-"): value for name, value in given.items()}
    if taken := sorted(OURS & options.keys()):
        raise job_error(
            f"the hyperparameter {taken[0]} is not allowed", "leave it out: the job sets it"
        )
    return options


def table(channel: Path, named: str) -> Path:
    """The channel's only table, or the table that the hyperparameter data-file names."""
    if named:
        found = inside(channel, named)
        if found is None:
            raise job_error(
                f"the channel has no file {named}", "correct the hyperparameter data-file"
            )
        return found

    found = sorted(
        path for path in channel.rglob("*") if path.is_file() and path.name.endswith(TABLES)
    )
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(channel)) for path in found[:5]) or "none"
        raise job_error(
            f"the channel training has {len(found)} tables ({names})",
            "give it one CSV, CSV.gz or Parquet file, or name one with the hyperparameter"
            " data-file",
        )
    return found[0]


def located(channel: Path, name: str, value: str) -> str:
    """A hyperparameter's value; for descriptions in a file, its path in the channel."""
    found = inside(channel, value) if name == "descriptions" and "=" not in value else None
    return str(found) if found else value


def inside(channel: Path, named: str) -> Path | None:
    """The path of a file in the channel, or None if it is missing or outside of the channel."""
    path = (channel / named).resolve()
    return path if path.is_relative_to(channel.resolve()) and path.is_file() else None


def parse(arguments: list[str]) -> argparse.Namespace:
    try:
        return parser().parse_args([*arguments, "--quiet"])
    except SystemExit as stopped:
        raise job_error(
            "train.py does not take these hyperparameters; its own message is above",
            "see train.py --help: each hyperparameter is one of its options",
        ) from stopped


def write_reason(text: str) -> None:
    output = os.environ.get("SM_OUTPUT_DIR")
    if output and Path(output).is_dir():
        Path(output, "failure").write_text(text[:FAILURE_BYTES], encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
