"""The commands: render, upsert, start, list, describe. `limit-increase pipeline` calls them."""

import argparse
import json
import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limit_pipeline.errors import PipelineError
from limit_pipeline.executions import ExecutionRecord, ExecutionStore
from limit_pipeline.names import (
    DEFAULT_DATE,
    DEFAULT_LIMIT,
    DEFAULT_POLICY,
    DEFAULT_SHARD_SIZE,
    LOCAL_ARN,
    MAX_SHARD_SIZE,
    MAX_TEXT,
    NAME,
    REGION,
)

# The SDK is imported where it is used, because that takes seconds: an error in the command line,
# `list` and `describe` need none.
if TYPE_CHECKING:
    import boto3

    from limit_pipeline.local import LocalSession
    from limit_pipeline.remote import RemotePipeline
    from limit_pipeline.stack import Stack

PROJECT = Path(__file__).resolve().parents[2]
DEFAULT_STACK = "limit-increase"
RUN_FAILED = 3
USAGE = 2

EXAMPLES = """
  limit-increase pipeline start                       20 customers, on the local services
  limit-increase pipeline start --limit 500 --dry-run
  limit-increase pipeline describe 1f0c5b9d3a7e       an execution, step by step
  limit-increase pipeline render > pipeline.json      the definition, as SageMaker reads it
  limit-increase pipeline upsert --target aws         creates or updates the pipeline of your stack
  limit-increase pipeline start --target aws --yes
"""


def main() -> int:
    arguments = parser().parse_args()
    try:
        if arguments.check:
            return check(arguments)
        return COMMANDS[arguments.command](arguments)
    except PipelineError as error:
        return complain(arguments, str(error), error.next, error.exit_code)
    except Exception as error:
        # The errors of AWS; those of a defect keep their traceback.
        if not type(error).__module__.startswith("botocore."):
            raise
        return complain(arguments, str(error), "look at the cause and repeat the command", 1)


