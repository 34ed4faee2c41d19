"""With a KMS key of the lender's own everything is encrypted with it, and without one as before."""

import re
from pathlib import Path

import pytest

KEY = {"Ref": "KmsKeyArn"}
NO_VALUE = {"Ref": "AWS::NoValue"}
AWS_GUIDE = Path(__file__).resolve().parents[2] / "docs" / "aws.md"
USE_THE_BUCKET = {
    "QueryBatchScoresRole",
    "ScoreCustomersRole",
    "EvaluateLimitIncreaseRole",
    "UpdateDatabaseRole",
    "StateMachineRole",
}


def rendered(value, has_key: bool):
    """A part of the template with the condition `HasKmsKey` decided, as CloudFormation does it."""
    if isinstance(value, list):
        items = [rendered(item, has_key) for item in value]
        return [item for item in items if item != NO_VALUE]
    if not isinstance(value, dict):
        return value
    if value.get("Fn::If", [None])[0] == "HasKmsKey":
        return rendered(value["Fn::If"][1 if has_key else 2], has_key)
    items = {key: rendered(item, has_key) for key, item in value.items()}
    return {key: item for key, item in items.items() if item != NO_VALUE}


@pytest.fixture(scope="module")
def keyed(template) -> dict:
    return rendered(template["Resources"], True)


@pytest.fixture(scope="module")
def plain(template) -> dict:
    return rendered(template["Resources"], False)


def of_type(resources: dict, kind: str) -> dict[str, dict]:
    return {name: item["Properties"] for name, item in resources.items() if item["Type"] == kind}


def only(resources: dict, kind: str) -> dict:
    (properties,) = of_type(resources, kind).values()
    return properties


def bucket_encryption(resources: dict) -> dict:
    encryption = only(resources, "AWS::S3::Bucket")["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    return rule


def key_statements(resources: dict) -> dict[str, list[dict]]:
    return {
        name: [
            statement
            for policy in role["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            if statement.get("Sid") == "UseKeyForBucket"
        ]
        for name, role in of_type(resources, "AWS::IAM::Role").items()
    }


def test_the_bucket_is_encrypted_with_the_key(keyed, plain):
    assert bucket_encryption(keyed) == {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
        "BucketKeyEnabled": True,
    }
    expected = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert bucket_encryption(plain) == expected


def test_every_log_is_encrypted_with_the_key(keyed, plain):
    for name, log in of_type(keyed, "AWS::Logs::LogGroup").items():
        assert log["KmsKeyId"] == KEY, name
    for name, log in of_type(plain, "AWS::Logs::LogGroup").items():
        assert "KmsKeyId" not in log, name


def test_the_queue_is_encrypted_with_the_key_or_by_sqs_and_never_with_both(keyed, plain):
    queue = only(keyed, "AWS::SQS::Queue")
    assert (queue["KmsMasterKeyId"], queue["SqsManagedSseEnabled"]) == (KEY, False)
    queue = only(plain, "AWS::SQS::Queue")
    assert "KmsMasterKeyId" not in queue and queue["SqsManagedSseEnabled"] is True


def test_the_topic_is_encrypted_with_the_key(keyed, plain):
    assert only(keyed, "AWS::SNS::Topic")["KmsMasterKeyId"] == KEY
    assert "KmsMasterKeyId" not in only(plain, "AWS::SNS::Topic")


def test_a_role_that_uses_the_bucket_may_use_the_key_by_way_of_s3_alone(keyed, plain):
    found = key_statements(keyed)
    assert {name for name, statements in found.items() if statements} == USE_THE_BUCKET
    for name in USE_THE_BUCKET:
        (statement,) = found[name]
        assert statement["Effect"] == "Allow", name
        assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"], name
        assert statement["Resource"] == KEY, name
        service = {"kms:ViaService": {"Fn::Sub": "s3.${AWS::Region}.${AWS::URLSuffix}"}}
        assert statement["Condition"] == {"StringEquals": service}, name
    assert not any(key_statements(plain).values())


def test_a_key_is_an_arn_or_nothing(template):
    pattern = template["Parameters"]["KmsKeyArn"]["AllowedPattern"]
    assert template["Parameters"]["KmsKeyArn"]["Default"] == ""
    arn = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
    for text, good in [("", True), (arn, True), ("alias/aws/s3", False), ("12345678", False)]:
        assert bool(re.fullmatch(pattern, text)) == good, text


def test_the_guide_names_every_service_that_the_key_s_policy_must_allow():
    guide = AWS_GUIDE.read_text(encoding="utf-8")
    for principal in (
        "logs.$REGION.amazonaws.com",
        "events.amazonaws.com",
        "cloudwatch.amazonaws.com",
    ):
        assert f'"Service": "{principal}"' in guide, principal
