"""A stand-in for SageMaker's training jobs, which the local AWS lacks.

It answers CreateTrainingJob and DescribeTrainingJob as the API reference says. A job really runs:
its files come from S3, its log goes to CloudWatch Logs, its model is put into S3, and all of these
are the local AWS.
"""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from limit_sagemaker import model, process
from limit_sagemaker.aws import LOG_GROUP, split
from limit_sagemaker.job import Job
from limit_sagemaker.progress import Progress

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
ROLE = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")


class SageMaker(ThreadingHTTPServer):
    """The server. `local` is the AWS beside it, and jobs run in `directory`."""

    def __init__(self, local, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.local, self.directory = local, directory
        self.jobs: dict[str, dict] = {}
        self.endpoint = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "SageMaker":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def create(self, request: dict) -> dict:
        name = request["TrainingJobName"]
        values = request["HyperParameters"].values()
        if not NAME.fullmatch(name) or not ROLE.fullmatch(request.get("RoleArn", "")):
            raise Refused("ValidationException", "the name or the role is not one")
        if any(len(value) > 2500 for value in values):
            raise Refused("ValidationException", "a hyperparameter is too long")
        if name in self.jobs:
            raise Refused("ResourceInUse", "Training job names must be unique")
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"
        self.jobs[name] = {
            **request,
            "TrainingJobArn": arn,
            "TrainingJobStatus": "InProgress",
            "CreationTime": time.time(),
            "SecondaryStatusTransitions": [],
        }
        threading.Thread(target=Run(self, name).run, daemon=True).start()
        return {"TrainingJobArn": arn}

    def describe(self, request: dict) -> dict:
        if request["TrainingJobName"] not in self.jobs:
            raise Refused("ValidationException", "Requested resource not found.")
        return self.jobs[request["TrainingJobName"]]


class Run(Progress):
    """One job: its states go into the description, and its lines into CloudWatch Logs."""

    def __init__(self, server: SageMaker, name: str) -> None:
        super().__init__(server.directory / f"{name}.log", quiet=True)
        self.server, self.name, self.described = server, name, server.jobs[name]
        self.s3, self.logs = server.local.client("s3"), server.local.client("logs")
        self.stream = f"{name}/algo-1-{int(time.time())}"

    def state(self, state: str, text: str) -> None:
        changed = {"Status": state, "StartTime": time.time(), "StatusMessage": text}
        self.described["SecondaryStatus"] = state
        self.described["SecondaryStatusTransitions"].append(changed)

    def line(self, text: str) -> None:
        place = {"logGroupName": LOG_GROUP, "logStreamName": self.stream}
        event = {"timestamp": int(time.time() * 1000), "message": text or " "}
        self.logs.put_log_events(**place, logEvents=[event])

    def run(self) -> None:
        self.state("Starting", "Preparing the instances for training")
        if not self.logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]:
            self.logs.create_log_group(logGroupName=LOG_GROUP)
        self.logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=self.stream)
        folder = self.server.directory / "instance"
        job = Job(self.described, self.download(folder), folder / self.name, "")
        ended = process.run(job, self)
        if ended.status == "Completed":
            self.state("Uploading", "Uploading generated training model")
            self.upload(model.pack_folder(job.opt_ml / "model", folder / "model.tar.gz"))
        else:
            reason = f"AlgorithmError: {ended.reason}, exit code: {ended.exit_code}"
            self.described["FailureReason"] = reason[:1024]
        self.state(ended.status, "Training job " + ended.status.lower())
        self.described["TrainingJobStatus"] = ended.status

    def download(self, folder: Path) -> dict[str, Path]:
        """Every object below the job's folder in S3: the channel and the packed trainer."""
        bucket, key = split(self.described["OutputDataConfig"]["S3OutputPath"])
        prefix = key.removesuffix("output/")
        found = {}
        for listed in self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            file = folder / listed["Key"].removeprefix(prefix)
            file.parent.mkdir(parents=True, exist_ok=True)
            self.s3.download_file(bucket, listed["Key"], str(file))
            found[f"s3://{bucket}/{listed['Key']}"] = file
        return found

    def upload(self, archive: Path) -> None:
        place = f"{self.described['OutputDataConfig']['S3OutputPath']}{self.name}/output"
        self.s3.upload_file(str(archive), *split(f"{place}/model.tar.gz"))
        self.described["ModelArtifacts"] = {"S3ModelArtifacts": f"{place}/model.tar.gz"}


class Refused(Exception):
    """An error of the API: its name and its message."""


class Handler(BaseHTTPRequestHandler):
    """The protocol JSON 1.1 of AWS."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].removeprefix("SageMaker.")
        operations = {
            "CreateTrainingJob": self.server.create,
            "DescribeTrainingJob": self.server.describe,
        }
        try:
            self.answer(200, operations[operation](request))
        except Refused as error:
            name, message = error.args
            self.answer(400, {"__type": name, "message": message})

    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing: the output of a test is for its failures."""
