"""What is typed: the options of each command, and what they mean."""

import argparse
import json
import re
from datetime import date
from pathlib import Path

from limit_pipeline.errors import PipelineError
from limit_pipeline.names import (
    DEFAULT_DATE,
    DEFAULT_LIMIT,
    DEFAULT_POLICY,
    DEFAULT_SHARD_SIZE,
    MAX_SHARD_SIZE,
    MAX_TEXT,
    Training,
)

DEFAULT_STACK = "limit-increase"
USAGE = 2

EXAMPLES = """
  limit-increase pipeline start                       20 customers, on the local services
  limit-increase pipeline start --limit 500 --dry-run
  limit-increase pipeline describe 1f0c5b9d3a7e       an execution, step by step
  limit-increase pipeline render > pipeline.json      the definition, as SageMaker reads it
  limit-increase pipeline upsert --target aws         creates or updates the pipeline of your stack
  limit-increase pipeline start --target aws --stage test --yes

A pipeline that trains and registers a model before it decides:
  limit-increase pipeline upsert --target aws --role arn:aws:iam::123456789012:role/Pipeline \\
      --train 123456789012.dkr.ecr.eu-west-1.amazonaws.com/catboost-sagemaker:latest \\
      --train-role arn:aws:iam::123456789012:role/Training \\
      --train-data s3://my-models/training/loans.csv \\
      --train-option target=defaulted --train-option positive=1
"""


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="answer with one JSON object")
    # For the command line, which checks what was typed before it prepares the stack.
    common.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    common.add_argument("--target", choices=["local", "aws"], default="local")
    common.add_argument("--region", help="region of the stack (AWS)")
    common.add_argument("--stage", type=stage, help="the stack of this stage (AWS)")
    common.add_argument(
        "--stack-name", help=f"name of the stack (AWS) [default: {DEFAULT_STACK}, and the stage]"
    )

    training = argparse.ArgumentParser(add_help=False)
    training.add_argument("--train", metavar="IMAGE", help="train first, in this image")
    training.add_argument("--train-role", metavar="ARN", help="role that the training runs as")
    training.add_argument("--train-data", metavar="S3_URI", help="the table to train on")
    training.add_argument(
        "--train-option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of train.py; may be repeated",
    )

    parser = argparse.ArgumentParser(
        prog="limit-increase pipeline",
        description="The nightly job as a SageMaker pipeline, over the same four functions.",
        epilog=f"examples:{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str, *more: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help, parents=[common, *more])

    command("render", "print the definition, as SageMaker reads it", training)
    upsert = command("upsert", "create the pipeline, or give it this definition", training)
    upsert.add_argument("--role", metavar="ARN", help="role that the pipeline runs as (AWS)")
    start = command("start", "start an execution; a local one is followed to its end")
    start.add_argument("--limit", default=DEFAULT_LIMIT, metavar="N", help="most customers to take")
    start.add_argument("--shard-size", default=DEFAULT_SHARD_SIZE, type=int, metavar="N")
    start.add_argument(
        "--dry-run", action="store_true", help="decide, and leave the table as it is"
    )
    start.add_argument("--as-of", metavar="DATE", help="business date of the run [default: today]")
    start.add_argument("--policy", type=Path, metavar="FILE", help="policy of this execution alone")
    start.add_argument("--token", help="a start with the same token is the same execution")
    start.add_argument("--yes", action="store_true", help="do not ask before a live run on AWS")
    command("list", "list the executions, the newest first")
    describe = command("describe", "show the pipeline, or one execution step by step")
    describe.add_argument("execution", nargs="?", metavar="ID")
    return parser


def request(arguments: argparse.Namespace) -> dict[str, str | int | bool]:
    """The parameters that were typed, checked before anything is started."""
    try:
        limit = int(arguments.limit)
    except ValueError:
        raise PipelineError(
            f"--limit: {arguments.limit!r} is not a number of customers; an execution of the"
            " pipeline has one shard, so it takes no `all`",
            "give a number, or use Step Functions: limit-increase run --limit all",
            USAGE,
        ) from None

    if limit < 1:
        raise PipelineError(f"--limit: must be 1 or more, found {limit}", "correct it", USAGE)
    if not 1 <= arguments.shard_size <= MAX_SHARD_SIZE:
        what = f"--shard-size: must be from 1 to {MAX_SHARD_SIZE}, found {arguments.shard_size}"
        raise PipelineError(what, "correct it", USAGE)
    return {
        "Limit": limit,
        "ShardSize": arguments.shard_size,
        "DryRun": arguments.dry_run,
        "AsOf": business_date(arguments.as_of),
        "Policy": policy_text(arguments.policy),
    }


def business_date(given: str | None) -> str:
    if given is None:
        return DEFAULT_DATE
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError as error:
        raise PipelineError(f"--as-of: {error}", "write it as 2026-11-24", USAGE) from error


def policy_text(file: Path | None) -> str:
    """The document as one short line. The function checks what is in it."""
    if file is None:
        return DEFAULT_POLICY
    try:
        text = json.dumps(json.loads(file.read_text("utf-8-sig")), separators=(",", ":"))
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"the policy {file} cannot be used: {error}", "correct the file", USAGE
        ) from error
    if len(text) > MAX_TEXT:
        raise PipelineError(
            f"the policy {file} has {len(text)} characters as JSON, and a parameter of a pipeline"
            f" at most {MAX_TEXT}",
            "start this run with Step Functions: limit-increase run --policy",
            USAGE,
        )
    return text


