"""The commands: render, upsert, start, list, describe. `limit-increase pipeline` calls them."""

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limit_pipeline.errors import PipelineError
from limit_pipeline.executions import STOPPED, ExecutionRecord, ExecutionStore
from limit_pipeline.names import LOCAL_ARN, NAME, REGION
from limit_pipeline.options import USAGE, check, parser, request, stack_name, training

# The SDK is imported where it is used, because that takes seconds: only the definition and its
# local execution need it.
if TYPE_CHECKING:
    import boto3

    from limit_pipeline.local import LocalSession
    from limit_pipeline.remote import RemotePipeline
    from limit_pipeline.stack import Stack

PROJECT = Path(__file__).resolve().parents[2]
RUN_FAILED = 3


def main(typed: list[str] | None = None) -> int:
    arguments = parser().parse_args(typed)
    try:
        check(arguments)
        if arguments.check:
            return 0
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


def render(arguments: argparse.Namespace) -> int:
    if arguments.target == "aws":
        definition = remote(arguments).definition()
    else:
        from limit_pipeline.definition import define

        functions, first = local_stack().functions, training(arguments)
        definition = define(functions, local_session(), training=first).definition()
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

    if (known := store().find_token(arguments.token, parameters)) is not None:
        return show_known(arguments, known)

    from limit_pipeline.definition import define
    from limit_pipeline.local import LocalPipeline, StatusEvents

    session, stack = local_session(), local_stack()
    pipeline = define(stack.functions, session)
    version, _ = session.store.upsert(pipeline.definition())
    StatusEvents(session.lambda_client, stack.functions.update_database).send_missing(session.store)
    record, fresh = session.store.begin(version, parameters, arguments.token)
    if not fresh:
        return show_known(arguments, record)

    local = LocalPipeline(pipeline, local_session=session)
    return show_started(arguments, local.execute(record, stack.functions.update_database))


def show_known(arguments: argparse.Namespace, record: ExecutionRecord) -> int:
    if not arguments.json:
        print(f"The token {arguments.token} has started this execution before:")
    return show_started(arguments, record)


def show_started(arguments: argparse.Namespace, record: ExecutionRecord) -> int:
    show(arguments, described(record), lines_of(record))
    return RUN_FAILED if record.status in ("Failed", STOPPED) else 0


def list_executions(arguments: argparse.Namespace) -> int:
    if arguments.target == "aws":
        found = remote(arguments).list()
        lines = [
            f"{e['PipelineExecutionArn'].rsplit('/', 1)[-1]}  {e['StartTime']:%Y-%m-%d %H:%M:%S}"
            f"  {e['PipelineExecutionStatus']}"
            for e in found
        ]
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
        if arguments.execution is None:
            found = remote(arguments).describe_pipeline()
            return show(arguments, found, [json.dumps(found, indent=2, default=str)])
        found = remote(arguments).describe(arguments.execution)
        return show(arguments, found, lines_of_remote(found))

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
    stack = find(session, stack_name(arguments))
    return RemotePipeline(session, stack, training(arguments))


def show(arguments: argparse.Namespace, answer: Any, lines: list[str]) -> int:
    print(json.dumps(answer, default=str) if arguments.json else "\n".join(lines))
    return 0


def described(record: ExecutionRecord) -> dict:
    return {**vars(record), "run_id": record.run_id}


def lines_of_remote(found: dict) -> list[str]:
    """An execution on AWS for a person, in the same form."""
    lines = lines_of_steps(found["steps"], None)
    lines.append(f"\n{found['PipelineExecutionStatus'].upper()}  {found['PipelineExecutionArn']}")
    if found.get("FailureReason"):
        lines.append(f"  {found['FailureReason']}")
    return lines


def lines_of_steps(steps: list[dict], ended: float | None, inputs: bool = False) -> list[str]:
    lines = []
    for step in steps:
        mark = {"Succeeded": "✓", "Failed": "✗", STOPPED: "✗"}.get(step["status"], "…")
        seconds = (step.get("ended") or ended or step["started"]) - step["started"]
        lines.append(f"  {mark} {step['name']:<24} {seconds:.1f} s  {counts_of(step)}".rstrip())
        for name, value in [*step.get("inputs", {}).items()] if inputs else []:
            lines.append(f"      → {name}: {value}")
        for name, value in step.get("outputs", {}).items() if inputs else []:
            lines.append(f"      ← {name}: {value}")
        if "failure_reason" in step:
            lines.append(f"      {step['failure_reason']}")
    return lines


def lines_of(record: ExecutionRecord, inputs: bool = False) -> list[str]:
    """An execution for a person: its steps, and what became of the customers."""
    lines = lines_of_steps(record.steps, record.ended, inputs)
    took = (record.ended or record.started) - record.started
    lines.append(f"\n{record.status.upper()}  {record.run_id} in {took:.1f} s")
    summary = record.steps[-1].get("outputs", {}) if record.steps else {}
    if record.status == "Succeeded" and "approved" in summary:
        counts = ", ".join(f"{summary[n]} {n}" for n in ("approved", "declined", "referred"))
        stale = f", {summary['stale']} changed meanwhile" if summary["stale"] else ""
        lines.append(f"  {summary['eligible']} customers: {counts}{stale}")
        lines.append(f"  Limits raised by {summary['total_increase']} in total")
    if record.status == STOPPED:
        lines.append(f"  Stopped: {record.failure_reason}")
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
