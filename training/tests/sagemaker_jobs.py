"""Jobs for the tests: requests of CreateTrainingJob on small tables, and what train.py makes."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from limit_sagemaker.job import Job
from tables import write_csv

TRAINING = Path(__file__).resolve().parents[1]
EPOCH = "1795485668"
ROLE = "arn:aws:iam::123456789012:role/Training"
SMALL = {"target": "outcome", "positive": "Decline", "iterations": "25", "depth": "4"}


def make_job(
    directory: Path, table: dict, name: str = "a-job", bucket: str = "models", **changes: str
) -> Job:
    """A job as `limit-increase train-sagemaker` describes it, with the packed trainer."""
    directory.mkdir(parents=True, exist_ok=True)
    prefix = f"s3://{bucket}/training/{name}"
    parameters = {**SMALL, "data-file": "loans.csv", **changes}
    parameters |= {
        "sagemaker_program": "sagemaker_entry.py",
        "sagemaker_submit_directory": f"{prefix}/sourcedir.tar.gz",
    }
    source = {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated"}
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "HyperParameters": {name: json.dumps(value) for name, value in parameters.items()},
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {**source, "S3Uri": f"{prefix}/data/"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"{prefix}/output/"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "Environment": {"SOURCE_DATE_EPOCH": EPOCH},
    }
    uploads = {
        f"{prefix}/sourcedir.tar.gz": pack_trainer(directory / "sourcedir.tar.gz"),
        f"{prefix}/data/loans.csv": write_csv(directory / "loans.csv", table),
    }
    destination = f"s3://{bucket}/models/catboost_model.tar.gz"
    return Job(request, uploads, directory / name, destination)


def pack_trainer(archive: Path) -> Path:
    files = [TRAINING / "sagemaker_entry.py", TRAINING / "train.py"]
    with tarfile.open(archive, "w:gz") as packed:
        for file in [*files, *TRAINING.glob("limit_training/*.py")]:
            packed.add(file, arcname=file.relative_to(TRAINING))
    return archive


def artifact_of_train_py(directory: Path, table: dict) -> bytes:
    """The artifact that `limit-increase train` makes of the same table with the same options."""
    directory.mkdir(parents=True, exist_ok=True)
    output = directory / "direct.tar.gz"
    command = [sys.executable, TRAINING / "train.py", "--quiet", f"--output={output}"]
    command += [f"--data={write_csv(directory / 'direct.csv', table)}"]
    command += [f"--{name}={value}" for name, value in SMALL.items()]
    environment = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": EPOCH}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return output.read_bytes()
