"""The pipeline, defined with the SageMaker SDK.

It calls the four functions that the state machine calls, with the same messages in the form that a
Lambda step can carry (shared/workflow/src/pipeline.rs). One execution works on one shard.

    OneShard? ── yes ─> QueryBatchScores ─> AnyEligible? ── yes ─> SageMakerInference
        │                                        │                     EvaluateLimitIncrease
        no ─> RefuseLargeRun                     no                    UpdateDatabase
                                                 └─> SaveEmptyResults  SaveResults

If it trains, TrainModel and the registration of its model come before QueryBatchScores.

A step cannot depend on a condition, and a condition cannot be inside of another one. So AnyEligible
depends on the answer of QueryBatchScores, and each of its branches closes the run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sagemaker.lambda_helper import Lambda
from sagemaker.session import Session
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionGreaterThan, ConditionLessThanOrEqualTo
from sagemaker.workflow.entities import PipelineVariable
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join
from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.workflow.parameters import ParameterBoolean, ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.step_collections import StepCollection

from limit_pipeline.names import (
    CALLER,
    DEFAULT_DATE,
    DEFAULT_LIMIT,
    DEFAULT_POLICY,
    DEFAULT_SHARD_SIZE,
    NAME,
    RUN_PREFIX,
    Functions,
    Training,
)
from limit_pipeline.training import define_training

STRING = LambdaOutputTypeEnum.String
INTEGER = LambdaOutputTypeEnum.Integer
BOOLEAN = LambdaOutputTypeEnum.Boolean
# What each step passes on, with its type.
OPENED = {
    "run": STRING,
    "model": STRING,
    "policy": STRING,
    "shard": STRING,
    "eligible": INTEGER,
    "shard_count": INTEGER,
    "remaining": INTEGER,
}
FILE = {"file": STRING}
APPLIED = {"counts": STRING, "replayed": BOOLEAN}
SUMMARY = {
    "run_id": STRING,
    "status": STRING,
    "eligible": INTEGER,
    "approved": INTEGER,
    "declined": INTEGER,
    "referred": INTEGER,
    "stale": INTEGER,
    "total_increase": STRING,
}


@dataclass(frozen=True)
class Parameters:
    """What an execution is asked to do."""

    limit: ParameterInteger
    shard_size: ParameterInteger
    dry_run: ParameterBoolean
    as_of: ParameterString
    policy: ParameterString

    @classmethod
    def with_defaults(cls) -> "Parameters":
        return cls(
            limit=ParameterInteger("Limit", default_value=DEFAULT_LIMIT),
            shard_size=ParameterInteger("ShardSize", default_value=DEFAULT_SHARD_SIZE),
            dry_run=ParameterBoolean("DryRun", default_value=False),
            as_of=ParameterString("AsOf", default_value=DEFAULT_DATE),
            policy=ParameterString("Policy", default_value=DEFAULT_POLICY),
        )

    def all(self) -> list[PipelineVariable]:
        return [self.limit, self.shard_size, self.dry_run, self.as_of, self.policy]


def define(
    functions: Functions, session: Session, name: str = NAME, training: Training | None = None
) -> Pipeline:
    """The pipeline over these functions, which trains a model first if it is told how."""
    steps = Steps(functions, session)
    parameters = Parameters.with_defaults()
    trained = define_training(training, session) if training is not None else None
    first = [trained.train, trained.register] if trained is not None else []

    query = steps.query(parameters, after=[trained.register] if trained is not None else [])
    one_shard = ConditionStep(
        name="OneShard",
        conditions=[ConditionLessThanOrEqualTo(parameters.limit, parameters.shard_size)],
        if_steps=[*first, query],
        else_steps=[refuse_large_run(parameters)],
    )

    remaining = query.properties.Outputs["remaining"]
    any_eligible = ConditionStep(
        name="AnyEligible",
        conditions=[ConditionGreaterThan(remaining, 0)],
        if_steps=steps.shard(query),
        else_steps=[steps.finish("SaveEmptyResults", query)],
    )

    # No experiment, because a night is not one.
    return Pipeline(
        name=name,
        parameters=[*parameters.all(), *([trained.data] if trained is not None else [])],
        pipeline_experiment_config=None,
        steps=[one_shard, any_eligible],
        sagemaker_session=session,
    )


def refuse_large_run(parameters: Parameters) -> FailStep:
    """Refuses a run that needs more than one shard, before anything is opened."""
    return FailStep(
        name="RefuseLargeRun",
        error_message=Join(
            on="",
            values=[
                "Permanent.InvalidRequest: limit: ",
                parameters.limit,
                " customers do not fit into one shard of ",
                parameters.shard_size,
                ", and a pipeline works on one shard; start this run with Step Functions"
                " (limit-increase run)",
            ],
        ),
    )


class Steps:
    """Makes the steps that call a function."""

    def __init__(self, functions: Functions, session: Session) -> None:
        self.functions = functions
        self.session = session

    def query(self, parameters: Parameters, after: Sequence[StepCollection]) -> LambdaStep:
        """Opens the run: pins the model and the policy, and writes the shard."""
        execution = ExecutionVariables.PIPELINE_EXECUTION_ID
        return self.step(
            "QueryBatchScores",
            self.functions.query_batch_scores,
            {
                "run_id": Join(on="-", values=[RUN_PREFIX, execution]),
                "limit": parameters.limit,
                "shard_size": parameters.shard_size,
                "dry_run": parameters.dry_run,
                "as_of": parameters.as_of,
                "policy": parameters.policy,
            },
            OPENED,
            after,
        )

    def shard(self, query: LambdaStep) -> list[LambdaStep]:
        """The steps of the one shard, and the one that closes the run."""
        task = {name: query.properties.Outputs[name] for name in ("run", "model", "policy")}
        task["shard"] = query.properties.Outputs["shard"]

        score = self.step("SageMakerInference", self.functions.score_customers, task, FILE)
        evaluate = self.step(
            "EvaluateLimitIncrease",
            self.functions.evaluate_limit_increase,
            {**task, "scored": score.properties.Outputs["file"]},
            FILE,
        )
        update = self.step(
            "UpdateDatabase",
            self.functions.update_database,
            {
                "action": "apply_shard",
                **task,
                "evaluations": evaluate.properties.Outputs["file"],
            },
            APPLIED,
        )
        return [score, evaluate, update, self.finish("SaveResults", query, after=[update])]

    def finish(self, name: str, query: LambdaStep, after: Sequence[LambdaStep] = ()) -> LambdaStep:
        """Checks that the ledger accounts for every customer, and closes the run."""
        opened = ("run", "model", "policy", "eligible", "shard_count")
        task = {field: query.properties.Outputs[field] for field in opened}
        function = self.functions.update_database
        return self.step(name, function, {"action": "finish_run", **task}, SUMMARY, after)

    def step(
        self,
        name: str,
        function: str,
        inputs: dict,
        outputs: dict[str, LambdaOutputTypeEnum],
        after: Sequence[LambdaStep | StepCollection] = (),
    ) -> LambdaStep:
        return LambdaStep(
            name=name,
            lambda_func=Lambda(function_arn=function, session=self.session),
            inputs={"caller": CALLER, **inputs},
            outputs=[LambdaOutput(output, kind) for output, kind in outputs.items()],
            depends_on=list(after) or None,
        )
