"""Every alarm notifies somebody, reads a metric that exists, and is explained in the runbook."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
METRICS = ROOT / "shared" / "runtime" / "src" / "metrics.rs"
# The metrics of AWS that the alarms read. AWS's services write them.
FROM_AWS = {
    "AWS/States": {
        "ExecutionsFailed",
        "RedrivenExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
        "ExecutionsStarted",
        "ExecutionTime",
    },
    "AWS/Sagemaker/ModelBuildingPipeline": {
        "ExecutionStarted",
        "ExecutionFailed",
        "ExecutionStopped",
    },
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
    "AWS/Lambda": {"Errors", "Throttles"},
}
# The metrics of AWS that only the dashboard shows.
SHOWN = {"ExecutionsSucceeded", "ExecutionsRedriven"}


@pytest.fixture(scope="module")
def alarms(template) -> dict:
    return {
        item["Properties"]["AlarmName"]["Fn::Sub"].removesuffix("${NameSuffix}"): item["Properties"]
        for item in template["Resources"].values()
        if item["Type"] == "AWS::CloudWatch::Alarm"
    }


def metrics_of(alarm: dict) -> list[dict]:
    if "MetricName" in alarm:
        return [{key: alarm.get(key) for key in ("Namespace", "MetricName", "Dimensions")}]
    return [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]


def expression_of(alarm: dict) -> str:
    (expression,) = [query["Expression"] for query in alarm["Metrics"] if "Expression" in query]
    return expression["Fn::Sub"] if isinstance(expression, dict) else expression


def test_there_is_an_alarm_for_everything_that_an_operator_must_know(alarms):
    assert set(alarms) == {
        "LimitIncreaseRunFailed",
        "LimitIncreaseRunNotStarted",
        "LimitIncreasePipelineFailed",
        "LimitIncreasePipelineNotStarted",
        "LimitIncreaseEventNotDelivered",
        "LimitIncreaseEventForgotten",
        "LimitIncreaseFunctionErrors",
        "LimitIncreaseFunctionThrottled",
        "LimitIncreaseRunHangs",
        "LimitIncreaseRunTooLong",
        "LimitIncreaseReferredShareHigh",
        "LimitIncreaseApprovalShareOutsideBand",
        "LimitIncreaseScoreDrift",
        "LimitIncreaseInputDrift",
    }


def test_every_alarm_notifies_the_topic_and_points_to_the_runbook(alarms):
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
        assert "docs/runbook.md" in repr(alarm["AlarmDescription"]), name


def test_every_alarm_reads_metrics_that_somebody_writes(alarms):
    source = METRICS.read_text(encoding="utf-8")
    (namespace,) = re.findall(r'NAMESPACE: &str = "(\w+)"', source)
    ours = set(re.findall(r'\("(\w+)", "(?:Count|Percent|Seconds|None)"', source))
    assert {"Decided", "ApprovedShare", "ReferredShare", "Failures"} <= ours
    known = FROM_AWS
    for name, alarm in alarms.items():
        for metric in metrics_of(alarm):
            if isinstance(metric["Namespace"], str):
                assert metric["MetricName"] in known[metric["Namespace"]], name
                continue
            assert metric["Namespace"] == {"Fn::Sub": namespace + "${NameSuffix}"}, name
            assert metric["MetricName"] in ours, name
            # A dry run must not raise an alarm, but one that hangs must.
            dimensions = [{"Name": "Mode", "Value": "Live"}]
            if metric["MetricName"] == "OldestOpenRunMinutes":
                dimensions = None
            assert metric.get("Dimensions") == dimensions, name


def test_an_alarm_compares_one_value_with_a_number(alarms):
    for name, alarm in alarms.items():
        # LocalStack 4.9.2 accepts no parameter as a threshold, so the expressions have them.
        assert isinstance(alarm["Threshold"], int), name
        returned = [query for query in alarm.get("Metrics", []) if query.get("ReturnData", True)]
        assert len(returned) == (0 if "MetricName" in alarm else 1), name
        if "Metrics" in alarm:
            ids = {query["Id"] for query in alarm["Metrics"] if "MetricStat" in query}
            words = set(re.findall(r"\b[a-z]+\b", re.sub(r"\$\{\w+\}", "", expression_of(alarm))))
            assert words == ids, name


def test_silence_is_an_alarm_only_where_a_start_is_missing(alarms):
    silent = {name for name, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"}
    # The stack has one of the two: what the schedule starts.
    assert silent == {"LimitIncreaseRunNotStarted", "LimitIncreasePipelineNotStarted"}
    for missing in (alarms[name] for name in silent):
        assert missing["Period"] * missing["EvaluationPeriods"] == 26 * 3600
        assert "DatapointsToAlarm" not in missing, "every period counts"


def test_every_alarm_looks_no_further_back_than_cloudwatch_does(alarms):
    """AWS allows seven days with periods of an hour, and one day with shorter ones."""
    for name, alarm in alarms.items():
        periods = {query["MetricStat"]["Period"] for query in alarm.get("Metrics", [])[1:]}
        (period,) = periods or {alarm["Period"]}
        longest = 7 * 86400 if period >= 3600 else 86400
        assert period * alarm["EvaluationPeriods"] <= longest, name


def test_a_run_that_hangs_is_asked_for_until_it_ends(template, alarms):
    rule = template["Resources"]["OpenRunsReport"]["Properties"]
    (target,) = rule["Targets"]
    event = ROOT / "events" / "update-database-report-open-runs.json"
    assert json.loads(target["Input"]) == json.loads(event.read_text(encoding="utf-8"))
    assert rule["State"] == "ENABLED"
    # The alarm needs a report in each of its periods.
    assert rule["ScheduleExpression"] == "rate(15 minutes)"
    assert alarms["LimitIncreaseRunHangs"]["Metrics"][1]["MetricStat"]["Period"] == 15 * 60
    permission = template["Resources"]["OpenRunsReportPermission"]["Properties"]
    assert permission["SourceArn"] == {"Fn::GetAtt": ["OpenRunsReport", "Arn"]}


def test_errors_and_throttles_of_every_function_raise_an_alarm(template, alarms):
    functions = {
        name
        for name, item in template["Resources"].items()
        if item["Type"] == "AWS::Lambda::Function"
    }
    for name, metric in [
        ("LimitIncreaseFunctionErrors", "Errors"),
        ("LimitIncreaseFunctionThrottled", "Throttles"),
    ]:
        watched = metrics_of(alarms[name])
        assert {one["Dimensions"][0]["Value"]["Ref"] for one in watched} == functions, name
        assert {one["MetricName"] for one in watched} == {metric}, name


def test_the_dashboard_shows_metrics_that_exist_and_every_alarm(template):
    text, names = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(text)["widgets"]
    alarms = {
        name
        for name, item in template["Resources"].items()
        if item["Type"] == "AWS::CloudWatch::Alarm" and "Condition" not in item
    }
    assert set(re.findall(r"\$\{(\w+Alarm)\.Arn\}", text)) == alarms
    known = set(template["Resources"]) | set(names) | set(template["Parameters"]) | {"AWS::Region"}
    assert {name.split(".")[0] for name in re.findall(r"\$\{([^}]+)\}", text)} <= known

    source = METRICS.read_text(encoding="utf-8")
    metrics = set(re.findall(r'\("(\w+)", "(?:Count|Percent|Seconds|None)"', source)) | SHOWN
    metrics = metrics.union(*FROM_AWS.values())
    for widget in widgets[1:]:
        for metric in widget["properties"]["metrics"]:
            if metric[0] != "...":
                assert metric[1] in metrics, metric


def test_the_parameters_of_the_alarms_are_in_them(template, alarms):
    expected = {
        "LimitIncreaseRunHangs": ["RunTooLongMinutes"],
        "LimitIncreaseRunTooLong": ["RunTooLongMinutes"],
        "LimitIncreaseReferredShareHigh": [
            "ShareAlarmMinimumCustomers",
            "ReferredSharePercentHigh",
        ],
        "LimitIncreaseApprovalShareOutsideBand": [
            "ShareAlarmMinimumCustomers",
            "ApprovalSharePercentLow",
            "ApprovalSharePercentHigh",
        ],
        "LimitIncreaseScoreDrift": ["DriftRatioHigh"],
        "LimitIncreaseInputDrift": ["DriftRatioHigh"],
    }
    for name, parameters in expected.items():
        assert re.findall(r"\$\{(\w+)\}", expression_of(alarms[name])) == parameters
    parameters = template["Parameters"]
    assert (
        parameters["ApprovalSharePercentLow"]["Default"]
        < parameters["ApprovalSharePercentHigh"]["Default"]
    )
    longest = parameters["RunTooLongMinutes"]
    assert longest["Default"] < longest["MaxValue"] == 6 * 60


def test_an_address_is_subscribed_only_if_there_is_one(template):
    subscription = template["Resources"]["AlarmSubscription"]
    assert subscription["Condition"] == "HasAlarmEmail"
    assert subscription["Properties"]["Endpoint"] == {"Ref": "AlarmEmail"}
    pattern = template["Parameters"]["AlarmEmail"]["AllowedPattern"]
    for text, good in [
        ("", True),
        ("risk@bank.example", True),
        ("risk", False),
        ("a@b c.d", False),
    ]:
        assert bool(re.fullmatch(pattern, text)) == good, text