def complain(arguments: argparse.Namespace, what: str, next: str, code: int) -> int:
    print(f"\nerror: {what}\n  next: {next}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"error": {"what": what, "next": next}}))
    return code


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="answer with one JSON object")
    # For the command line, which checks what was typed before it prepares the stack.
    common.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    common.add_argument("--target", choices=["local", "aws"], default="local")
    common.add_argument("--region", help="region of the stack (AWS)")
    common.add_argument("--stack-name", default=DEFAULT_STACK, help="name of the stack (AWS)")

    parser = argparse.ArgumentParser(
        prog="limit-increase pipeline",
        description="The nightly job as a SageMaker pipeline, over the same four functions.",
        epilog=f"examples:{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help, parents=[common])

    command("render", "print the definition, as SageMaker reads it")
    upsert = command("upsert", "create the pipeline, or give it this definition")
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


def check(arguments: argparse.Namespace) -> int:
    """Checks what was typed, and does nothing."""
    if arguments.command == "start":
        request(arguments)
    return 0


def render(arguments: argparse.Namespace) -> int:
    if arguments.target == "aws":
        definition = remote(arguments).pipeline.definition()
    else:
        from limit_pipeline.definition import define

        definition = define(local_stack().functions, local_session()).definition()
    print(json.dumps(json.loads(definition), indent=2))
    return 0


def upsert(arguments: argparse.Namespace) -> int:
    if arguments.target == "aws":
        answer = remote(arguments).upsert(arguments.role)
        return show(arguments, answer, [f"{answer['pipeline_arn']} has this definition"])

    from limit_pipeline.definition import define

    session = local_session()
    version, fresh = session.store.upsert(define(local_stack().functions, session).definition())
    word = "new" if fresh else "as it was"
    answer = {"pipeline_arn": LOCAL_ARN, "version": version.number, "sha256": version.sha256}
    return show(arguments, answer, [f"{NAME} version {version.number} ({word})"])


def start(arguments: argparse.Namespace) -> int:
    parameters = request(arguments)
    if arguments.target == "aws":
        agree(arguments)
        answer = remote(arguments).start(parameters, arguments.token)
        id = answer["arn"].rsplit("/", 1)[-1]
        follow = f"follow it: limit-increase pipeline describe {id} --target aws"
        return show(arguments, answer, [f"started {answer['arn']}", follow])

    from limit_pipeline.definition import define
    from limit_pipeline.local import LocalPipeline

    session, stack = local_session(), local_stack()
    pipeline = define(stack.functions, session)
    version, _ = session.store.upsert(pipeline.definition())
    record, fresh = session.store.begin(version, parameters, arguments.token)
    if fresh:
        local = LocalPipeline(pipeline, local_session=session)
        record = local.execute(record, stack.functions.update_database)
    elif not arguments.json:
        print(f"The token {arguments.token} has started this execution before:")

    show(arguments, described(record), lines_of(record))
    return 0 if record.status != "Failed" else RUN_FAILED


def list_executions(arguments: argparse.Namespace) -> int:
    if arguments.target == "aws":
        found = remote(arguments).list()
        lines = [f"{e['PipelineExecutionArn']}  {e['PipelineExecutionStatus']}" for e in found]
        return show(arguments, {"executions": found}, lines or ["no execution yet"])

    records = store().list()
    lines = [
        f"{record.id}  {moment(record.started)}  {record.status:<10} version {record.version}"
        for record in records
    ]
    answer = {"executions": [described(record) for record in records]}
    return show(arguments, answer, lines or ["no execution yet: limit-increase pipeline start"])


def describe(arguments: argparse.Namespace) -> int:
    if arguments.target == "aws":
        pipeline = remote(arguments)
        found = (
            pipeline.describe(arguments.execution)
            if arguments.execution
            else pipeline.describe_pipeline()
        )
        return show(arguments, found, [json.dumps(found, indent=2, default=str)])

    if arguments.execution is not None:
        record = store().find(arguments.execution)
        return show(arguments, described(record), lines_of(record, inputs=True))

    versions = store().versions()
    if not versions:
        raise PipelineError("there is no pipeline yet", "make it: limit-increase pipeline upsert")
    definition = store().definition(versions[-1])
    answer = {
        "pipeline_arn": LOCAL_ARN,
        "versions": [vars(version) for version in versions],
        "definition": definition,
    }
    lines = [f"{NAME}, at {store().folder}"]
    lines += [f"  version {v.number}  {moment(v.created)}  sha256 {v.sha256}" for v in versions]
    return show(arguments, answer, lines)


COMMANDS = {
    "render": render,
    "upsert": upsert,
    "start": start,
    "list": list_executions,
    "describe": describe,
}


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


def agree(arguments: argparse.Namespace) -> None:
    """Asks before a run that may raise limits in an account."""
    if arguments.dry_run or arguments.yes:
        return
    if not sys.stdin.isatty():
        raise PipelineError(
            "there is nobody to ask whether this run may raise limits",
            "give --yes, or make it a --dry-run; nothing was started",
            USAGE,
        )
    if input("Start a run that may raise limits? [y/N] ").strip().lower() not in ("y", "yes"):
        raise PipelineError("nothing was started", "repeat the command and answer y")


def store() -> ExecutionStore:
    home = Path(os.environ.get("LIMIT_INCREASE_HOME") or PROJECT / ".local")
    return ExecutionStore(home / "pipeline", LOCAL_ARN)


def local_session() -> "LocalSession":
    """A session of the local AWS. Whose credentials this machine has does not matter."""
    from limit_pipeline.local import LocalSession

    return LocalSession(store(), local_boto())


def local_boto() -> "boto3.Session":
    import boto3

    if "AWS_ENDPOINT_URL" not in os.environ:
        raise PipelineError(
            "AWS_ENDPOINT_URL does not name the local AWS",
            "call this program as: limit-increase pipeline",
            USAGE,
        )
    return boto3.Session("test", "test", region_name=REGION)


def local_stack() -> "Stack":
    from limit_pipeline.stack import find

    return find(local_boto())


def remote(arguments: argparse.Namespace) -> "RemotePipeline":
    import boto3

    from limit_pipeline.remote import RemotePipeline
    from limit_pipeline.stack import find

    session = boto3.Session(region_name=arguments.region)
    return RemotePipeline(session, find(session, arguments.stack_name))


def show(arguments: argparse.Namespace, answer: Any, lines: list[str]) -> int:
    print(json.dumps(answer, default=str) if arguments.json else "\n".join(lines))
    return 0


def described(record: ExecutionRecord) -> dict:
    return {**vars(record), "run_id": record.run_id}


def lines_of(record: ExecutionRecord, inputs: bool = False) -> list[str]:
    """An execution for a person: its steps, and what became of the customers."""
    lines = []
    for step in record.steps:
        mark = {"Succeeded": "✓", "Failed": "✗"}.get(step["status"], "…")
        seconds = step.get("ended", step["started"]) - step["started"]
        lines.append(f"  {mark} {step['name']:<24} {seconds:.1f} s  {counts_of(step)}".rstrip())
        for name, value in [*step.get("inputs", {}).items()] if inputs else []:
            lines.append(f"      → {name}: {value}")
        for name, value in step.get("outputs", {}).items() if inputs else []:
            lines.append(f"      ← {name}: {value}")
        if "failure_reason" in step:
            lines.append(f"      {step['failure_reason']}")

    took = (record.ended or record.started) - record.started
    lines.append(f"\n{record.status.upper()}  {record.run_id} in {took:.1f} s")
    summary = record.steps[-1].get("outputs", {}) if record.steps else {}
    if record.status == "Succeeded" and "approved" in summary:
        counts = ", ".join(f"{summary[n]} {n}" for n in ("approved", "declined", "referred"))
        stale = f", {summary['stale']} changed meanwhile" if summary["stale"] else ""
        lines.append(f"  {summary['eligible']} customers: {counts}{stale}")
        lines.append(f"  Limits raised by {summary['total_increase']} in total")
    if record.unrecorded:
        lines.append(f"  {record.unrecorded}")
    lines.append(f"  Definition version {record.version}, sha256 {record.definition_sha256:.12}")
    return lines


def counts_of(step: dict) -> str:
    """What a step says of customers."""
    outputs = step.get("outputs", {})
    if step["name"] == "QueryBatchScores" and "eligible" in outputs:
        return f"{outputs['eligible']} customers"
    if "counts" in outputs:
        counts = json.loads(outputs["counts"])
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return ""


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(sep=" ", timespec="seconds")
