"""The definition, as SageMaker reads it, beside the contract of the functions."""

import json
from collections.abc import Iterator
from pathlib import Path

from sagemaker.workflow.pipeline import PipelineGraph

from conftest import FUNCTIONS
from limit_pipeline.definition import define
from limit_pipeline.options import parser, training

EVENTS = Path(__file__).resolve().parents[2] / "events"
# The steps of the one shard, in their order.
SHARD_STEPS = ["SageMakerInference", "EvaluateLimitIncrease", "UpdateDatabase", "SaveResults"]


def all_steps(steps: list[dict]) -> Iterator[dict]:
    for step in steps:
        yield step
        arguments = step.get("Arguments", {})
        yield from all_steps(arguments.get("IfSteps", []) + arguments.get("ElseSteps", []))


def named(definition: dict) -> dict[str, dict]:
    return {step["Name"]: step for step in all_steps(definition["Steps"])}


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "Get" in value:
            yield value["Get"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_the_sdk_s_graph_runs_the_steps_in_their_order(pipeline):
    graph = PipelineGraph.from_pipeline(pipeline)
    order = [step.name for step in graph]
    run = ["OneShard", "QueryBatchScores", "AnyEligible", *SHARD_STEPS]
    assert [name for name in order if name in run] == run
    edges = graph.adjacency_list
    assert set(edges["OneShard"]) == {"QueryBatchScores", "RefuseLargeRun"}
    assert set(edges["AnyEligible"]) == {*SHARD_STEPS, "SaveEmptyResults"}
    assert edges["UpdateDatabase"] == ["SaveResults"], "the run is closed after the decisions"


def test_the_steps_call_the_versions_of_the_four_functions(definition):
    calls = {
        name: step["FunctionArn"]
        for name, step in named(definition).items()
        if step["Type"] == "Lambda"
    }
    assert calls == {
        "QueryBatchScores": FUNCTIONS.query_batch_scores,
        "SageMakerInference": FUNCTIONS.score_customers,
        "EvaluateLimitIncrease": FUNCTIONS.evaluate_limit_increase,
        "UpdateDatabase": FUNCTIONS.update_database,
        "SaveResults": FUNCTIONS.update_database,
        "SaveEmptyResults": FUNCTIONS.update_database,
    }


def test_the_steps_send_the_fields_of_the_contract(definition):
    """`run` of the contract is three texts here: `run`, `model` and `policy`."""
    steps = named(definition)
    parts = {"caller", "model", "policy"}
    for name, event in {
        "SageMakerInference": "score-customers",
        "EvaluateLimitIncrease": "evaluate-limit-increase",
        "UpdateDatabase": "update-database-apply-shard",
        "SaveResults": "update-database-finish-run",
        "SaveEmptyResults": "update-database-finish-run",
    }.items():
        contract = json.loads((EVENTS / f"{event}.json").read_text())
        sent = steps[name]["Arguments"]
        assert sent.keys() == contract.keys() | parts, name
        assert sent.get("action") == contract.get("action"), name

    contract = json.loads((EVENTS / "query-batch-scores-pipeline.json").read_text())
    assert steps["QueryBatchScores"]["Arguments"].keys() == contract.keys()


def test_nothing_that_a_step_sends_or_keeps_nests(definition):
    for name, step in named(definition).items():
        if step["Type"] != "Lambda":
            continue
        for field, value in step["Arguments"].items():
            assert isinstance(value, str) or value.keys() <= {"Get", "Std:Join"}, (name, field)
        kinds = {output["OutputType"] for output in step["OutputParameters"]}
        assert kinds <= {"String", "Integer", "Boolean"}, name


def test_every_reference_is_to_an_output_or_a_parameter_that_is_declared(definition):
    declared = {f"Parameters.{parameter['Name']}" for parameter in definition["Parameters"]}
    declared.add("Execution.PipelineExecutionId")
    for name, step in named(definition).items():
        for output in step.get("OutputParameters", []):
            declared.add(f"Steps.{name}.OutputParameters['{output['OutputName']}']")
    used = set(references(definition["Steps"]))
    assert used <= declared
    assert {f"Parameters.{p['Name']}" for p in definition["Parameters"]} <= used


def test_no_condition_is_inside_of_another_and_no_step_waits_for_one(definition):
    """SageMaker refuses both."""
    conditions = [s for s in all_steps(definition["Steps"]) if s["Type"] == "Condition"]
    names = {condition["Name"] for condition in conditions}
    for condition in conditions:
        inside = condition["Arguments"]["IfSteps"] + condition["Arguments"]["ElseSteps"]
        assert not names & {step["Name"] for step in inside}
    for step in all_steps(definition["Steps"]):
        assert not names & set(step.get("DependsOn", [])), step["Name"]


def test_a_pipeline_that_trains_registers_the_model_before_it_decides(
    local_session, training_options
):
    """The model waits for a person: this execution uses the one that is published."""
    typed = parser().parse_args(["render", *training_options])
    pipeline = define(FUNCTIONS, local_session, training=training(typed))
    edges = PipelineGraph.from_pipeline(pipeline).adjacency_list
    assert edges["TrainModel"] == ["CreditModel-RegisterModel"]
    assert edges["CreditModel-RegisterModel"] == ["QueryBatchScores"]

    definition = json.loads(pipeline.definition())
    steps = named(definition)
    job = steps["TrainModel"]["Arguments"]
    # As the toolkit in the image reads them: each value is JSON.
    assert {name: json.loads(value) for name, value in job["HyperParameters"].items()} == {
        "target": "defaulted",
        "positive": "1",
        "param": ["a=1", "b=2"],
    }
    assert job["InputDataConfig"][0]["ChannelName"] == "training"
    assert job["OutputDataConfig"] == {"S3OutputPath": "s3://my-models/training/"}
    assert job["RoleArn"].endswith("role/Training")

    package = steps["CreditModel-RegisterModel"]["Arguments"]
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["ModelPackageGroupName"] == "limit-increase-models"
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == {"Get": "Steps.TrainModel.ModelArtifacts.S3ModelArtifacts"}
    (data,) = [p for p in definition["Parameters"] if p["Name"] == "TrainingData"]
    assert data["DefaultValue"] == "s3://my-models/training/loans.csv"
    # Nothing that a function is sent depends on the model that was trained.
    for name in ("QueryBatchScores", *SHARD_STEPS):
        assert not any("TrainModel" in one for one in references(steps[name]["Arguments"])), name


def test_the_parameters_have_the_defaults_of_a_request(definition):
    assert {p["Name"]: (p["Type"], p["DefaultValue"]) for p in definition["Parameters"]} == {
        "Limit": ("Integer", 20),
        "ShardSize": ("Integer", 25_000),
        "DryRun": ("Boolean", False),
        "AsOf": ("String", "today"),
        "Policy": ("String", "in force"),
    }
