"""IAM by simulation: what the roles need is allowed, and what an attacker would try is denied.

The simulator is the npm package @cloud-copilot/iam-simulate. It judges the policies of the rendered
template as AWS documents it: the role's own, the resource's, and the conditions of both.
"""

import pytest

from rendering import ACCOUNT
from roles import (
    BUCKET,
    CALLS,
    FUNCTIONS,
    OTHER_ACCOUNT,
    STAGES,
    USE_THE_DATABASE,
    Request,
    Stack,
    administrator,
)
from simulator import simulate

KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"
PUBLISHER = f"arn:aws:iam::{ACCOUNT}:role/Publisher"
# A stack with the defaults, and one with everything that changes a policy.
STACKS = {
    "default": ("us-east-1", {}),
    "full": (
        "eu-west-1",
        {
            "NameSuffix": "-test",
            "KmsKeyArn": KEY,
            "PublisherRoleArn": PUBLISHER,
            "SubnetIds": "subnet-a,subnet-b",
            "SecurityGroupIds": "sg-a",
        },
    ),
}
ROLES = [*STAGES.values(), "EventBridgeRole"]
WRITE = ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
DENIED = ("ImplicitlyDenied", "ExplicitlyDenied")


@pytest.fixture(params=STACKS)
def stack(template, request) -> Stack:
    region, parameters = STACKS[request.param]
    return Stack(template, region, **parameters)


@pytest.fixture
def full(template) -> Stack:
    region, parameters = STACKS["full"]
    return Stack(template, region, **parameters)


def check(stack: Stack, requests: list[Request], *expected: str) -> None:
    """Every request has one of the expected verdicts."""
    assert requests
    verdicts = simulate([stack.simulation(request) for request in requests])
    wrong = [
        f"{request}: {verdict}"
        for request, verdict in zip(requests, verdicts, strict=True)
        # A key that the action does not know would be a condition that decides nothing.
        if verdict["result"] not in expected or set(verdict["ignored"]) & set(request.context)
    ]
    assert not wrong, "\n".join([f"expected {expected}, but", *wrong])


def allowed_calls(stack: Stack, role: str, states: dict) -> list[Request]:
    """All calls that are made with a role."""
    functions = {f"{name}Role": function for function, name in FUNCTIONS.items()}
    if role in functions:
        return stack.calls(functions[role])
    if role == "StateMachineRole":
        return stack.workflow_calls(states)
    machine = stack.rendering.arn("StateMachine")
    return [stack.request(role, "states:StartExecution", machine)]


# ---- What is allowed ---------------------------------------------------------------------------
@pytest.mark.parametrize("role", ROLES)
def test_every_call_of_a_run_is_allowed(stack, states, role):
    check(stack, allowed_calls(stack, role, states), "Allowed")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_allows_no_action_that_nobody_calls(stack, states, role):
    called = {request.action for request in allowed_calls(stack, role, states)}
    _, policies = stack.role(role)
    allowed = [
        action
        for document in policies
        for statement in document["Statement"]
        for action in listed(statement["Action"])
    ]
    assert set(allowed) <= called


def test_every_function_has_its_calls(template):
    names = {
        item["Properties"]["FunctionName"]["Fn::Sub"].removesuffix("${NameSuffix}")
        for item in template["Resources"].values()
        if item["Type"] == "AWS::Lambda::Function"
    }
    assert names == set(CALLS) == set(FUNCTIONS)


def test_the_services_may_do_what_the_template_asks_of_them(stack):
    check(stack, service_requests(stack, ACCOUNT, ""), "Allowed")


def test_the_publisher_writes_models_and_policies(full):
    _, everything = administrator()
    requests = [
        on_object(PUBLISHER, everything, "s3:PutObject", key)
        for key in ("models/catboost_model.tar.gz", "policies/limit-increase-policy.json")
    ]
    check(full, requests, "Allowed")


def test_people_may_read_what_a_run_has_written(stack):
    person, everything = administrator()
    keys = [*(f"pipeline/{stage}/run=a/x" for stage in STAGES), "models/a", "policies/a"]
    requests = [on_object(person, everything, "s3:GetObject", key) for key in keys]
    check(stack, requests, "Allowed")


# ---- What a role is denied ---------------------------------------------------------------------
@pytest.mark.parametrize("role", ROLES)
def test_a_step_changes_nothing_outside_its_folder_and_deletes_nothing_in_it(stack, role):
    # The bucket's policy denies most of it. Without it the role's own must not allow any of it.
    requests = [
        stack.on_object(role, action, key, alone=alone)
        for alone in (False, True)
        for key in (*(f"pipeline/{stage}/run=a/x" for stage in STAGES), "models/a", "policies/a")
        for action in (*WRITE, "s3:PutObjectAcl", "s3:PutObjectTagging", "s3:RestoreObject")
        if not (action == "s3:PutObject" and STAGES.get(key.split("/")[1]) == role)
    ]
    check(stack, requests, *DENIED)