def check(arguments: argparse.Namespace) -> None:
    """Refuses what cannot be meant, before anything is started."""
    named = {"--region": arguments.region, "--stage": arguments.stage}
    named["--stack-name"] = arguments.stack_name
    if arguments.target == "local":
        for option in (option for option, value in named.items() if value is not None):
            what = f"{option} names a stack on AWS, and the target is the local AWS"
            raise PipelineError(what, "add --target aws, or leave the option out", USAGE)

    if arguments.command == "start":
        request(arguments)
    if arguments.command in ("render", "upsert"):
        first = training(arguments)
        if first is not None and arguments.command == "upsert":
            check_training(arguments)


def check_training(arguments: argparse.Namespace) -> None:
    if arguments.target == "local":
        raise PipelineError(
            "--train: the local mode of the SDK trains in containers alone, so a pipeline that"
            " trains is for AWS",
            "train with `make train-sagemaker`, which runs the same job as a process; or add"
            " --target aws",
            USAGE,
        )
    if arguments.role is None:
        raise PipelineError(
            "--train needs --role: the stack's own role may call the functions alone",
            "give the ARN of a role that may also train and register models; docs/pipeline.md"
            " lists its rights",
            USAGE,
        )


def training(arguments: argparse.Namespace) -> Training | None:
    """What the pipeline trains with, if it does."""
    given = {
        "--train": getattr(arguments, "train", None),
        "--train-role": getattr(arguments, "train_role", None),
        "--train-data": getattr(arguments, "train_data", None),
    }
    options = train_options(getattr(arguments, "train_option", []))
    if not options and not any(given.values()):
        return None
    if missing := [option for option, value in given.items() if value is None]:
        what = f"a pipeline that trains needs {', '.join(missing)} too"
        raise PipelineError(what, "see the example in: limit-increase pipeline --help", USAGE)

    data = given["--train-data"]
    place = re.fullmatch(r"s3://([^/]+)/(.+)", data)
    if place is None:
        what = f"--train-data: {data!r} is no object in S3"
        raise PipelineError(what, "write it as s3://bucket/key", USAGE)
    return Training(
        image=given["--train"],
        role=given["--train-role"],
        data=data,
        output=f"s3://{place[1]}/training/",
        options=options,
    )


def train_options(typed: list[str]) -> dict[str, str | list[str]]:
    """The options of train.py by name. One that is repeated has a list."""
    found: dict[str, list[str]] = {}
    for one in typed:
        name, equals, value = one.partition("=")
        if not equals or not name or name.startswith("-"):
            what = f"--train-option: {one!r} is not of the form NAME=VALUE"
            raise PipelineError(what, "write it as target=defaulted", USAGE)
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def stack_name(arguments: argparse.Namespace) -> str:
    """As the other commands name the stack of a stage."""
    if arguments.stack_name is not None:
        return arguments.stack_name
    return f"{DEFAULT_STACK}-{arguments.stage}" if arguments.stage else DEFAULT_STACK


def stage(text: str) -> str:
    """The same rule as that of the other commands: deploy/src/cli.rs."""
    if re.fullmatch(r"[a-z][a-z0-9]{0,9}", text) is None:
        raise argparse.ArgumentTypeError(
            "give a letter, then letters and digits, all lower-case and at most ten"
        )
    return text
