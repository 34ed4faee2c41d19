"""The template is created on an emulator that shares no code with LocalStack's CloudFormation.

LocalStack brings moto with it, whose CloudFormation it does not use. moto runs inside the test, so
it needs no server and no network.
"""

import io
import zipfile
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from moto.awslambda.models import Permission

ROOT = Path(__file__).resolve().parents[3]
REGION = "eu-west-1"
ARTIFACTS = "artifacts"
CODE = ("QueryBatchScores", "ScoreCustomers", "EvaluateLimitIncrease", "UpdateDatabase")
# moto creates nothing for these types, or gives it no id.
NOT_IN_MOTO = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::StepFunctions::StateMachineVersion",
}
KEY = f"arn:aws:kms:{REGION}:123456789012:key/12345678-1234-1234-1234-123456789012"


@pytest.fixture(autouse=True)
def aws(monkeypatch, no_account):
    # moto's CloudFormation has no aliases, and fails for a permission on one.
    monkeypatch.setattr(Permission, "cloudformation_type", staticmethod(lambda: ""))
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("bootstrap", "")
    return content.getvalue()


def create(name: str, region: str = REGION, **parameters: str) -> dict:
    """Creates a stack as `limit-increase deploy` does, and returns its description."""
    s3 = boto3.client("s3", region_name=region)
    bucket = f"{ARTIFACTS}-{region}"
    if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        where = {"LocationConstraint": region}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        for key, content in {
            "function.zip": archive(),
            "machine.json": (ROOT / "statemachine" / "limit-increase.asl.json").read_bytes(),
            "template.yml": (ROOT / "cloudformation" / "infrastructure.yml").read_bytes(),
        }.items():
            s3.put_object(Bucket=bucket, Key=key, Body=content)

    given = {
        "ArtifactBucket": bucket,
        "BucketName": f"{name}-models",
        "StateMachineDefinitionKey": "machine.json",
        "DeploymentId": "1",
        "DatabaseSecretArn": f"arn:aws:secretsmanager:{region}:123456789012:secret:database",
        **{f"{function}CodeKey": "function.zip" for function in CODE},
        **parameters,
    }
    cloudformation = boto3.client("cloudformation", region_name=region)
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"https://s3.{region}.amazonaws.com/{bucket}/template.yml",
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return stack


def resources(name: str, region: str = REGION) -> dict[str, str]:
    cloudformation = boto3.client("cloudformation", region_name=region)
    listed = cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]
    return {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for item in listed
        if item["ResourceType"] not in NOT_IN_MOTO and item["LogicalResourceId"]
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_template_is_created_twice_in_a_region_and_once_in_another():
    stacks = [
        create("first"),
        create("second", NameSuffix="-test"),
        create("third", region="eu-central-1"),
    ]
    assert {stack["StackStatus"] for stack in stacks} == {"CREATE_COMPLETE"}

    first, second = resources("first"), resources("second")
    assert first.keys() == second.keys() and len(first) >= 20
    assert not set(first.values()) & set(second.values())

    outputs = {item["OutputKey"]: item["OutputValue"] for item in stacks[1]["Outputs"]}
    assert outputs["StateMachineName"] == "LimitIncreaseWorkflow-test"
    assert outputs["UpdateDatabaseFunctionName"] == "update-database-test"

    roles = boto3.client("iam").list_roles()["Roles"]
    names = [role["RoleName"] for role in roles if "Increase" in role["RoleName"]]
    assert len(names) == len(set(names)) == 3 * 5
    assert "LimitIncreaseUpdateDatabaseRole-test-eu-west-1" in names


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_template_is_created_with_a_key_of_the_lender():
    assert create("keyed", KmsKeyArn=KEY)["StackStatus"] == "CREATE_COMPLETE"

    s3 = boto3.client("s3", region_name=REGION)
    found = s3.get_bucket_encryption(Bucket="keyed-models")["ServerSideEncryptionConfiguration"]
    rule = found["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    assert rule == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}

    sqs = boto3.client("sqs", region_name=REGION)
    (url,) = sqs.list_queues()["QueueUrls"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["KmsMasterKeyId"] == KEY


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_template_is_created_with_a_pipeline_instead_of_the_state_machine_at_night():
    stack = create("piped", Pipeline="scheduled")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
    role = boto3.client("iam").get_role(RoleName=outputs["PipelineRoleArn"].rsplit("/", 1)[1])
    assert role["Role"]["Arn"] == outputs["PipelineRoleArn"]

    events = boto3.client("events", region_name=REGION)
    states = {rule["Name"]: rule["State"] for rule in events.list_rules()["Rules"]}
    assert states["LimitIncreaseDailySchedule"] == "DISABLED"
    assert states["LimitIncreasePipelineSchedule"] == "ENABLED"
    assert states["LimitIncreasePipelineInterrupted"] == "ENABLED"
    (target,) = events.list_targets_by_rule(Rule="LimitIncreasePipelineSchedule")["Targets"]
    assert target["Arn"].endswith(f"pipeline/{outputs['PipelineName']}")
