"""A stack's principals, and a request of one of them as the simulator takes it."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from rendering import ACCOUNT, Rendering

ROOT = Path(__file__).resolve().parents[2]
CALLS = yaml.safe_load((ROOT / "cloudformation" / "calls.yml").read_text(encoding="utf-8"))
STAGES = {
    "customers": "QueryBatchScoresRole",
    "scored_customers": "ScoreCustomersRole",
    "evaluations": "EvaluateLimitIncreaseRole",
    "results": "UpdateDatabaseRole",
    "map_results": "StateMachineRole",
}
FUNCTIONS = {
    "query-batch-scores": "QueryBatchScores",
    "score-customers": "ScoreCustomers",
    "evaluate-limit-increase": "EvaluateLimitIncrease",
    "update-database": "UpdateDatabase",
}
USE_THE_DATABASE = ("query-batch-scores", "update-database")
BUCKET = "scoring-models"
# AWS's managed policies, as AWS publishes them (AWS Managed Policy Reference Guide).
MANAGED = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaENIManagementAccess": [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ]
}
OTHER_ACCOUNT = "210987654321"


@dataclass
class Request:
    """One request, and what is said about it when the verdict is not the expected one."""

    principal: str
    identity: list[dict]
    action: str
    resource: str
    context: dict = field(default_factory=dict)
    owner: str = ACCOUNT
    # Whether the policy of the resource is left out, so that the role's own must do without it.
    alone: bool = False

    def __str__(self) -> str:
        return f"{self.principal} calls {self.action} on {self.resource} with {self.context}"


class Stack:
    """The rendered template, with the policies of all its roles and resources."""

    def __init__(self, template: dict, region: str, **parameters: str) -> None:
        self.region = region
        self.secret = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:database-AbCdEf"
        codes = {f"{name}CodeKey": "function.zip" for name in FUNCTIONS.values()}
        self.rendering = Rendering(
            template,
            region,
            {
                **codes,
                "ArtifactBucket": "artifacts",
                "StateMachineDefinitionKey": "machine.json",
                "BucketName": BUCKET,
                "DeploymentId": "20261125T020000Z",
                "DatabaseSecretArn": self.secret,
                **parameters,
            },
        )
        self.parameters = parameters
        self.key = parameters.get("KmsKeyArn")
        self.queue = self.rendering.arn("DeadLetterQueue")

    # ---- Principals ----------------------------------------------------------------------------
    def role(self, name: str) -> tuple[str, list[dict]]:
        """A role's ARN and its policies."""
        properties = self.rendering.resource(name)
        policies = [policy["PolicyDocument"] for policy in properties["Policies"]]
        for arn in properties.get("ManagedPolicyArns", []):
            policies.append(policy({"Effect": "Allow", "Action": MANAGED[arn], "Resource": "*"}))
        return self.rendering.arn(name), policies

    def request(self, role: str, action: str, resource: str, **more) -> Request:
        arn, policies = self.role(role)
        return Request(arn, policies, action, resource, **more)

    # ---- What a request meets -------------------------------------------------------------------
    def simulation(self, request: Request) -> dict:
        """The request as the simulator takes it, with the policy of its resource."""
        arn = request.principal
        context = {"aws:SecureTransport": "true", "aws:ResourceAccount": request.owner}
        if arn.startswith("arn:"):
            # A role's requests come from a session, and AWS names the role in this key.
            context |= {"aws:PrincipalArn": arn, "aws:PrincipalAccount": arn.split(":")[4]}
            name = arn.rsplit("/", 1)[1]
            arn = f"arn:aws:sts::{arn.split(':')[4]}:assumed-role/{name}/session"
        return {
            "request": {
                "principal": arn,
                "action": request.action,
                "resource": {"resource": request.resource, "accountId": request.owner},
                "contextVariables": {**context, **request.context},
            },
            "identityPolicies": [
                {"name": f"policy-{number}", "policy": document}
                for number, document in enumerate(request.identity)
            ],
            "resourcePolicy": self.policy_met_by(request),
            "serviceControlPolicies": [],
            "resourceControlPolicies": [],
        }

    def policy_met_by(self, request: Request) -> dict | None:
        if request.owner != ACCOUNT:
            # Another account's bucket invites everybody.
            everything = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
            return policy(everything)
        return None if request.alone else self.resource_policy(request.resource)

    def resource_policy(self, resource: str) -> dict | None:
        if re.fullmatch(f"arn:aws:s3:::{BUCKET}(/.*)?", resource):
            return self.rendering.resource("ModelBucketPolicy")["PolicyDocument"]
        if resource == self.queue:
            return self.rendering.resource("DeadLetterQueuePolicy")["PolicyDocument"]
        if resource == self.rendering.arn("AlarmTopic"):
            return self.rendering.resource("AlarmTopicPolicy")["PolicyDocument"]
        if resource.startswith("arn:aws:kms:"):
            return self.key_policy()
        if resource == self.rendering.arn("UpdateDatabaseLive"):
            return self.function_policy()
        for name in self.rendering.of_type("AWS::IAM::Role"):
            if resource == self.rendering.arn(name):
                return self.rendering.resource(name)["AssumeRolePolicyDocument"]
        return None

    def function_policy(self) -> dict:
        """The statements that Lambda makes of the template's permissions."""
        permissions = map(
            self.rendering.resource, self.rendering.of_type("AWS::Lambda::Permission")
        )
        return policy(
            *(
                {
                    "Effect": "Allow",
                    "Principal": {"Service": permission["Principal"]},
                    "Action": permission["Action"],
                    "Resource": self.rendering.arn("UpdateDatabaseLive"),
                    "Condition": {"ArnLike": {"aws:SourceArn": permission["SourceArn"]}},
                }
                for permission in permissions
            )
        )

    def key_policy(self) -> dict:
        """The key's policy as docs/aws.md tells the lender to write it."""
        guide = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
        text = re.search(r"## Your own KMS key.*?```json\n(.*?)```", guide, re.DOTALL)[1]
        text = text.replace("$REGION", self.region).replace("$ACCOUNT", ACCOUNT)
        account = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
        return policy(account, *json.loads(text))

    # ---- The calls that are made -----------------------------------------------------------------
    def calls(self, function: str) -> list[Request]:
        """What a function calls, and what Lambda calls for it with its role."""
        name = FUNCTIONS[function]
        role = f"{name}Role"
        found = [one for call in CALLS[function] for one in self.listed_call(role, call)]
        logs = self.rendering.arn(f"{name}Logs").removesuffix("*") + "log-stream:today"
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            found.append(self.request(role, action, logs))
        for action in ("xray:PutTraceSegments", "xray:PutTelemetryRecords"):
            found.append(self.request(role, action, "*"))
        if self.parameters.get("SubnetIds") and function in USE_THE_DATABASE:
            found += self.network_interfaces(role)
        if function == "update-database":
            # What Lambda cannot deliver to the function it sends to the queue, with this role.
            found.append(self.request(role, "sqs:SendMessage", self.queue))
            found += self.use_of_the_key(role, "sqs", "kms:Decrypt", "kms:GenerateDataKey")
        return found

    def listed_call(self, role: str, call: str) -> list[Request]:
        """A line of calls.yml, and the use of the key that it means in an encrypted bucket."""
        action, _, pattern = call.partition(" ")
        if action == "secretsmanager:GetSecretValue":
            return [self.request(role, action, self.secret)]

        key = pattern.replace("*", "run=nightly-1/part-00000.parquet")
        if action == "s3:ListBucket":
            context = {"s3:prefix": key}
            return [self.request(role, action, f"arn:aws:s3:::{BUCKET}", context=context)]

        use = "kms:GenerateDataKey" if action == "s3:PutObject" else "kms:Decrypt"
        return [self.on_object(role, action, key), *self.use_of_the_key(role, "s3", use)]

    def on_object(self, role: str, action: str, key: str, **more) -> Request:
        return self.request(role, action, f"arn:aws:s3:::{BUCKET}/{key}", **more)

    def use_of_the_key(self, role: str, service: str, *actions: str) -> list[Request]:
        if self.key is None:
            return []
        context = {"kms:ViaService": f"{service}.{self.region}.amazonaws.com"}
        return [self.request(role, action, self.key, context=context) for action in actions]

    def network_interfaces(self, role: str) -> list[Request]:
        """What Lambda does with the role of a function in a VPC (Lambda's guide, "VPC")."""
        where = f"arn:aws:ec2:{self.region}:{ACCOUNT}"
        interface = f"{where}:network-interface/eni-1"
        return [
            self.request(role, "ec2:CreateNetworkInterface", f"{where}:subnet/subnet-a"),
            self.request(role, "ec2:DescribeNetworkInterfaces", "*"),
            self.request(role, "ec2:DescribeSubnets", "*"),
            self.request(role, "ec2:DeleteNetworkInterface", interface),
            self.request(role, "ec2:AssignPrivateIpAddresses", interface),
            self.request(role, "ec2:UnassignPrivateIpAddresses", interface),
        ]

    def workflow_calls(self, states: dict) -> list[Request]:
        """What Step Functions calls for the definition, with the state machine's role."""
        role = "StateMachineRole"
        machine = self.rendering.arn("StateMachine")
        substitutions = self.rendering.resource("StateMachine")["DefinitionSubstitutions"]
        found = []
        for state in states.values():
            if state["Type"] == "Task":
                assert state["Resource"].endswith(":states:::lambda:invoke")
                variable = state["Parameters"]["FunctionName"].strip("${}")
                found.append(self.request(role, "lambda:InvokeFunction", substitutions[variable]))
        (shards,) = [state for state in states.values() if state["Type"] == "Map"]
        assert shards["ItemReader"]["Resource"].endswith(":states:::s3:getObject")
        assert shards["ResultWriter"]["Resource"].endswith(":states:::s3:putObject")
        # The shard list of a run, and that of a run that is resumed (shared/workflow/src/keys.rs).
        for part in ("manifest.json", "remaining/manifest.json"):
            found.append(
                self.on_object(role, "s3:GetObject", f"pipeline/customers/run=nightly-1/{part}")
            )
        # What AWS's guide asks for, for the writer of the results and for the Map's executions.
        for action in (
            "PutObject",
            "GetObject",
            "AbortMultipartUpload",
            "ListMultipartUploadParts",
        ):
            key = "pipeline/map_results/run=nightly-1/map-1/manifest.json"
            found.append(self.on_object(role, f"s3:{action}", key))
        found += self.use_of_the_key(role, "s3", "kms:Decrypt", "kms:GenerateDataKey")

        found.append(self.request(role, "states:StartExecution", machine))
        execution = machine.replace(":stateMachine:", ":execution:")
        for action in ("DescribeExecution", "StopExecution", "RedriveExecution"):
            for name in (f"{execution}:nightly-1", f"{execution}/ProcessShards:shard-1"):
                found.append(self.request(role, f"states:{action}", name))
        without_arn = [
            *("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery"),
            *("ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies"),
            "DescribeLogGroups",
        ]
        traces = ("PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules")
        found += [self.request(role, f"logs:{action}", "*") for action in without_arn]
        found += [
            self.request(role, f"xray:{action}", "*") for action in (*traces, "GetSamplingTargets")
        ]
        return found


def policy(*statements: dict) -> dict:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def administrator(account: str = ACCOUNT) -> tuple[str, list[dict]]:
    """A role that its own policies allow everything."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return f"arn:aws:iam::{account}:role/Administrator", [policy(everything)]