@pytest.mark.parametrize("role", ROLES)
def test_a_step_reads_only_what_it_needs(stack, states, role):
    needed = {
        request.resource.split("/", 1)[1].rsplit("/", 1)[0].split("/run=")[0]
        for request in allowed_calls(stack, role, states)
        if request.action in {"s3:GetObject", "s3:GetObjectVersion"}
    }
    folders = {*(f"pipeline/{stage}" for stage in STAGES), "models", "policies"} - needed
    folders |= {"other", "pipeline"}
    requests = [
        stack.on_object(role, action, f"{folder}/a")
        for folder in folders
        for action in ("s3:GetObject", "s3:GetObjectVersion")
    ]
    # The state machine reads the lists of shards, and no customers.
    if role == "StateMachineRole":
        rows = "pipeline/customers/run=a/part-00000.parquet"
        requests.append(stack.on_object(role, "s3:GetObject", rows))
    check(stack, requests, *DENIED)


@pytest.mark.parametrize("role", ROLES)
def test_a_step_lists_only_the_folders_that_it_reads(stack, role):
    name = {f"{name}Role": function for function, name in FUNCTIONS.items()}.get(role)
    lines = [call.split() for call in CALLS.get(name, [])]
    may_list = {line[1] for line in lines if line[0] == "s3:ListBucket"}
    prefixes = {*(f"pipeline/{stage}/*" for stage in STAGES), "models/*", "policies/*"} - may_list
    bucket = f"arn:aws:s3:::{BUCKET}"
    requests = [
        stack.request(role, "s3:ListBucket", bucket, context={"s3:prefix": prefix.rstrip("*")})
        for prefix in (*prefixes, "", "pipeline/", "p", "other/")
    ]
    requests.append(stack.request(role, "s3:ListBucket", bucket))
    requests.append(stack.request(role, "s3:ListBucketVersions", bucket))
    check(stack, requests, *DENIED)


@pytest.mark.parametrize("role", ROLES)
def test_nothing_that_a_step_may_do_to_the_bucket_it_may_do_to_another(stack, states, role):
    on_bucket = [
        request
        for request in allowed_calls(stack, role, states)
        if request.resource.startswith(f"arn:aws:s3:::{BUCKET}")
    ]
    hostile = []
    for request in on_bucket:
        # Another bucket of the account, and a bucket of the same name in another account, which
        # took the name after this one was deleted.
        another = request.resource.replace(BUCKET, "another-bucket")
        policies, context = request.identity, request.context
        hostile.append(Request(request.principal, policies, request.action, another, context))
        hostile.append(
            Request(
                request.principal,
                policies,
                request.action,
                request.resource,
                context,
                owner=OTHER_ACCOUNT,
            )
        )
    if role == "EventBridgeRole":
        assert not hostile, "the role that starts a run has no business with the bucket"
    else:
        check(stack, hostile, *DENIED)


