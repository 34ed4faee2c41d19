"""The deployed stack: which functions the pipeline calls, and under which role."""

from dataclasses import dataclass

import boto3
from botocore.exceptions import ClientError

from limit_pipeline.errors import PipelineError
from limit_pipeline.names import NAME, Functions

DEFAULT_STACK = "limit-increase"
# The output of a stack without a role for the pipeline.
NO_ROLE = "none"


@dataclass(frozen=True)
class Stack:
    """What the pipeline needs to know of a stack."""

    functions: Functions
    pipeline_name: str
    # The role that the pipeline runs as; a stack with the parameter Pipeline=none has none.
    role: str | None


def find(session: boto3.Session, name: str = DEFAULT_STACK) -> Stack:
    """Reads the stack's outputs. The functions have versions, as in the state machine."""
    client = session.client("cloudformation")
    try:
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        raise PipelineError(
            f"there is no stack {name} in {session.region_name}: {error}",
            "deploy it (limit-increase deploy), or name another with --stack-name",
        ) from error

    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
    try:
        functions = Functions(
            query_batch_scores=outputs["QueryBatchScoresVersionArn"],
            score_customers=outputs["ScoreCustomersVersionArn"],
            evaluate_limit_increase=outputs["EvaluateLimitIncreaseVersionArn"],
            update_database=outputs["UpdateDatabaseVersionArn"],
        )
    except KeyError as missing:
        raise PipelineError(
            f"the stack {name} has no output {missing}; an older release has deployed it",
            "deploy it again: limit-increase deploy",
        ) from missing

    role = outputs.get("PipelineRoleArn", NO_ROLE)
    return Stack(
        functions=functions,
        pipeline_name=outputs.get("PipelineName", NAME),
        role=None if role == NO_ROLE else role,
    )
