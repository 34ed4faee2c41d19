"""Puts a finished model where the functions read it."""

import hashlib
import json
from pathlib import Path

from limit_training import artifact
from limit_training.errors import EXIT_UNEXPECTED, TrainingError

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
    import boto3
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = destination.removeprefix("s3://").partition("/")
    # Whose credentials this machine has does not matter to the local AWS.
    session = boto3.Session("test", "test", region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=cli.local_endpoint())
    try:
        if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=bucket)
            enabled = {"Status": "Enabled"}
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
        s3.upload_file(str(path), bucket, key)
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise TrainingError(
            f"cannot put the model into the local AWS: {error}",
            where=destination,
            next_step="see whether the services run: limit-increase status",
            exit_code=EXIT_UNEXPECTED,
        ) from error
