"""Trains the credit model as a SageMaker job: here as a process, in a container, or on AWS.

Run `train_sagemaker.py --help` for the options and examples.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

from limit_sagemaker import cli, outcome
from limit_sagemaker.engine import IMAGE
from limit_sagemaker.job import Job, with_environment
from limit_sagemaker.options import parser, passed_on
from limit_sagemaker.progress import Progress
from limit_training.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNEXPECTED,
    TrainingError,
    usage_error,
)


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    end = given.index("--") if "--" in given else len(given)
    options = parser().parse_args(given[:end])
    try:
        result = run(options, given[end + 1 :])
    except TrainingError as error:
        return error.tell(options.json)
    except KeyboardInterrupt:
        print(f"interrupted; {interrupted_text(options)}", file=sys.stderr)
        return EXIT_INTERRUPTED

    if options.show:
        return result
    show(result, options.json)
    if result["status"] == outcome.COMPLETED:
        return EXIT_OK
    return result["exit_code"] or EXIT_UNEXPECTED


def run(options: argparse.Namespace, more: list[str]) -> dict | int:
    words = passed_on(options, more)
    if options.show:
        return cli.print_job(words, options.json)
    if options.start and not options.role:
        raise usage_error(
            "--start needs --role", "give the ARN of a role that SageMaker may assume"
        )
    if options.publish and not (options.start or options.follow):
        raise usage_error("--publish is for a model from AWS", "leave it out: a model is put there")
    on_aws = options.start or options.follow
    place = aws_place(options) if on_aws else None
    if place and not options.region:
        words = [f"--region={place.region}", *words]

    if options.follow:
        job = cli.remembered_job(options.follow)
    else:
        job = with_environment(cli.describe_job(words, options.job), repeatable())
        request = json.dumps(job.request, indent=2)
        (job.directory / "request.json").write_text(request, encoding="utf-8")

    progress = Progress(job.directory / "job.log", quiet=options.json)
    if place:
        ended, archive = train_on_aws(job, place, progress, starting=options.start)
    else:
        ended, archive = train_here(job, options, progress)
    result = describe(job, ended, progress)
    if ended.status != outcome.COMPLETED:
        return result
    return {**result, **finish(job, archive, progress, place, options.publish)}


def repeatable() -> dict[str, str]:
    """The variable of this environment that decides the bytes of the artifact."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return {} if epoch is None else {"SOURCE_DATE_EPOCH": epoch}


def aws_place(options: argparse.Namespace) -> object:
    # boto3 takes half a second to load, and the other ways need no AWS.
    import boto3

    from limit_sagemaker import aws

    region = options.region or os.environ.get("AWS_REGION") or boto3.session.Session().region_name
    if not region:
        raise usage_error("no region is given", "give --region, or set AWS_REGION")
    return aws.Place(region, options.poll)


def train_here(
    job: Job, options: argparse.Namespace, progress: Progress
) -> tuple[outcome.Outcome, Path]:
    from limit_sagemaker import container, process

    if options.container:
        ended = container.run(job, options.image or IMAGE, progress)
    else:
        ended = process.run(job, progress)
    archive = job.directory / "model.tar.gz"
    if ended.status == outcome.COMPLETED:
        from limit_sagemaker import model

        progress.state("Uploading", "the model folder, packed as model.tar.gz")
        model.pack_folder(job.opt_ml / "model", archive)
    return ended, archive


def train_on_aws(
    job: Job, place: object, progress: Progress, starting: bool
) -> tuple[outcome.Outcome, Path]:
    from limit_sagemaker import aws

    if starting:
        aws.start(job, place, progress)
    ended, uri = aws.follow(job.name, place, progress)
    archive = job.directory / "model.tar.gz"
    if ended.status == outcome.COMPLETED:
        aws.fetch(uri, archive, place)
    return ended, archive


def finish(
    job: Job, archive: Path, progress: Progress, place: object | None, publishing: bool
) -> dict:
    """Checks the model of a job that has ended well, and puts it where it belongs."""
    from limit_sagemaker import model, publish

    made = model.collect(archive)
    path = publish.keep(made, job.directory / publish.ARTIFACT)
    digest = hashlib.sha256(made.content).hexdigest()
    result = {"model": str(path), "sha256": digest, "bytes": len(made.content), "uploaded_to": None}
    # The log of a job on AWS may be gone. The manifest has the figures of the model too.
    report = {**(progress.report or figures(made.manifest)), **result, "output": str(path)}
    if place is None:
        progress.state("Uploading", f"the artifact to {job.destination} of the local AWS")
        publish.locally(made, report, job.directory, job.destination)
        result["uploaded_to"] = job.destination
    elif publishing:
        from limit_sagemaker import aws

        aws.put(path, job.destination, place)
        result["uploaded_to"] = job.destination
    progress.state("Checked", f"the model, {len(made.content):,} bytes")
    return {**result, "report": report}


def figures(manifest: dict) -> dict:
    return {name: manifest[name] for name in ("created_at", "target", "features", "training")}


def describe(job: Job, ended: outcome.Outcome, progress: Progress) -> dict:
    """The end of a job in the words of DescribeTrainingJob."""
    return {
        "job": job.name,
        "status": ended.status,
        "exit_code": ended.exit_code,
        "failure_reason": ended.reason or None,
        "directory": str(job.directory),
        "log": str(progress.log),
    }


def show(result: dict, as_json: bool) -> None:
    if result["status"] != outcome.COMPLETED:
        code = result["exit_code"]
        ended = "" if code is None else f" with exit code {code}"
        print(f"The job {result['job']} is {result['status']}{ended}. Its reason:", file=sys.stderr)
        print(result["failure_reason"], file=sys.stderr)
        print(f"Its log is {result['log']}", file=sys.stderr)
    elif not as_json:
        show_model(result)
    if as_json:
        print(json.dumps(result, allow_nan=False))


def show_model(result: dict) -> None:
    from limit_training import report

    if "scores" in result["report"]:
        print(report.as_text(result["report"]))
    else:
        print(f"Artifact: {result['model']} ({result['bytes']:,} bytes, sha256 {result['sha256']})")
    print(f"Put at:   {result['uploaded_to'] or 'no place in S3; --publish does that'}")


def interrupted_text(options: argparse.Namespace) -> str:
    if options.start or options.follow:
        return (
            "a job on AWS goes on: follow it with --follow, end it with `aws sagemaker"
            " stop-training-job --training-job-name JOB`"
        )
    return "no model was changed"


if __name__ == "__main__":
    sys.exit(main())
