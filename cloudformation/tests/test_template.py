"""Rules that hold for every role, function, log and parameter of the template."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from rendering import ACCOUNT, Rendering

# The statements whose actions have no ARN in AWS. Only these may have "*" as their resource.
WITHOUT_ARN = {
    "WriteTraces": "xray:*",
    "DeliverLogs": "logs:*",
    "SeeSubnets": "ec2:DescribeSubnets",
}
FUNCTIONS = {
    "QueryBatchScoresFunction": "query-batch-scores",
    "ScoreCustomersFunction": "score-customers",
    "EvaluateLimitIncreaseFunction": "evaluate-limit-increase",
    "UpdateDatabaseFunction": "update-database",
}
EVENTS = Path(__file__).resolve().parents[2] / "events"
STATE_MACHINE = "AWS::StepFunctions::StateMachine"
USE_THE_DATABASE = {"QueryBatchScoresFunction", "UpdateDatabaseFunction"}


def of_type(template: dict, kind: str) -> dict:
    return {name: item for name, item in template["Resources"].items() if item["Type"] == kind}


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def statements(role: dict) -> list[dict]:
    """The statements of a role, including those under a condition."""
    found = []
    for policy in role["Properties"]["Policies"]:
        found += unconditional(policy["PolicyDocument"]["Statement"])
    return found


def unconditional(items: list) -> list:
    """The items of a list, also those under a condition."""
    return [item["Fn::If"][1] if "Fn::If" in item else item for item in items]


def resources_text(statement: dict) -> str:
    return repr(statement["Resource"])


def test_no_role_may_touch_everything(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for statement in statements(role):
            actions = listed(statement["Action"])
            assert not any(action == "*" or action.endswith(":*") for action in actions), (
                name,
                statement["Sid"],
            )
            if "*" in listed(statement["Resource"]):
                pattern = WITHOUT_ARN.get(statement["Sid"])
                assert pattern, f"{name}: {statement['Sid']} has every resource"
                assert all(fnmatch(action, pattern) for action in actions), (name, statement["Sid"])


def test_no_role_reads_or_writes_a_whole_bucket(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for statement in statements(role):
            if any(
                action.startswith("s3:") and action != "s3:ListBucket"
                for action in listed(statement["Action"])
            ):
                for resource in listed(statement["Resource"]):
                    path = resource["Fn::Sub"].split("${BucketName}", 1)[1]
                    assert path.startswith(("/models/", "/policies/", "/pipeline/")), (name, path)


def test_a_secret_is_read_by_its_arn_and_by_nobody_else(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for statement in statements(role):
            for action in listed(statement["Action"]):
                if action.startswith("secretsmanager:"):
                    assert action == "secretsmanager:GetSecretValue", name
                    assert statement["Resource"] == {"Ref": "DatabaseSecretArn"}, name


def test_every_role_is_for_one_service_and_one_user(template):
    used = [
        item["Properties"]["Role"]["Fn::GetAtt"][0]
        for item in of_type(template, "AWS::Lambda::Function").values()
    ]
    used += [
        item["Properties"]["RoleArn"]["Fn::GetAtt"][0]
        for item in of_type(template, STATE_MACHINE).values()
    ]
    for rule in of_type(template, "AWS::Events::Rule").values():
        used += [
            t["RoleArn"]["Fn::GetAtt"][0] for t in rule["Properties"]["Targets"] if "RoleArn" in t
        ]
    # One of the two schedules is off: that of the state machine, or that of the pipeline.
    used.remove("EventBridgeRole")
    # The pipeline is made outside of the stack.
    used.append("PipelineRole")
    assert sorted(used) == sorted(of_type(template, "AWS::IAM::Role"))
    for name, role in of_type(template, "AWS::IAM::Role").items():
        (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Action"] == "sts:AssumeRole", name
        assert list(trust["Principal"]) == ["Service"] and isinstance(
            trust["Principal"]["Service"], str
        ), name
        if trust["Principal"]["Service"] != "lambda.amazonaws.com":
            # Without this condition, the service would act for any account. Lambda does not
            # support it.
            assert trust["Condition"] == {
                "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
            }, name


def test_the_only_managed_policy_is_the_network_interfaces_and_only_in_a_vpc(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for policy in role["Properties"].get("ManagedPolicyArns", []):
            condition, arn, otherwise = policy["Fn::If"]
            assert (condition, otherwise) == ("InVpc", {"Ref": "AWS::NoValue"}), name
            assert arn["Fn::Sub"].endswith(":policy/service-role/AWSLambdaENIManagementAccess"), (
                name
            )


def test_no_role_may_pass_on_or_change_permissions(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for statement in statements(role):
            assert (
                statement["Effect"] == "Allow"
                and not {"NotAction", "NotResource"} & statement.keys()
            ), name
            services = {action.split(":")[0] for action in listed(statement["Action"])}
            assert not services & {"iam", "sts", "organizations"}, (name, statement["Sid"])
            # test_roles.py says who may use the key, and by way of which service.
            assert "kms" not in services or statement["Sid"].startswith("UseKeyFor"), name


def test_a_resource_policy_admits_one_service_for_one_source(template):
    for name, item in template["Resources"].items():
        document = item["Properties"].get("PolicyDocument", {})
        for statement in unconditional(document.get("Statement", [])):
            if statement["Effect"] == "Allow":
                assert list(statement["Principal"]) == ["Service"], name
                assert "aws:SourceArn" in repr(statement["Condition"]), name
    for name, permission in of_type(template, "AWS::Lambda::Permission").items():
        assert permission["Properties"]["SourceArn"], name


def test_plain_http_is_refused_wherever_a_policy_can(template):
    documents = {
        name: item["Properties"]["PolicyDocument"]["Statement"]
        for name, item in template["Resources"].items()
        if "PolicyDocument" in item["Properties"]
    }
    assert set(documents) == {"ModelBucketPolicy", "DeadLetterQueuePolicy", "AlarmTopicPolicy"}
    for name, found in documents.items():
        (denied,) = [one for one in found if one.get("Sid") == "RefusePlainHttp"]
        assert denied["Effect"] == "Deny", name
        assert denied["Principal"] == "*", name
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, name
    assert documents["ModelBucketPolicy"][0]["Action"] == "s3:*"
    resources = documents["ModelBucketPolicy"][0]["Resource"]
    assert [resource["Fn::Sub"].rsplit(":", 1)[1] for resource in resources] == [
        "${BucketName}",
        "${BucketName}/*",
    ]


def test_each_step_writes_only_its_own_folder(template):
    expected = {
        "QueryBatchScoresRole": ["customers"],
        "ScoreCustomersRole": ["scored_customers"],
        "EvaluateLimitIncreaseRole": ["evaluations"],
        "UpdateDatabaseRole": ["results"],
        "StateMachineRole": ["map_results"],
        "EventBridgeRole": [],
        "PipelineRole": [],
    }
    assert set(expected) == set(of_type(template, "AWS::IAM::Role"))
    for name, folders in expected.items():
        written = [
            resource["Fn::Sub"].split("/pipeline/", 1)[1].split("/", 1)[0]
            for statement in statements(template["Resources"][name])
            if "s3:PutObject" in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        ]
        assert written == folders, name


def test_only_a_step_s_own_role_writes_its_folder_whatever_other_roles_may_do(template):
    policy = template["Resources"]["ModelBucketPolicy"]["Properties"]["PolicyDocument"]
    expected = {
        "/pipeline/customers/*": {"Fn::GetAtt": ["QueryBatchScoresRole", "Arn"]},
        "/pipeline/scored_customers/*": {"Fn::GetAtt": ["ScoreCustomersRole", "Arn"]},
        "/pipeline/evaluations/*": {"Fn::GetAtt": ["EvaluateLimitIncreaseRole", "Arn"]},
        "/pipeline/results/*": {"Fn::GetAtt": ["UpdateDatabaseRole", "Arn"]},
        "/pipeline/map_results/*": {"Fn::GetAtt": ["StateMachineRole", "Arn"]},
        "/models/*": {"Ref": "PublisherRoleArn"},
        "/policies/*": {"Ref": "PublisherRoleArn"},
    }
    writers = {}
    for statement in unconditional(policy["Statement"]):
        if "s3:PutObject" not in listed(statement["Action"]):
            continue
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*"), statement["Sid"]
        assert "s3:DeleteObject*" in statement["Action"], statement["Sid"]
        writer = statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
        for resource in listed(statement["Resource"]):
            writers[resource["Fn::Sub"].split("${BucketName}", 1)[1]] = writer
    assert writers == expected

    (publisher,) = [one["Fn::If"] for one in policy["Statement"] if "Fn::If" in one]
    assert (publisher[0], publisher[2]) == ("HasPublisher", {"Ref": "AWS::NoValue"})
    assert template["Parameters"]["PublisherRoleArn"]["Default"] == ""


def test_every_s3_statement_of_a_role_is_for_this_account_s_bucket(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for statement in statements(role):
            if any(action.startswith("s3:") for action in listed(statement["Action"])):
                assert statement["Condition"]["StringEquals"] == {
                    "aws:ResourceAccount": {"Ref": "AWS::AccountId"}
                }, (name, statement["Sid"])
    for name, item in of_type(template, "AWS::Lambda::Function").items():
        variables = item["Properties"]["Environment"]["Variables"]
        assert variables["BUCKET_OWNER"] == {"Ref": "AWS::AccountId"}, name


def test_a_role_lists_only_the_folders_whose_objects_it_reads(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        read, may_list = set(), set()
        for statement in statements(role):
            actions = listed(statement["Action"])
            if "s3:ListBucket" in actions:
                may_list |= set(statement["Condition"]["StringLike"]["s3:prefix"])
            elif "s3:GetObject" in actions:
                read |= {one["Fn::Sub"].split("/", 1)[1] for one in listed(statement["Resource"])}
        # Step Functions has no use for the difference between "missing" and "refused".
        assert may_list == (set() if name == "StateMachineRole" else read), name


def test_on_aws_nothing_is_decided_by_what_the_deployment_does_not_allow(template):
    defaults = {name: item.get("Default") for name, item in template["Parameters"].items()}
    assert defaults["AllowRequestPolicy"] == "false"
    assert (defaults["MaxLimitCeiling"], defaults["MaxGrowthCeiling"]) == ("100000.00", "1.00")
    assert defaults["ApprovedModelSha256"] == defaults["ApprovedPolicySha256"] == ""

    ceilings = {"MAX_LIMIT_CEILING": "MaxLimitCeiling", "MAX_GROWTH_CEILING": "MaxGrowthCeiling"}
    expected = {
        "QueryBatchScoresFunction": {
            "ALLOW_REQUEST_POLICY": "AllowRequestPolicy",
            "APPROVED_MODEL_SHA256": "ApprovedModelSha256",
            "APPROVED_POLICY_SHA256": "ApprovedPolicySha256",
            **ceilings,
        },
        "UpdateDatabaseFunction": ceilings,
    }
    for name, wanted in expected.items():
        variables = template["Resources"][name]["Properties"]["Environment"]["Variables"]
        for variable, parameter in wanted.items():
            assert variables[variable] == {"Ref": parameter}, (name, variable)


def test_the_share_of_unknown_categories_reaches_the_step_that_reads_the_customers(template):
    parameter = template["Parameters"]["MaxUnknownCategoryPercent"]
    assert (parameter["MinValue"], parameter["MaxValue"], parameter["Default"]) == (0, 100, 50)
    for name, item in of_type(template, "AWS::Lambda::Function").items():
        variables = item["Properties"]["Environment"]["Variables"]
        wanted = name == "QueryBatchScoresFunction"
        expected = {"Ref": "MaxUnknownCategoryPercent"} if wanted else None
        assert variables.get("MAX_UNKNOWN_CATEGORY_PERCENT") == expected, name


def test_only_a_function_that_needs_the_database_runs_in_the_vpc(template):
    for name, item in of_type(template, "AWS::Lambda::Function").items():
        role = template["Resources"][item["Properties"]["Role"]["Fn::GetAtt"][0]]
        assert ("VpcConfig" in item["Properties"]) == (name in USE_THE_DATABASE), name
        assert ("ManagedPolicyArns" in role["Properties"]) == (name in USE_THE_DATABASE), name


def test_every_folder_has_its_retention_and_keeps_the_originals_of_decisions(template):
    bucket = template["Resources"]["ModelBucket"]["Properties"]
    rules = {
        rule["Prefix"]: rule
        for rule in unconditional(bucket["LifecycleConfiguration"]["Rules"])
        if "Prefix" in rule
    }
    days = {prefix: rule["ExpirationInDays"] for prefix, rule in rules.items()}
    assert days == {
        "pipeline/customers/": {"Ref": "InputRetentionDays"},
        "pipeline/map_results/": {"Ref": "HandoffRetentionDays"},
        "pipeline/scored_customers/": {"Ref": "RecordsRetentionDays"},
        "pipeline/evaluations/": {"Ref": "RecordsRetentionDays"},
        "pipeline/results/": {"Ref": "RecordsRetentionDays"},
    }
    for prefix, rule in rules.items():
        # A redriven step reads the version that its state names, for up to 14 days.
        kept = rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        assert kept in (14, days[prefix]), prefix
    assert template["Parameters"]["RecordsRetentionDays"]["Default"] == 0
    # Regulation B keeps the inputs of a decision for 25 months.
    assert template["Parameters"]["InputRetentionDays"]["Default"] >= 25 * 31


def test_each_function_has_a_role_and_a_log_of_its_own(template):
    functions = of_type(template, "AWS::Lambda::Function")
    assert {name: item["Properties"]["FunctionName"] for name, item in functions.items()} == {
        name: {"Fn::Sub": function + "${NameSuffix}"} for name, function in FUNCTIONS.items()
    }
    roles = [item["Properties"]["Role"]["Fn::GetAtt"][0] for item in functions.values()]
    assert len(set(roles)) == len(FUNCTIONS)
    for name, item in functions.items():
        function = item["Properties"]["FunctionName"]["Fn::Sub"]
        log = item["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        assert template["Resources"][log]["Properties"]["LogGroupName"] == {
            "Fn::Sub": f"/aws/lambda/{function}"
        }
        role = template["Resources"][item["Properties"]["Role"]["Fn::GetAtt"][0]]
        logs = [statement for statement in statements(role) if statement["Sid"] == "WriteLogs"]
        assert [resources_text(s).count(f"log-group:/aws/lambda/{function}:*") for s in logs] == [
            1
        ], name


def test_only_the_two_functions_that_use_the_database_get_its_address(template):
    for name, item in of_type(template, "AWS::Lambda::Function").items():
        variables = item["Properties"]["Environment"]["Variables"]
        role = template["Resources"][item["Properties"]["Role"]["Fn::GetAtt"][0]]
        reads_secret = any(
            "secretsmanager:GetSecretValue" in listed(s["Action"]) for s in statements(role)
        )
        assert ("DATABASE_SECRET_ARN" in variables) == reads_secret == (name in USE_THE_DATABASE), (
            name
        )
        assert ("DATABASE_URL" in variables) == reads_secret, name


def test_every_function_is_built_the_same_way(template):
    for name, item in of_type(template, "AWS::Lambda::Function").items():
        properties = item["Properties"]
        assert properties["Runtime"] == "provided.al2023", name
        assert properties["Handler"] == "bootstrap", name
        assert properties["Architectures"] == [{"Ref": "Architecture"}], name
        assert properties["TracingConfig"] == {"Mode": "Active"}, name


def test_every_log_has_a_retention_period(template):
    for name, log in of_type(template, "AWS::Logs::LogGroup").items():
        assert log["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name


def test_the_bucket_is_versioned_encrypted_private_and_kept(template):
    bucket = template["Resources"]["ModelBucket"]
    # A bucket of a first creation that failed is empty, and would be in the way of the next one.
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"
    policy = template["Resources"]["ModelBucketPolicy"]
    assert policy["DeletionPolicy"] == "RetainExceptOnCreate"
    properties = bucket["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert all(properties["PublicAccessBlockConfiguration"].values())
    policy = template["Resources"]["ModelBucketPolicy"]["Properties"]["PolicyDocument"]
    denied = policy["Statement"][0]
    assert denied["Effect"] == "Deny"
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_schedule_passes_the_event_on_as_it_comes(template):
    rule = template["Resources"]["DailySchedule"]["Properties"]
    assert rule["ScheduleExpression"] == "cron(0 2 * * ? *)"
    (target,) = rule["Targets"]
    # LocalStack 4.9.2 cannot handle a target with an input of its own.
    assert not {"Input", "InputPath", "InputTransformer"} & target.keys()
    assert target["RetryPolicy"] and target["DeadLetterConfig"]


PIPELINE = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:pipeline/limit-increase-pipeline"


def pipeline_stack(template, **parameters: str) -> Rendering:
    required = {name: "x" for name, item in template["Parameters"].items() if "Default" not in item}
    return Rendering(template, "eu-west-1", {**required, **parameters})


@pytest.mark.parametrize(
    ("choice", "workflow", "pipeline", "resources"),
    [
        ("none", "ENABLED", False, set()),
        ("manual", "ENABLED", False, {"PipelineRole", "PipelineInterrupted"}),
        ("scheduled", "DISABLED", True, {"PipelineRole", "PipelineInterrupted"}),
    ],
)
def test_a_pipeline_is_off_by_default_and_runs_instead_of_the_state_machine(
    template, choice, workflow, pipeline, resources
):
    assert template["Parameters"]["Pipeline"]["Default"] == "none"
    stack = pipeline_stack(template, Pipeline=choice)
    assert stack.resource("DailySchedule")["State"] == workflow
    assert stack.exists("PipelineSchedule") == pipeline
    assert {name for name in ("PipelineRole", "PipelineInterrupted") if stack.exists(name)} == (
        resources
    )
    # A night without a start is an alarm, whichever of the two should have started.
    assert stack.exists("RunNotStartedAlarm") != pipeline
    assert stack.exists("PipelineNotStartedAlarm") == pipeline
    off = pipeline_stack(template, Pipeline=choice, ScheduleState="DISABLED")
    assert not off.exists("RunNotStartedAlarm") and not off.exists("PipelineNotStartedAlarm")

    started = [
        s["Action"]
        for s in stack.resource("EventBridgeRole")["Policies"][0]["PolicyDocument"]["Statement"]
    ]
    assert ("sagemaker:StartPipelineExecution" in started) == pipeline


def test_the_schedule_gives_the_pipeline_the_size_of_a_night(template):
    for limit, expected in (("40", "40"), ("all", 300)):
        stack = pipeline_stack(
            template, Pipeline="scheduled", NightlyLimit=limit, NightlyShardSize=300
        )
        rule = stack.resource("PipelineSchedule")
        assert rule["ScheduleExpression"] == "cron(0 2 * * ? *)"
        (target,) = rule["Targets"]
        assert target["Arn"] == PIPELINE
        assert target["RetryPolicy"] and target["DeadLetterConfig"]
        parameters = target["SageMakerPipelineParameters"]["PipelineParameterList"]
        assert {p["Name"]: p["Value"] for p in parameters} == {"Limit": expected, "ShardSize": 300}


def test_the_pipeline_s_role_calls_the_four_functions_and_nothing_else(template):
    role = pipeline_stack(template, Pipeline="manual").resource("PipelineRole")
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    names = [arn.rsplit(":", 2)[1] for arn in statement["Resource"]]
    assert names == [
        "query-batch-scores",
        "score-customers",
        "evaluate-limit-increase",
        "update-database",
    ]


def test_the_ledger_learns_of_every_end_of_the_pipeline_that_is_no_success(template):
    stack = pipeline_stack(template, Pipeline="manual")
    pattern = stack.resource("PipelineInterrupted")["EventPattern"]
    event = json.loads((EVENTS / "update-database-pipeline-step-failed.json").read_text())
    assert event["source"] in pattern["source"] and event["detail-type"] in pattern["detail-type"]
    assert pattern["detail"]["pipelineArn"] == [PIPELINE]
    assert event["detail"]["pipelineArn"].rsplit("/")[-1] == PIPELINE.rsplit("/")[-1]
    fields = {
        name: values for either in pattern["detail"]["$or"] for name, values in either.items()
    }
    assert fields == {
        "currentStepStatus": ["Failed", "Stopped"],
        "currentPipelineExecutionStatus": ["Failed", "Stopped"],
    }


def test_the_size_of_a_night_is_a_parameter(template):
    parameters = template["Parameters"]
    assert (parameters["NightlyLimit"]["Default"], parameters["NightlyShardSize"]["Default"]) == (
        "20",
        25000,
    )
    pattern = parameters["NightlyLimit"]["AllowedPattern"]
    for text, good in [("all", True), ("20", True), ("0", False), ("-1", False), ("", False)]:
        assert bool(re.fullmatch(pattern, text)) == good, text
    function = template["Resources"]["QueryBatchScoresFunction"]["Properties"]
    variables = function["Environment"]["Variables"]
    assert variables["NIGHTLY_LIMIT"] == {"Ref": "NightlyLimit"}
    assert variables["NIGHTLY_SHARD_SIZE"] == {"Ref": "NightlyShardSize"}


def test_outputs_that_operators_and_scripts_use_stay(template):
    outputs = template["Outputs"].keys()
    assert {"StateMachineArn", "StateMachineName", "EventBridgeRuleName"} <= outputs


def test_every_parameter_is_described_and_checked(template):
    for name, parameter in template["Parameters"].items():
        assert parameter.get("Description"), name
        if parameter["Type"] == "String":
            assert {"AllowedPattern", "AllowedValues"} & parameter.keys(), name
        if parameter["Type"] == "Number":
            assert "AllowedValues" in parameter or {"MinValue", "MaxValue"} <= parameter.keys(), (
                name
            )
    shown = {
        name
        for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        for name in group["Parameters"]
    }
    assert shown == set(template["Parameters"])
    assert template["Parameters"]["DatabaseUrl"]["NoEcho"] is True


def test_the_template_needs_no_aliases(template):
    # CloudFormation refuses YAML's anchors and aliases. cfn-lint and LocalStack accept them.
    text = (Path(__file__).parents[1] / "infrastructure.yml").read_text(encoding="utf-8")
    assert not re.search(r"(?:^|[-:,\[{] )[&*]\w", text, re.MULTILINE)
    # A template of more than 51,200 bytes must come from S3, as `limit-increase deploy` does it.
    assert len(text.encode()) < 1_000_000, "a template in S3 may have a megabyte"
