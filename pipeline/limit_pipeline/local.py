"""Executes the pipeline on this machine with the SDK's own local mode.

The local mode has the conditions, the parameters and the references between steps, but no Lambda
step. The classes here add one, which calls the function in the local AWS. Nothing of the SDK is
patched: each class extends the SDK's own, beginning with `LocalPipeline`.

A failed step ends the execution, as it does on AWS. There EventBridge tells the ledger
(`PipelineInterrupted` in cloudformation/infrastructure.yml). Here `StatusEvents` sends the same
events to the same function.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from sagemaker.local.entities import (
    _LocalPipeline,
    _LocalPipelineExecution,
    _LocalPipelineExecutionStep,
)
from sagemaker.local.pipeline import (
    LocalPipelineExecutor,
    _StepExecutor,
    _StepExecutorFactory,
)
from sagemaker.workflow.pipeline_context import LocalPipelineSession
from sagemaker.workflow.steps import Step, StepTypeEnum

from limit_pipeline.executions import EXECUTING, ExecutionRecord, ExecutionStore
from limit_pipeline.names import ACCOUNT, REGION

# SageMaker ends a Lambda step that runs longer.
STEP_SECONDS = 600
# The longest FailureReason of a step: PipelineExecutionStep in the API.
MAX_REASON = 1_024
PYTHON_TYPES = {"String": str, "Integer": int, "Boolean": bool, "Float": (int, float)}


class LocalSession(LocalPipelineSession):
    """A session of the local mode that knows Lambda steps, and keeps what is executed."""

    def __init__(self, store: ExecutionStore, boto_session: boto3.Session) -> None:
        self.store = store
        super().__init__(boto_session=boto_session, disable_local_code=True)
        # The configuration of this machine's SDK has nothing to say here.
        self.sagemaker_config = {}

    def _initialize(self, boto_session: boto3.Session, *arguments: Any, **options: Any) -> None:
        super()._initialize(boto_session, *arguments, **options)
        # An attempt that is repeated by the client would be a second attempt of the step.
        once = Config(read_timeout=STEP_SECONDS, retries={"max_attempts": 0})
        self.lambda_client = self.boto_session.client("lambda", config=once)


class LocalPipeline(_LocalPipeline):
    """A pipeline whose executions are kept on disk."""

    def execute(self, record: ExecutionRecord, update_function: str) -> ExecutionRecord:
        """Executes the pipeline under the id of the record, and brings the record up to date."""
        execution = LocalExecution(
            execution_id=record.id,
            pipeline=self.pipeline,
            PipelineParameters=record.parameters,
            local_session=self.local_session,
        )
        execution.record = record
        execution.save()

        LocalExecutor(execution, self.local_session).execute()
        execution.save()
        if execution.failure_reason is not None:
            StatusEvents(self.local_session.lambda_client, update_function).send(record)
            execution.save()
        return record


class LocalExecution(_LocalPipelineExecution):
    """An execution that may have Lambda steps."""

    record: ExecutionRecord

    def _initialize_step_execution(self, steps: Iterable[Step]) -> None:
        steps = list(steps)
        # The list of types in the SDK's own method lacks this one.
        super()._initialize_step_execution(
            [step for step in steps if step.step_type != StepTypeEnum.LAMBDA]
        )
        for step in steps:
            if step.step_type == StepTypeEnum.LAMBDA:
                self.step_execution[step.name] = LambdaExecutionStep(
                    step.name, step.step_type, step.description, step.display_name
                )

    def mark_step_executing(self, step_name: str) -> None:
        super().mark_step_executing(step_name)
        self.save()

    def update_step_properties(self, step_name: str, step_properties: dict) -> None:
        super().update_step_properties(step_name, step_properties)
        self.save()

    def save(self) -> None:
        """Writes the execution as it is now."""
        begun = [step for step in self.step_execution.values() if step.start_time is not None]
        begun.sort(key=lambda step: step.start_time)
        self.record.status = self.status
        self.record.failure_reason = self.failure_reason
        self.record.ended = None if self.status == EXECUTING else self.last_modified_time
        self.record.steps = [describe_step(step) for step in begun]
        self.local_session.store.save(self.record)


class LambdaExecutionStep(_LocalPipelineExecutionStep):
    """A Lambda step of an execution, with what was sent to the function."""

    inputs: dict | None = None
    function_arn: str | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._step_type_to_output_format_map[StepTypeEnum.LAMBDA] = self._construct_lambda_metadata

    def _construct_lambda_metadata(self) -> dict:
        """As the API's LambdaStepMetadata."""
        outputs = self.properties["OutputParameters"]
        named = [{"Name": name, "Value": str(value)} for name, value in outputs.items()]
        return {"Lambda": {"Arn": self.function_arn, "OutputParameters": named}}


