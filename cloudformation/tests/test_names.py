"""Every name has the stage's suffix, so that several stacks fit into an account."""

import re

# The property that names a resource, and the longest name that AWS takes.
NAMES = {
    "AWS::Lambda::Function": ("FunctionName", 64),
    "AWS::IAM::Role": ("RoleName", 64),
    "AWS::Events::Rule": ("Name", 64),
    "AWS::SQS::Queue": ("QueueName", 80),
    "AWS::SNS::Topic": ("TopicName", 256),
    "AWS::CloudWatch::Alarm": ("AlarmName", 255),
    "AWS::CloudWatch::Dashboard": ("DashboardName", 255),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", 80),
}
# Named by a parameter of its own, because its name is unique in the world.
BUCKET = "AWS::S3::Bucket"
# What a resource of these types is called, CloudFormation decides.
UNNAMED = {
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SNS::Subscription",
    "AWS::Lambda::Permission",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Version",
    "AWS::StepFunctions::StateMachineVersion",
    # An alias has a name within its function.
    "AWS::Lambda::Alias",
}
# The names of a stack without a suffix, which scripts, the runbook and operators use.
ESTABLISHED = {
    "QueryBatchScoresFunction": "query-batch-scores",
    "ScoreCustomersFunction": "score-customers",
    "EvaluateLimitIncreaseFunction": "evaluate-limit-increase",
    "UpdateDatabaseFunction": "update-database",
    "StateMachine": "LimitIncreaseWorkflow",
    "StateMachineRole": "LimitIncreaseStepFunctionsRole",
    "EventBridgeRole": "EventBridgeStepFunctionsInvokeRole",
    "DailySchedule": "LimitIncreaseDailySchedule",
    "RunInterrupted": "LimitIncreaseRunInterrupted",
    "PipelineSchedule": "LimitIncreasePipelineSchedule",
    "PipelineInterrupted": "LimitIncreasePipelineInterrupted",
    "DeadLetterQueue": "limit-increase-events-not-delivered",
    "AlarmTopic": "LimitIncreaseAlarms",
    "UpdateDatabaseLogs": "/aws/lambda/update-database",
    "StateMachineLogs": "/aws/vendedlogs/states/LimitIncreaseWorkflow",
}
LONGEST_SUFFIX = "-" + "a" * 10
LONGEST_REGION = "ap-southeast-1"


def rendered(value, suffix: str, region: str) -> str:
    """A name as CloudFormation renders it."""
    text, in_region = value["Fn::Sub"], ""
    if not isinstance(text, str):
        text, values = text
        separator, parts = values["InRegion"]["Fn::Join"]
        source = parts["Fn::Split"][1]["Fn::Sub"].replace("${AWS::Region}", region)
        in_region = separator.join(source.split(parts["Fn::Split"][0]))
    return text.replace("${NameSuffix}", suffix).replace("${InRegion}", in_region)


def names(template: dict, suffix: str, region: str) -> dict[str, str]:
    found = {}
    for name, item in template["Resources"].items():
        if item["Type"] in NAMES:
            value = item["Properties"][NAMES[item["Type"]][0]]
            assert isinstance(value, dict), f"{name} has one name in every stage"
            found[name] = rendered(value, suffix, region)
        else:
            assert item["Type"] in UNNAMED | {BUCKET}, f"{name}: has it a name?"
    return found


def test_two_stages_in_an_account_share_no_name(template):
    first = names(template, "", "us-east-1")
    second = names(template, "-test", "us-east-1")
    assert not set(first.values()) & set(second.values())
    assert len(set(first.values())) == len(first)


def test_two_regions_of_an_account_share_no_role(template):
    def roles(region: str) -> set[str]:
        found = names(template, "", region)
        return {
            found[name]
            for name, item in template["Resources"].items()
            if item["Type"] == "AWS::IAM::Role"
        }

    assert not roles("us-east-1") & roles("eu-west-1")
    assert not roles("eu-central-1") & roles("eu-west-1")


def test_a_suffix_cannot_be_taken_for_a_region(template):
    pattern = template["Parameters"]["NameSuffix"]["AllowedPattern"]
    for text, good in [
        ("", True),
        ("-test", True),
        (LONGEST_SUFFIX, True),
        ("test", False),
        ("-eu-west-1", False),
        ("-Test", False),
        (LONGEST_SUFFIX + "a", False),
    ]:
        assert bool(re.fullmatch(pattern, text)) == good, text


def test_the_longest_names_are_short_enough(template):
    for name, text in names(template, LONGEST_SUFFIX, LONGEST_REGION).items():
        longest = NAMES[template["Resources"][name]["Type"]][1]
        assert len(text) <= longest, text
    bucket = f"credit-scoring-models-{'1' * 12}-{LONGEST_REGION}{LONGEST_SUFFIX}"
    assert len(bucket) <= 63


def test_without_a_suffix_the_names_are_the_established_ones(template):
    assert template["Parameters"]["NameSuffix"]["Default"] == ""
    found = names(template, "", "us-east-1")
    assert {name: found[name] for name in ESTABLISHED} == ESTABLISHED


def test_what_is_named_in_an_arn_has_the_suffix_too(template):
    for text in re.findall(r"arn:\$\{AWS::Partition\}:[^']*", repr(template["Resources"])):
        service = text.split(":")[4]
        if service in {"states", "logs", "events", "cloudwatch"}:
            assert "${NameSuffix}" in text, text


def test_the_bucket_has_no_name_that_somebody_else_may_have(template):
    assert "Default" not in template["Parameters"]["BucketName"]


def test_the_metrics_of_a_stage_are_its_own(template):
    function = template["Resources"]["UpdateDatabaseFunction"]["Properties"]
    namespace = function["Environment"]["Variables"]["METRIC_NAMESPACE"]
    assert namespace == {"Fn::Sub": "LimitIncrease${NameSuffix}"}
