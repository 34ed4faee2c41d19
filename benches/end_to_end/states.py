"""A run through Step Functions, started and watched over HTTP: the AWS command line would take half a second a look."""

import json
import time
import urllib.request

from . import machine

LOOK_EVERY_SECONDS = 0.2


def run(
    environment: machine.Environment, state_machine: str, name: str, request: dict
) -> tuple[dict, float]:
    """Starts an execution and waits for its end; gives the summary, and the seconds that it took by its own dates."""
    order = {"stateMachineArn": state_machine, "name": name, "input": json.dumps(request)}
    execution = call(environment, "StartExecution", order)["executionArn"]
    while True:
        found = call(environment, "DescribeExecution", {"executionArn": execution})
        if found["status"] == "SUCCEEDED":
            return json.loads(found["output"]), found["stopDate"] - found["startDate"]
        if found["status"] != "RUNNING":
            raise SystemExit(
                f"{execution} ended as {found['status']}: {found.get('error')}: {found.get('cause')}"
            )
        time.sleep(LOOK_EVERY_SECONDS)


def call(environment: machine.Environment, action: str, document: dict) -> dict:
    # LocalStack reads the account and the service from a signature, and does not check it.
    scope = "Credential=test/20260101/us-east-1/states/aws4_request"
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"AWSStepFunctions.{action}",
        "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
    }
    order = urllib.request.Request(environment.endpoint, json.dumps(document).encode(), headers)
    with urllib.request.urlopen(order) as answer:
        return json.loads(answer.read())
