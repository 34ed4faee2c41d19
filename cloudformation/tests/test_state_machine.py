"""Rules that hold for every state of the workflow."""

import json
import re
from pathlib import Path

EVENTS = Path(__file__).resolve().parents[2] / "events"

LAMBDA_ERRORS = {
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    # The function, its network or its interface is not ready. The second spelling is that of the
    # SDK for Java, which Step Functions uses.
    "Lambda.ResourceNotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.ENINotReadyException",
    "Lambda.EniNotReadyException",
    "Lambda.ENILimitReachedException",
    "Lambda.EniLimitReachedException",
    "Lambda.EC2ThrottledException",
    "Lambda.Ec2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Lambda.Ec2UnexpectedException",
    "Lambda.SubnetIPAddressLimitReachedException",
    "Lambda.SubnetIpAddressLimitReachedException",
}
# The errors of Lambda and Step Functions when a function ended without an answer.
LOST_ERRORS = {
    "States.Timeout",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
    "Lambda.Unknown",
}

# The parameter with the time-out of the function behind each substitution.
TIMEOUTS = {
    "${QueryBatchScoresArn}": "QueryBatchScoresTimeout",
    "${ScoreCustomersArn}": "ScoreCustomersTimeout",
    "${EvaluateLimitIncreaseArn}": "EvaluateLimitIncreaseTimeout",
    "${UpdateDatabaseArn}": "UpdateDatabaseTimeout",
}


def tasks(states: dict) -> dict:
    return {name: state for name, state in states.items() if state["Type"] == "Task"}


def test_the_states_have_the_names_that_operators_know(machine, states):
    assert list(machine["States"]) == [
        "QueryBatchScores",
        "AnyEligible?",
        "ProcessShards",
        "SaveResults",
        "RecordFailure",
        "FailOrResume",
    ]
    assert list(states["ProcessShards"]["ItemProcessor"]["States"]) == [
        "ScoreCustomers",
        "EvaluateLimitIncrease",
        "UpdateDatabase",
        "RecordShardFailure",
        "FailShard",
    ]


def test_every_state_says_why_it_is_there(states):
    assert [name for name, state in states.items() if not state.get("Comment")] == []


def test_every_task_outlives_its_function(template, states):
    for name, state in tasks(states).items():
        parameter = template["Parameters"][TIMEOUTS[state["Parameters"]["FunctionName"]]]
        assert state["TimeoutSeconds"] > int(parameter["MaxValue"]), name


def test_the_machine_has_a_timeout_that_fits_a_day(machine):
    assert 0 < machine["TimeoutSeconds"] < 24 * 3600


def test_every_task_retries_what_is_transient_and_nothing_else(states, failure_names):
    transient = {name for name in failure_names if name.startswith("Transient.")}
    assert transient, "no failure names found in the source"
    for name, state in tasks(states).items():
        retried = [error for retrier in state["Retry"] for error in retrier["ErrorEquals"]]
        assert len(retried) == len(set(retried)), f"{name} lists an error twice"
        # FailOrResume raises the recorded error on purpose, and that may be a transient one. It is
        # retried only if it did not answer.
        expected = LAMBDA_ERRORS | LOST_ERRORS
        assert set(retried) == expected | (set() if name == "FailOrResume" else transient), name


def test_every_retry_is_bounded_and_spread(states):
    for name, state in tasks(states).items():
        for retrier in state["Retry"]:
            assert retrier["IntervalSeconds"] > 0, name
            assert retrier["BackoffRate"] > 1, name
            assert 0 < retrier["MaxAttempts"] <= 6, name
            assert retrier["IntervalSeconds"] < retrier["MaxDelaySeconds"] <= 60, name
            assert retrier["JitterStrategy"] == "FULL", name


def test_no_retry_surrounds_a_retry(states):
    assert "Retry" not in states["ProcessShards"]


def test_a_redriven_execution_goes_on_where_the_ledger_has_gaps(states):
    last = states["FailOrResume"]
    assert states["RecordFailure"]["Next"] == "FailOrResume"
    # A redrive starts in the state that failed. A Fail state could only fail again.
    assert (last["Type"], last["Next"]) == ("Task", "QueryBatchScores")
    assert "Catch" not in last
    # It compares the count of redrives with the ledger's. Otherwise it would resume for ever after
    # one redrive.
    for name in ["QueryBatchScores", "SaveResults", "RecordFailure", "FailOrResume"]:
        payload = states[name]["Parameters"]["Payload"]
        assert payload["execution.$"] == "$$.Execution", name
    assert last["Parameters"]["Payload"]["failure.$"] == "$"
    assert states["RecordFailure"]["ResultSelector"]["Recorded"] is True
    # With the database away, RecordFailure fails. FailOrResume raises the error all the same.
    assert [catcher["Next"] for catcher in states["RecordFailure"]["Catch"]] == ["FailOrResume"]
    # After a redrive the state's input is the failure. So QueryBatchScores reads the request from
    # the execution's input.
    assert set(states["QueryBatchScores"]["Parameters"]["Payload"]) == {"execution.$"}


