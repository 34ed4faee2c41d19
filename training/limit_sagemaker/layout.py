"""The folders and files under /opt/ml, as SageMaker makes them before it starts a container.

Source: "How Amazon SageMaker Provides Training Information" in Amazon's developer guide.
"""

import json
import shutil
from pathlib import Path

from .job import Job, name_taken_error

HOST = "algo-1"
GROUP = "homogeneousCluster"


def make(job: Job) -> Path:
    """Makes /opt/ml of a job in its directory and returns it."""
    root = job.opt_ml
    try:
        root.mkdir(parents=True)
    except FileExistsError as error:
        raise name_taken_error(job.directory) from error
    # The container's user writes into two folders that belong to the caller. Nobody else gets
    # there, because the job's own directory is closed.
    job.directory.chmod(0o700)

    config = root / "input" / "config"
    config.mkdir(parents=True)
    _write(config / "hyperparameters.json", job.request["HyperParameters"])
    _write(config / "inputdataconfig.json", channels(job.request))
    _write(config / "resourceconfig.json", resources(job.request))
    for channel in job.request["InputDataConfig"]:
        folder = root / "input" / "data" / channel["ChannelName"]
        folder.mkdir(parents=True)
        for name, file in job.channel_files(channel).items():
            shutil.copyfile(file, folder / name)

    for writable in ("model", "output", "output/data"):
        (root / writable).mkdir()
        (root / writable).chmod(0o777)
    return root


def channels(request: dict) -> dict:
    return {
        channel["ChannelName"]: {
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
            "TrainingInputMode": request["AlgorithmSpecification"]["TrainingInputMode"],
            "S3DistributionType": channel["DataSource"]["S3DataSource"]["S3DataDistributionType"],
            "RecordWrapperType": "None",
        }
        for channel in request["InputDataConfig"]
    }


def resources(request: dict) -> dict:
    machine = request["ResourceConfig"]["InstanceType"]
    group = {"instance_group_name": GROUP, "instance_type": machine, "hosts": [HOST]}
    return {
        "current_host": HOST,
        "current_instance_type": machine,
        "current_group_name": GROUP,
        "hosts": [HOST],
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


def _write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
    path.chmod(0o644)
