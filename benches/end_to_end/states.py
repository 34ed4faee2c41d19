"""A run through Step Functions, started and watched over HTTP.

The AWS command line would need half a second for each look at the execution.
"""

import json
import time
import urllib.request

from . import machine

POLL_SECONDS = 0.2


def run(
    environment: machine.Environment, state_machine: str, name: str, request: dict
) -> tuple[dict, float]:
    """Starts an execution and waits for its end.

    Returns the summary, and the seconds between the start and the stop date of the execution.
    """
    start = {"stateMachineArn": state_machine, "name": name, "input": json.dumps(request)}
    execution = call(environment, "StartExecution", start)["executionArn"]

    while True:
        found = call(environment, "DescribeExecution", {"executionArn": execution})
        if found["status"] == "SUCCEEDED":
            return json.loads(found["output"]), found["stopDate"] - found["startDate"]
        if found["status"] != "RUNNING":
            reason = f"{found.get('error')}: {found.get('cause')}"
            raise SystemExit(f"{execution} ended as {found['status']}: {reason}")
        time.sleep(POLL_SECONDS)


def call(environment: machine.Environment, action: str, document: dict) -> dict:
    # LocalStack reads the account and the service from the signature. It does not check it.
    scope = "Credential=test/20260101/us-east-1/states/aws4_request"
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"AWSStepFunctions.{action}",
        "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
    }
    request = urllib.request.Request(environment.endpoint, json.dumps(document).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())
