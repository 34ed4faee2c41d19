"""The functions' processes, seen through LocalStack's own Lambda."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

from conftest import alive, eventually


def test_answers_and_keeps_the_environment_warm(localstack, function):
    first, second = (
        localstack.invoke(function, do="nothing"),
        localstack.invoke(function, do="nothing"),
    )
    assert not first.failed
    assert first.payload == second.payload, "the same process answers"


def test_reports_as_lambda_does(localstack, function):
    log = localstack.invoke(function, do="nothing").log
    request = re.match(r"(?s).*START RequestId: (\S+) Version: \$LATEST\n", log)[1]
    assert "doing nothing\n" in log
    assert f"END RequestId: {request}\n" in log
    duration, memory = r"Duration: [\d.]+ ms", r"Memory Size: 256 MB\tMax Memory Used: \d+ MB"
    assert re.search(rf"REPORT RequestId: {request}\t{duration}\t.*{memory}", log)


def test_init_is_reported_once(localstack):
    localstack.create_function("fresh")
    assert "Init Duration" in localstack.invoke("fresh").log
    assert "Init Duration" not in localstack.invoke("fresh").log


def test_a_function_has_the_environment_variables_of_lambda(localstack, function):
    seen = localstack.invoke(function, do="environment").payload
    environment, headers = (
        seen["environment"],
        {name.lower(): value for name, value in seen["headers"].items()},
    )
    for name, value in {
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{localstack.port}",
        "_HANDLER": "bootstrap",
        "LAMBDA_TASK_ROOT": seen["directory"],
        "TZ": "UTC",
        "COLOUR": "green",
    }.items():
        assert environment.get(name) == value, name
    assert {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_LAMBDA_LOG_STREAM_NAME",
    } <= environment.keys()
    assert environment["TMPDIR"].startswith(str(localstack.home))
    assert not {"HOME", "GATEWAY_LISTEN", "LOCALSTACK_RUNTIME_ID"} & environment.keys(), (
        "LocalStack's own"
    )
    assert headers["lambda-runtime-invoked-function-arn"].endswith(f":function:{function}")
    assert headers["lambda-runtime-trace-id"].startswith("Root=")
    left = int(headers["lambda-runtime-deadline-ms"]) / 1000 - time.time()
    assert 0 < left <= 3


def test_an_error_of_the_function_passes_through(localstack, function):
    result = localstack.invoke(function, do="error", type="Permanent.ModelCorrupt")
    assert result.failed
    assert result.payload == {"errorType": "Permanent.ModelCorrupt", "errorMessage": "as asked for"}


def test_a_crash_is_reported_and_the_next_invocation_works(localstack, function):
    for event, reason in (
        ({"do": "exit", "status": 1}, "Runtime exited with error: exit status 1"),
        ({"do": "exit", "status": 0}, "Runtime exited without providing a reason"),
        ({"do": "kill"}, "Runtime exited with error: signal: killed"),
    ):
        result = localstack.invoke(function, **event)
        assert result.failed
        assert result.payload["errorType"] == "Runtime.ExitError"
        assert re.fullmatch(rf"RequestId: \S+ Error: {reason}", result.payload["errorMessage"])
        assert f"doing {event['do']}" in result.log, "the output before the crash is kept"
        assert not localstack.invoke(function).failed


def test_a_failing_init_is_reported(localstack):
    localstack.create_function("exits", AT_INIT="exit")
    result = localstack.invoke("exits")
    assert result.payload["errorType"] == "Runtime.ExitError"
    assert result.payload["errorMessage"].endswith(
        "Error: Runtime exited with error: exit status 7"
    )
    assert "cannot start" in result.log
    localstack.create_function("refuses", AT_INIT="error")
    result = localstack.invoke("refuses")
    assert result.failed
    assert result.payload == {
        "errorType": "Permanent.Configuration",
        "errorMessage": "BUCKET is not set",
    }


def test_a_package_that_cannot_be_run_is_reported(localstack):
    localstack.create_function("unrunnable", mode=0o644)
    result = localstack.invoke("unrunnable")
    assert result.payload["errorType"] == "Runtime.InvalidEntrypoint"
    assert "permission denied" in result.payload["errorMessage"]


def test_a_time_out_kills_the_process(localstack):
    localstack.create_function("slow", timeout=1)
    pid = localstack.invoke("slow").payload["pid"]
    began = time.monotonic()
    result = localstack.invoke("slow", do="sleep", seconds=30)
    assert 1 <= time.monotonic() - began < 5
    assert result.payload["errorType"] == "Sandbox.Timedout"
    assert result.payload["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert not alive(pid)
    assert localstack.invoke("slow").payload["pid"] != pid


def test_an_answer_over_the_limit_is_an_error(localstack, function):
    assert (
        len(localstack.invoke(function, do="large", bytes=6 * 1024 * 1024).payload)
        == 6 * 1024 * 1024
    )
    result = localstack.invoke(function, do="large", bytes=7 * 1024 * 1024)
    assert result.payload["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_answer_to_another_request_is_refused(localstack, function):
    assert localstack.invoke(function, do="wrong-request").payload == {"status": 400}


def test_three_simultaneous_invocations_have_an_environment_each(localstack):
    localstack.create_function("wide")
    with ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        calls = [pool.submit(localstack.invoke, "wide", do="sleep", seconds=1) for _ in range(3)]
        pids = {call.result().payload["pid"] for call in calls}
    assert len(pids) == 3
    assert time.monotonic() - began < 2.5


def test_what_a_function_started_ends_with_it(localstack):
    localstack.create_function("parent")
    result = localstack.invoke("parent", do="child").payload
    assert alive(result["child"])
    localstack.invoke("parent", do="kill")
    eventually(lambda: not alive(result["child"]))


def test_deleting_a_function_ends_its_process(localstack):
    localstack.create_function("short-lived")
    pid = localstack.invoke("short-lived").payload["pid"]
    localstack.client("lambda").delete_function(FunctionName="short-lived")
    eventually(lambda: not alive(pid))


def test_logs_are_in_files_and_in_cloudwatch(localstack, function):
    localstack.invoke(function, do="nothing")
    files = (localstack.home / "logs" / "functions").glob(f"{function}-*.log")
    assert any("doing nothing" in file.read_text() for file in files)
    logs = localstack.client("logs")
    group = f"/aws/lambda/{function}"

    def messages() -> list[str]:
        try:
            return [
                event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]
            ]
        except logs.exceptions.ResourceNotFoundException:
            return []

    eventually(lambda: any("doing nothing" in message for message in messages()))


def test_step_functions_sees_the_error_type(localstack, function):
    machine = {
        "StartAt": "Call",
        "States": {
            "Call": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": function, "Payload.$": "$"},
                "Catch": [{"ErrorEquals": ["Transient.DatabaseUnavailable"], "Next": "Caught"}],
                "End": True,
            },
            "Caught": {"Type": "Pass", "Result": "caught", "End": True},
        },
    }
    client = localstack.client("stepfunctions")
    arn = client.create_state_machine(
        name="errors",
        definition=json.dumps(machine),
        roleArn="arn:aws:iam::000000000000:role/machine",
    )["stateMachineArn"]

    def run(**event: object) -> dict:
        execution = client.start_execution(stateMachineArn=arn, input=json.dumps(event))[
            "executionArn"
        ]
        return eventually(lambda: finished(client.describe_execution(executionArn=execution)))

    assert run(do="error", type="Transient.DatabaseUnavailable")["output"] == '"caught"'
    failed = run(do="error", type="Permanent.PolicyInvalid")
    assert (failed["status"], failed["error"]) == ("FAILED", "Permanent.PolicyInvalid")
    assert json.loads(failed["cause"])["errorMessage"] == "as asked for"
    assert run(do="exit", status=1)["error"] == "Runtime.ExitError"


def finished(execution: dict) -> dict | None:
    return execution if execution["status"] != "RUNNING" else None
