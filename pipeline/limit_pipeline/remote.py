"""The pipeline on AWS: the same definition, created, started and described through the API."""

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError

from limit_pipeline.errors import PipelineError
from limit_pipeline.names import Training
from limit_pipeline.stack import Stack

# A token of the API has at least so many characters.
MIN_TOKEN = 32


class RemotePipeline:
    """The pipeline of one stack in an account."""

    def __init__(
        self, session: boto3.Session, stack: Stack, training: Training | None = None
    ) -> None:
        self.session = session
        self.client = session.client("sagemaker")
        self.stack = stack
        self.name = stack.pipeline_name
        self.training = training

    def definition(self) -> str:
        """The definition, as SageMaker reads it. It alone needs the SDK, whose import is slow."""
        from sagemaker.workflow.pipeline_context import PipelineSession

        from limit_pipeline.definition import define

        session = PipelineSession(boto_session=self.session, sagemaker_client=self.client)
        # The configuration of this machine's SDK has nothing to say here.
        session.sagemaker_config = {}
        return define(self.stack.functions, session, self.name, self.training).definition()

    def upsert(self, role: str | None) -> dict:
        """Creates the pipeline, or gives it this definition.

        The SDK's own `upsert` makes the same two calls, and reports them to its maker.
        """
        role = role or self.stack.role
        if role is None:
            raise PipelineError(
                "the stack has no role for a pipeline",
                "deploy it with --parameter Pipeline=manual, or give --role ARN",
            )
        content = {
            "PipelineName": self.name,
            "PipelineDefinition": self.definition(),
            "PipelineDescription": "The nightly credit-limit increases, one shard a night",
            "RoleArn": role,
        }
        try:
            answer = self.client.create_pipeline(**content)
        except ClientError as error:
            if "already exists" not in error.response["Error"]["Message"]:
                raise
            answer = self.client.update_pipeline(**content)
        return {"pipeline_arn": answer["PipelineArn"], "role": role}

    def start(self, parameters: dict[str, str | int | bool], token: str | None) -> dict:
        """Starts an execution. A start with the same token is the same execution."""
        given = {} if token is None else {"ClientRequestToken": token.ljust(MIN_TOKEN, "-")}
        # The API takes the values of all types as texts.
        texts = [
            {"Name": name, "Value": value if isinstance(value, str) else json.dumps(value)}
            for name, value in parameters.items()
        ]
        answer = self.client.start_pipeline_execution(
            PipelineName=self.name, PipelineParameters=texts, **given
        )
        return {"arn": answer["PipelineExecutionArn"], "status": "Executing"}

    def list(self) -> list[dict]:
        """The executions, the newest first, at most one page of them."""
        answer = self.client.list_pipeline_executions(
            PipelineName=self.name, SortBy="CreationTime", SortOrder="Descending"
        )
        return answer["PipelineExecutionSummaries"]

    def describe_pipeline(self) -> dict:
        answer = self.client.describe_pipeline(PipelineName=self.name)
        answer["PipelineDefinition"] = json.loads(answer["PipelineDefinition"])
        return without_metadata(answer)

    def describe(self, execution: str) -> dict:
        """An execution with its steps, by its id, its run's id or its ARN."""
        arn = execution
        if not execution.startswith("arn:"):
            id = execution.removeprefix("pipeline-")
            pipeline = self.client.describe_pipeline(PipelineName=self.name)["PipelineArn"]
            arn = f"{pipeline}/execution/{id}"
        try:
            described = self.client.describe_pipeline_execution(PipelineExecutionArn=arn)
            pages = self.client.get_paginator("list_pipeline_execution_steps").paginate(
                PipelineExecutionArn=arn, SortOrder="Ascending"
            )
            steps = [
                describe_step(step) for page in pages for step in page["PipelineExecutionSteps"]
            ]
        except ClientError as error:
            raise PipelineError(
                f"{arn} cannot be described: {error}", "look at: limit-increase pipeline list"
            ) from error
        return without_metadata(described) | {"steps": steps}


def describe_step(step: dict[str, Any]) -> dict[str, Any]:
    """A step of the API in the form of the local ones; what is unknown is left out."""
    function = step.get("Metadata", {}).get("Lambda", {})
    described = {
        "name": step["StepName"],
        "status": step.get("StepStatus", "Executing"),
        "started": step["StartTime"].timestamp(),
        "ended": step["EndTime"].timestamp() if "EndTime" in step else None,
        "outputs": {one["Name"]: one["Value"] for one in function.get("OutputParameters", [])},
        "failure_reason": step.get("FailureReason"),
    }
    return {name: value for name, value in described.items() if value not in (None, {})}


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