def describe_step(step: _LocalPipelineExecutionStep) -> dict:
    described = {
        "name": step.name,
        "type": step.type.value,
        "status": step.status,
        "started": step.start_time,
        "ended": step.end_time,
        "inputs": getattr(step, "inputs", None),
        "outputs": step.properties.get("OutputParameters", step.properties),
        "failure_reason": step.failure_reason,
    }
    return {name: value for name, value in described.items() if value not in (None, {})}


class LocalExecutor(LocalPipelineExecutor):
    """The local mode's executor, with our factory."""

    def __init__(self, execution: LocalExecution, session: LocalSession) -> None:
        super().__init__(execution, session)
        self._step_executor_factory = StepExecutorFactory(self)


class StepExecutorFactory(_StepExecutorFactory):
    """The local mode's factory, which gives an executor for Lambda steps too."""

    def get(self, step: Step) -> _StepExecutor:
        if step.step_type == StepTypeEnum.LAMBDA:
            return LambdaStepExecutor(self.pipeline_executor, step)
        return super().get(step)


class LambdaStepExecutor(_StepExecutor):
    """Calls the step's function once, and keeps the outputs that the step declares.

    The step is a part of the compiled definition, so the request is what AWS would get.
    """

    def execute(self) -> dict:
        executor = self.pipline_executor  # The SDK spells it so.
        inputs = executor.evaluate_step_arguments(self.step)
        running = executor.execution.step_execution[self.step.name]
        running.inputs = inputs
        running.function_arn = self.step.to_request()["FunctionArn"]
        executor.execution.save()

        answer = self.invoke(running.function_arn, inputs)
        declared = self.step.to_request()["OutputParameters"]
        return {
            "OutputParameters": {
                output["OutputName"]: self.read(output, answer) for output in declared
            }
        }

    def invoke(self, function: str, inputs: dict) -> dict:
        client = self.pipline_executor.sagemaker_session.lambda_client
        try:
            response = client.invoke(FunctionName=function, Payload=json.dumps(inputs))
        except (BotoCoreError, ClientError) as error:
            return self.fail(f"the function {function} could not be called: {error}")

        answer = json.loads(response["Payload"].read())
        if "FunctionError" in response:
            kind, message = answer.get("errorType", "Unknown"), answer.get("errorMessage", "")
            return self.fail(f"{kind}: {message}")
        return answer

    def read(self, output: dict[str, str], answer: dict) -> str | int | bool | float:
        """The value of an output; SageMaker fails a step whose answer lacks one."""
        name, expected = output["OutputName"], output["OutputType"]
        value = answer.get(name)
        # For Python a boolean is an integer too.
        is_boolean = isinstance(value, bool)
        if not isinstance(value, PYTHON_TYPES[expected]) or is_boolean != (expected == "Boolean"):
            self.fail(f"the answer's {name!r} should be of type {expected}: {value!r}")
        return value

    def fail(self, reason: str) -> dict:
        execution = self.pipline_executor.execution
        execution.update_step_failure(self.step.name, reason[:MAX_REASON])
        raise AssertionError("update_step_failure raises")


class StatusEvents:
    """Tells the ledger of executions that have failed or were stopped, as EventBridge on AWS."""

    def __init__(self, lambda_client: Any, function: str) -> None:
        self.lambda_client = lambda_client
        self.function = function

    def send_missing(self, store: ExecutionStore) -> None:
        """Sends the events of earlier executions of which the ledger does not know the end."""
        for record in store.list():
            if record.unrecorded is not None:
                record.unrecorded = None
                self.send(record)
                store.save(record)

    def send(self, record: ExecutionRecord) -> None:
        """Sends the event of the step, then that of the execution. The ledger keeps the first."""
        details = []
        for step in record.steps:
            if "failure_reason" not in step:
                continue
            details.append(
                (
                    "SageMaker Model Building Pipeline Execution Step Status Change",
                    {
                        "stepName": step["name"],
                        "stepType": step["type"],
                        "previousStepStatus": "Executing",
                        "currentStepStatus": "Failed",
                        "failureReason": step["failure_reason"],
                    },
                )
            )
        details.append(
            (
                "SageMaker Model Building Pipeline Execution Status Change",
                {
                    "previousPipelineExecutionStatus": "Executing",
                    "currentPipelineExecutionStatus": record.status,
                },
            )
        )
        for kind, detail in details:
            self.send_one(record, kind, detail)

    def send_one(self, record: ExecutionRecord, kind: str, detail: dict) -> None:
        event = {
            "version": "0",
            "id": record.id,
            "detail-type": kind,
            "source": "aws.sagemaker",
            "account": ACCOUNT,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [record.pipeline_arn, record.arn],
            "detail": {
                **detail,
                "pipelineArn": record.pipeline_arn,
                "pipelineExecutionArn": record.arn,
            },
        }
        try:
            response = self.lambda_client.invoke(
                FunctionName=self.function, Payload=json.dumps(event)
            )
        except (BotoCoreError, ClientError) as error:
            record.unrecorded = f"the ledger was not told: {error}"
            return

        if "FunctionError" in response:
            said = response["Payload"].read().decode(errors="replace")
            record.unrecorded = f"the ledger was not told: {said}"