def test_no_path_of_the_run_ends_in_a_fail_state(machine):
    """A redrive enters a Fail state again, and it fails again, for ever."""
    assert [name for name, state in machine["States"].items() if state["Type"] == "Fail"] == []


def test_a_fail_state_never_raises_a_reserved_name(states):
    """AWS reserves the names that begin with `States.`, and a caught error may have one."""
    for name, state in states.items():
        if state["Type"] == "Fail":
            assert re.match(r"States\.Format\('(?!States\.)\w+\.\{\}', ", state["ErrorPath"]), name


def test_every_arn_has_the_partition_of_the_stack(template, machine):
    """`arn:aws:` is wrong in China and in GovCloud."""
    assert "arn:aws:" not in repr(machine)
    given = template["Resources"]["StateMachine"]["Properties"]["DefinitionSubstitutions"]
    assert given["Partition"] == {"Ref": "AWS::Partition"}


def test_the_rule_reports_every_end_without_success(template):
    event = json.loads((EVENTS / "update-database-execution-ended.json").read_text("utf-8"))
    rule = template["Resources"]["RunInterrupted"]["Properties"]
    pattern = rule["EventPattern"]
    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    assert pattern["detail"] == {
        # An execution's own ARN has no version. Its children's machine ends in "/ProcessShards".
        "stateMachineArn": [
            {"Ref": "StateMachine"},
            {"prefix": {"Fn::Sub": "${StateMachine}:"}},
        ],
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
    }
    # The function reads the event as EventBridge sends it.
    (target,) = rule["Targets"]
    assert not {"Input", "InputPath", "InputTransformer"} & set(target)


def test_an_event_that_cannot_be_recorded_is_kept(template):
    config = template["Resources"]["UpdateDatabaseEvents"]["Properties"]
    queue = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == queue
    role = template["Resources"]["UpdateDatabaseRole"]["Properties"]
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    (allowed,) = [one for one in statements if one.get("Action") == "sqs:SendMessage"]
    assert allowed["Resource"] == queue


def test_every_failure_is_caught_and_ends_in_a_failure(states):
    for name, state in states.items():
        if state["Type"] not in {"Task", "Map"} or name == "FailOrResume":
            continue
        assert [catcher["ErrorEquals"] for catcher in state["Catch"]] == [["States.ALL"]], name
        follow, seen = states[state["Catch"][-1]["Next"]], set()
        while follow["Type"] != "Fail" and follow is not states["FailOrResume"]:
            assert id(follow) not in seen, name
            seen.add(id(follow))
            follow = states[follow["Next"]]
        assert follow["Type"] == "Task" or {"ErrorPath", "CausePath"} <= follow.keys(), name


def test_the_map_lets_the_others_finish_and_keeps_its_results_out_of_the_payload(states):
    shards = states["ProcessShards"]
    # One shard of two may fail and the other finishes. A run of one shard fails with it. LocalStack
    # 4.9.2 requires the decimal point.
    assert repr(shards["ToleratedFailurePercentage"]) == "50.0"
    assert shards["ResultPath"] is None
    assert shards["ItemProcessor"]["ProcessorConfig"] == {
        "Mode": "DISTRIBUTED",
        "ExecutionType": "STANDARD",
    }
    # LocalStack 4.9.2 cannot take the bucket from the state's data.
    assert shards["ResultWriter"]["Parameters"]["Bucket"] == "${BucketName}"


def test_every_substitution_has_a_value_and_every_value_a_use(template, machine):
    used = set(re.findall(r"\$\{([^}]*)\}", repr(machine)))
    given = template["Resources"]["StateMachine"]["Properties"]["DefinitionSubstitutions"]
    assert used == set(given)


def test_the_role_names_the_map_as_the_definition_does(template, states):
    role = repr(template["Resources"]["StateMachineRole"])
    label = states["ProcessShards"]["Label"]
    assert f"execution:LimitIncreaseWorkflow${{NameSuffix}}/{label}:*" in role
