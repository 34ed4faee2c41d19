"""Puts a finished model where the functions read it."""

import hashlib
import json
from pathlib import Path

from limit_training import artifact

from . import cli
from .model import Model

ARTIFACT = "catboost_model.tar.gz"


def keep(model: Model, path: Path) -> Path:
    artifact.write_whole(str(path), model.content)
    return path


def locally(model: Model, report: dict, job_directory: Path, destination: str) -> Path:
    """Makes it the model of the local environment, and uploads it to the local AWS.

    Both are needed: a run uploads the model of the home whenever the one in S3 differs. Returns the
    path in the home.
    """
    home = job_directory.parents[1] / "model"
    record = home / "training.json"
    # Until the new record is there, no record may describe the new model.
    record.unlink(missing_ok=True)
    path = keep(model, home / ARTIFACT)
    upload(path, destination)

    # `limit-increase status` shows the record. It names no inputs, so `train` trains anew.
    digest = hashlib.sha256(model.content).hexdigest()
    known = {"inputs_sha256": "", "sha256": digest, "report": report}
    artifact.write_whole(str(record), json.dumps(known, indent=2).encode())
    record.chmod(0o600)
    return path


def upload(path: Path, destination: str) -> None:
    bucket = destination.removeprefix("s3://").split("/")[0]
    buckets = json.loads(cli.awslocal("s3api", "list-buckets", "--output", "json"))["Buckets"]
    if bucket not in [found["Name"] for found in buckets]:
        cli.awslocal("s3api", "create-bucket", "--bucket", bucket)
        enabled = ("--versioning-configuration", "Status=Enabled")
        cli.awslocal("s3api", "put-bucket-versioning", "--bucket", bucket, *enabled)
    cli.awslocal("s3", "cp", "--only-show-errors", str(path), destination)
