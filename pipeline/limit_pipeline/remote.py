"""The pipeline on AWS: the same definition, created, started and described through the API."""

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError
from sagemaker.workflow.pipeline_context import PipelineSession

from limit_pipeline import SDK_CONFIG
from limit_pipeline.definition import define
from limit_pipeline.errors import PipelineError
from limit_pipeline.stack import Stack

# A token of the API has at least so many characters.
MIN_TOKEN = 32


class RemotePipeline:
    """The pipeline of one stack in an account."""

    def __init__(self, session: boto3.Session, stack: Stack) -> None:
        self.client = session.client("sagemaker")
        self.stack = stack
        self.name = stack.pipeline_name
        sagemaker_session = PipelineSession(
            boto_session=session, sagemaker_client=self.client, sagemaker_config=SDK_CONFIG
        )
        self.pipeline = define(stack.functions, sagemaker_session, self.name)

    def upsert(self, role: str | None) -> dict:
        """Creates the pipeline, or gives it this definition."""
        role = role or self.stack.role
        if role is None:
            raise PipelineError(
                "the stack has no role for a pipeline",
                "deploy it with --parameter Pipeline=manual, or give --role ARN",
            )
        answer = self.pipeline.upsert(role, "The nightly credit-limit increases, one shard a night")
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
            steps = self.client.list_pipeline_execution_steps(
                PipelineExecutionArn=arn, SortOrder="Ascending"
            )
        except ClientError as error:
            raise PipelineError(
                f"{arn} cannot be described: {error}", "look at: limit-increase pipeline list"
            ) from error
        return without_metadata(described) | {"steps": steps["PipelineExecutionSteps"]}


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