@pytest.mark.parametrize("role", ROLES)
def test_no_step_has_power_over_the_bucket_the_stack_or_itself(stack, role):
    bucket = f"arn:aws:s3:::{BUCKET}"
    where = f"{stack.region}:{ACCOUNT}"
    own = stack.rendering.arn(role)
    queue, machine = stack.queue, stack.rendering.arn("StateMachine")
    functions = [stack.rendering.arn(f"{name}Function") for name in FUNCTIONS.values()]
    tries = [
        ("s3:PutBucketPolicy", bucket),
        ("s3:DeleteBucketPolicy", bucket),
        ("s3:PutBucketVersioning", bucket),
        ("s3:PutLifecycleConfiguration", bucket),
        ("s3:PutReplicationConfiguration", bucket),
        ("s3:DeleteBucket", bucket),
        ("iam:PutRolePolicy", own),
        ("iam:AttachRolePolicy", own),
        ("iam:PassRole", own),
        ("states:UpdateStateMachine", machine),
        ("states:StartExecution", f"arn:aws:states:{where}:stateMachine:Another"),
        ("cloudformation:UpdateStack", f"arn:aws:cloudformation:{where}:stack/limit-increase/1"),
        ("sqs:ReceiveMessage", queue),
        ("sqs:DeleteMessage", queue),
        ("sqs:PurgeQueue", queue),
        ("sqs:SendMessage", f"arn:aws:sqs:{where}:another"),
        ("secretsmanager:PutSecretValue", stack.secret),
        ("secretsmanager:GetSecretValue", stack.secret.replace("database", "another")),
        ("logs:DeleteLogGroup", f"arn:aws:logs:{where}:log-group:/aws/lambda/update-database"),
        ("lambda:InvokeFunction", f"arn:aws:lambda:{where}:function:another"),
        *(("lambda:UpdateFunctionCode", arn) for arn in functions),
        *(("sts:AssumeRole", stack.rendering.arn(other)) for other in ROLES),
    ]
    if role != "StateMachineRole":
        names = [name for arn in functions for name in (arn, f"{arn}:1", f"{arn}:live")]
        tries += [("lambda:InvokeFunction", name) for name in names]
    if role not in {"StateMachineRole", "EventBridgeRole"}:
        tries.append(("states:StartExecution", machine))
    if role not in {f"{FUNCTIONS[function]}Role" for function in USE_THE_DATABASE}:
        tries.append(("secretsmanager:GetSecretValue", stack.secret))
    if role != "UpdateDatabaseRole":
        tries.append(("sqs:SendMessage", queue))
    for name in FUNCTIONS.values():
        if role != f"{name}Role":
            logs = stack.rendering.arn(f"{name}Logs").removesuffix("*") + "log-stream:x"
            tries.append(("logs:PutLogEvents", logs))
    check(stack, [stack.request(role, *one) for one in tries], *DENIED)


