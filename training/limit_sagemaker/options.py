"""The command line of train_sagemaker.py."""

import argparse
import os
from pathlib import Path

from limit_training.errors import usage_error

from .engine import IMAGE

EXAMPLES = f"""\
examples:
  # the sample portfolio; a process of this machine gets what a SageMaker container gets
  train_sagemaker.py

  # your own table; what follows the two dashes are options of train.py
  train_sagemaker.py --data loans.csv --target defaulted --positive 1 -- --iterations 500

  # in a container of {IMAGE}, which `make build-docker` builds
  train_sagemaker.py --container

  # on AWS: starts the job, follows its states and its log, fetches its model
  train_sagemaker.py --start --role arn:aws:iam::123456789012:role/Training --bucket my-models

  # go on with a job on AWS after Ctrl-C
  train_sagemaker.py --follow limit-increase-20261125-020000

  # the request of CreateTrainingJob, and the commands that run it by hand
  train_sagemaker.py --print

Here and in a container, the model becomes that of the local environment: it is put at
s3://<bucket>/models/catboost_model.tar.gz of the local AWS, which is started if needed. From AWS it
is fetched and checked; --publish puts it at that place of your bucket too.

The job's files stay in .local/sagemaker/<job>: request.json, job.log, opt/ml as the container saw
it, model.tar.gz as SageMaker packs it, and catboost_model.tar.gz, the artifact. With the same data,
the same options and SOURCE_DATE_EPOCH, all ways give the artifact of `limit-increase train`.

exit codes: 0 the model is there; the training's own code if it failed, as a container's
            (1 on AWS, which tells none); 2 wrong command line; 130 interrupted
"""

# The options of `limit-increase train-sagemaker`, which are passed on to it.
PASSED_ON = {
    "data": ("FILE", "your own table, CSV or CSV.gz with a header"),
    "target": ("COLUMN", "column of the outcome"),
    "positive": ("VALUE", "the outcome's value for the bad class, as written"),
    "features": ("A,B,..", "columns to use"),
    "categorical": ("A,B,..", "columns of codes to read as categories"),
    "split-column": ("COLUMN", "column that says which rows are held out"),
    "descriptions": ("FILE|COL=TEXT,..", "features in plain words"),
    "role": ("ARN", "role that the job runs as, for --start"),
    "bucket": ("NAME", "bucket of the job's files and of the model"),
    "region": ("REGION", "region of the job [default: that of your AWS environment]"),
    "image": ("URI", f"image of the container [default: {IMAGE} here, AWS's PyTorch image on AWS]"),
    "instance": ("TYPE", "machine of the job [default: ml.m5.large]"),
    "job": ("NAME", "the job's name [default: made from the time]"),
}


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="train_sagemaker.py",
        usage="%(prog)s [--container | --start --role ARN | --follow JOB | --print] [options]"
        " [-- options of train.py]",
        description="Trains the credit model as a SageMaker training job: without a container, in"
        " one, or on AWS.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    way = root.add_argument_group("where").add_mutually_exclusive_group()
    way.add_argument("--container", action="store_true", help="in a container of the image")
    way.add_argument("--start", action="store_true", help="on AWS, which costs money")
    way.add_argument("--follow", metavar="JOB", help="follow a job that --start started")
    way.add_argument(
        "--print", action="store_true", help="print the request and start nothing", dest="show"
    )
    group = root.add_argument_group("job")
    for name, (metavar, text) in PASSED_ON.items():
        group.add_argument(f"--{name}", metavar=metavar, help=text)
    group.add_argument(
        "--poll",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how often a job on AWS is asked for its state (default 10)",
    )
    output = root.add_argument_group("output")
    output.add_argument(
        "--publish", action="store_true", help="put a model from AWS where the functions read it"
    )
    output.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return root


def passed_on(options: argparse.Namespace, more: list[str]) -> list[str]:
    """The options for `limit-increase train-sagemaker`, which runs in the project's directory."""
    words = []
    for name in PASSED_ON:
        value = getattr(options, name.replace("-", "_"))
        if value is None:
            continue
        if name == "data" and not Path(value).is_file():
            raise usage_error(
                f"there is no file {value}", "give the path of a CSV file with --data"
            )
        if name == "data" or (name == "descriptions" and Path(value).is_file()):
            value = os.path.abspath(value)
        words.append(f"--{name}={value}")
    return [*words, *(["--", *more] if more else [])]