@pytest.mark.parametrize("role", ROLES)
def test_the_key_serves_the_bucket_and_the_queue_and_nothing_else(full, role):
    another = KEY.replace("12345678-", "87654321-")
    s3, uses = f"s3.{full.region}.amazonaws.com", ("kms:Decrypt", "kms:GenerateDataKey")
    tries = [(action, KEY, {}) for action in uses]
    for service in ("secretsmanager", "sqs", "lambda"):
        if (service, role) != ("sqs", "UpdateDatabaseRole"):
            via = {"kms:ViaService": f"{service}.{full.region}.amazonaws.com"}
            tries += [(action, KEY, via) for action in uses]
    tries += [(action, KEY, {"kms:ViaService": "s3.us-west-2.amazonaws.com"}) for action in uses]
    tries += [(action, another, {"kms:ViaService": s3}) for action in uses]
    tries += [
        (action, KEY, {"kms:ViaService": s3} if action == "kms:CreateGrant" else {})
        for action in ("kms:CreateGrant", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion")
    ]
    requests = [full.request(role, action, key, context=more) for action, key, more in tries]
    check(full, requests, *DENIED)


def test_without_a_secret_nobody_reads_one(template):
    url = {"DatabaseSecretArn": "", "DatabaseUrl": "postgres://user@host/database"}
    stack = Stack(template, "us-east-1", **url)
    requests = [
        stack.request(role, "secretsmanager:GetSecretValue", stack.secret) for role in ROLES
    ]
    check(stack, requests, *DENIED)


# ---- What the policies of the resources deny ----------------------------------------------------
def test_plain_http_is_denied_whoever_asks(stack, states):
    plain = {"aws:SecureTransport": "false"}
    requests = [
        Request(*one[:4], context={**one[4], **plain})
        for role in ROLES
        for one in map(parts, allowed_calls(stack, role, states))
        if one[2].startswith(("s3:", "sqs:"))
    ]
    person = administrator()
    requests.append(Request(*person, "s3:GetObject", f"arn:aws:s3:::{BUCKET}/a", plain))
    requests.append(Request(*person, "s3:ListBucket", f"arn:aws:s3:::{BUCKET}", plain))
    requests.append(Request(*person, "sqs:SendMessage", stack.queue, plain))
    topic = stack.rendering.arn("AlarmTopic")
    requests.append(Request(*person, "sns:Publish", topic, plain))
    check(stack, requests, "ExplicitlyDenied")


def test_an_administrator_cannot_change_what_a_run_has_written(stack):
    person, everything = administrator()
    requests = [
        on_object(person, everything, action, f"pipeline/{stage}/run=a/part-00000.parquet")
        for stage in STAGES
        for action in (*WRITE, "s3:ReplicateObject", "s3:ReplicateDelete")
    ]
    check(stack, requests, "ExplicitlyDenied")


def test_a_step_cannot_write_another_s_folder_even_if_its_role_is_changed(stack):
    _, everything = administrator()
    requests = [
        on_object(stack.rendering.arn(role), everything, action, f"pipeline/{stage}/run=a/x")
        for stage, writer in STAGES.items()
        for role in ROLES
        if role != writer
        for action in WRITE
    ]
    check(stack, requests, "ExplicitlyDenied")


def test_only_the_publisher_changes_models_and_policies(full):
    person, everything = administrator()
    who = [person, *(full.rendering.arn(role) for role in ROLES)]
    keys = ("models/catboost_model.tar.gz", "policies/limit-increase-policy.json")
    requests = [
        on_object(one, everything, action, key) for one in who for key in keys for action in WRITE
    ]
    requests += [
        on_object(PUBLISHER, everything, action, f"pipeline/{stage}/run=a/x")
        for stage in STAGES
        for action in WRITE
    ]
    check(full, requests, "ExplicitlyDenied")


def test_another_account_reads_and_writes_nothing(stack):
    stranger, everything = administrator(OTHER_ACCOUNT)
    requests = [
        on_object(stranger, everything, action, key)
        for action in ("s3:GetObject", "s3:GetObjectVersion", *WRITE)
        for key in (*(f"pipeline/{stage}/run=a/x" for stage in STAGES), "models/a", "policies/a")
    ]
    requests += [
        Request(stranger, everything, "s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
        Request(stranger, everything, "sqs:SendMessage", stack.queue),
        Request(stranger, everything, "sns:Publish", stack.rendering.arn("AlarmTopic")),
    ]
    check(stack, requests, *DENIED)


def test_a_service_acts_only_for_this_account_and_for_its_own_source(stack):
    hostile = service_requests(stack, OTHER_ACCOUNT, "x")
    # Lambda does not say for which account it assumes a role, so nothing can depend on that.
    hostile = [one for one in hostile if one.principal != "lambda.amazonaws.com"]
    for role in ROLES:
        arn = stack.rendering.arn(role)
        hostile.append(Request("ec2.amazonaws.com", [], "sts:AssumeRole", arn))
        for account in (ACCOUNT, OTHER_ACCOUNT):
            hostile.append(Request(*administrator(account), "sts:AssumeRole", arn))
    check(stack, hostile, *DENIED)


def service_requests(stack: Stack, account: str, wrong: str) -> list[Request]:
    """What AWS's services do for the stack, for this account and with these sources."""
    rendering, where = stack.rendering, f"{stack.region}:{account}"

    def of(service: str, action: str, resource: str, **context: str) -> Request:
        keys = {f"aws:{name[0].upper()}{name[1:]}": value for name, value in context.items()}
        return Request(f"{service}.amazonaws.com", [], action, resource, keys)

    def source(name: str) -> str:
        return rendering.arn(name) + wrong

    found = [
        of("lambda", "sts:AssumeRole", rendering.arn(f"{name}Role")) for name in FUNCTIONS.values()
    ]
    for service, role in (("states", "StateMachineRole"), ("events", "EventBridgeRole")):
        arn = rendering.arn(role)
        found.append(of(service, "sts:AssumeRole", arn, sourceAccount=account))
    for rule in ("RunInterrupted", "OpenRunsReport"):
        function = rendering.arn("UpdateDatabaseLive")
        found.append(of("events", "lambda:InvokeFunction", function, sourceArn=source(rule)))
    for rule in ("DailySchedule", "RunInterrupted"):
        found.append(of("events", "sqs:SendMessage", stack.queue, sourceArn=source(rule)))
    alarm = rendering.resource("RunFailedAlarm")["AlarmName"]
    arn = f"arn:aws:cloudwatch:{where}:alarm:{alarm}{wrong}"
    topic = rendering.arn("AlarmTopic")
    found.append(of("cloudwatch", "sns:Publish", topic, sourceAccount=account, sourceArn=arn))
    if stack.key:
        found += key_requests(stack, account, wrong)
    return found


def key_requests(stack: Stack, account: str, wrong: str) -> list[Request]:
    """How AWS's services use the key, by the policy that docs/aws.md gives it.

    CloudWatch Logs is not among them, because the simulator does not know the context key
    `kms:EncryptionContext:aws:logs:arn` that its statement depends on.
    """
    found = []
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        context = {"aws:SourceAccount": account}
        found.append(Request("cloudwatch.amazonaws.com", [], action, stack.key, context))
        # EventBridge does not say for whom it asks, so it may do so for anybody.
        if not wrong:
            found.append(Request("events.amazonaws.com", [], action, stack.key))
    return found


def on_object(principal: str, identity: list[dict], action: str, key: str) -> Request:
    return Request(principal, identity, action, f"arn:aws:s3:::{BUCKET}/{key}")


def parts(one: Request) -> tuple:
    return one.principal, one.identity, one.action, one.resource, one.context


def listed(value) -> list:
    return value if isinstance(value, list) else [value]
