"""Every command of docs/runbook.md is run: against LocalStack, PostgreSQL and the command line.

A command that LocalStack cannot do is in NOT_IN_LOCALSTACK, and it still has to be one that the AWS
command line accepts. A text in the runbook that looks like a command and is none of the kinds here
fails the first test.
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, WaiterError

import postgres
from aws_cli import AwsCli
from conftest import HERE, SCRIPTS, eventually, free_port

ROOT = SCRIPTS.parents[1]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
STACK = "limit-increase"
BUCKET = "scoring-models"
MODEL = "models/catboost_model.tar.gz"
RUN = "nightly-1"
# LocalStack 4.9.2 does not have these operations.
NOT_IN_LOCALSTACK = (
    "aws stepfunctions redrive-execution",
    "aws cloudformation detect-stack-drift",
    "aws cloudformation describe-stack-drift-detection-status",
    "aws cloudformation describe-stack-resource-drifts",
)
NOT_IMPLEMENTED = "not (yet )?(been )?(implemented|supported)|InternalFailure"
# Texts with a space that are not commands.
NOT_COMMANDS = {'{"shard_size": 1000}'}
# Lines that functions have written in a run.
LINES = [
    json.loads(line)
    for line in (
        '{"timestamp":"2026-11-25T17:38:47.303785Z","level":"ERROR","message":"limit: must be from'
        ' 1 to 1000000000","error":"Permanent.InvalidRequest","target":'
        '"limit_increase_runtime::lambda","span":{"request_id":"b3be4d07","run_id":"nightly-1",'
        '"name":"invocation"}}',
        '{"OldestOpenRunMinutes":0.1,"OpenRuns":1,"_aws":{},"level":"INFO","message":"open runs",'
        '"run_id":"nightly-1","timestamp":"2026-11-25T17:38:47.502Z"}',
    )
]
# What makes those lines: a file, and the text in it.
SOURCES = {
    "span.run_id": ("shared/runtime/src/lambda.rs", 'info_span!("invocation", run_id'),
    "message": ("shared/runtime/src/metrics.rs", '"open runs"'),
    "level": ("shared/runtime/src/telemetry.rs", ".json()"),
}


# ---- The commands ------------------------------------------------------------------------------
def fenced(language: str) -> list[str]:
    pattern = rf"^ *```{language}\n(.*?)^ *```"
    return re.findall(pattern, RUNBOOK, re.DOTALL | re.MULTILINE)


def shell_commands() -> list[str]:
    """The commands of all blocks, each on one line and without its comment."""
    found = []
    for block in fenced("sh"):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            words = re.sub(r"\s+# .*$", "", line).strip()
            if words:
                found.append(words)
    return found


def statements() -> list[str]:
    """The SQL of all blocks."""
    text = "\n".join(re.sub(r"\s+-- .*$", "", block, flags=re.M) for block in fenced("sql"))
    return [" ".join(one.split()) for one in text.split(";") if one.strip()]


def inline() -> list[str]:
    """What is written as code within the text, and has more than one word."""
    text = re.sub(r"^ *```.*?^ *```", "", RUNBOOK, flags=re.DOTALL | re.MULTILINE)
    found = [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", text)]
    return [one for one in dict.fromkeys(found) if " " in one and one not in NOT_COMMANDS]


def kind(command: str) -> str:
    first = re.sub(r"^[A-Z]+=\$\((.*)\)$", r"\1", command).split()[0]
    if first in {"SELECT", "UPDATE", "DROP"}:
        return "sql"
    if first in {"limit-increase", "setup-db"}:
        return "cli"
    if command.startswith("aws logs tail "):
        return "logs"
    return first if first in {"aws", "psql", "shred"} else "unknown"


COMMANDS = list(dict.fromkeys([*shell_commands(), *statements(), *inline()]))


def of_kind(*kinds: str) -> list[str]:
    return [command for command in COMMANDS if kind(command) in kinds]


def test_every_command_is_of_a_kind_that_a_test_runs():
    assert len(COMMANDS) > 30
    assert of_kind("unknown") == []
    languages = re.findall(r"^ *```(\w+)$", RUNBOOK, re.MULTILINE)
    assert set(languages) == {"sh", "sql"}


# ---- The world that they are run in -------------------------------------------------------------
class Operator:
    """A shell in a directory of its own, with the runbook's variables and placeholders."""

    def __init__(self, directory: Path, server, database: str) -> None:
        self.directory = directory
        package, folder = postgres.installation()
        programs = [Path(sys.executable).parent, package / folder / "bin"]
        self.environment = {
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "HOME": str(directory),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "ADMIN_URL": database,
        }
        endpoint = f"http://127.0.0.1:{server.port}"
        self.cli = AwsCli(directory, self.environment, "--endpoint-url", endpoint)
        self.placeholders = {
            "<run>": RUN,
            "<customer>": "CUST_1",
            "<the cause>": "no features",
            # A new history has this month and the next one.
            "<month>": f"{datetime.now(UTC):%Y_%m}",
        }

    def filled(self, command: str) -> str:
        """The command with its placeholders replaced."""
        for placeholder, value in self.placeholders.items():
            command = command.replace(placeholder, value)
        assert not re.search(r"<[a-z][a-z ]*>|\s\.\.\.", command), f"a placeholder in {command}"
        return command

    def run(self, command: str, answers: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-c", self.filled(command)],
            cwd=self.directory,
            env=self.environment,
            input=answers,
            capture_output=True,
            text=True,
            timeout=60,
            # Without a terminal, psql reads the password from its input.
            start_new_session=True,
        )

    def aws(self, command: str) -> tuple[int, str, str]:
        """Runs a command of the AWS command line. The shell expands the variables.

        Returns status, output and errors.
        """
        words = self.run("aws() { printf '%s\\0' \"$@\"; }; " + command).stdout.split("\0")[:-1]
        assert words, command
        status, output, errors = self.cli.run(words)
        return status, output.strip(), errors.strip()

    def assign(self, command: str) -> None:
        """Runs `NAME=$(...)`, and keeps the variable."""
        name, inner = re.fullmatch(r"([A-Z]+)=\$\((.*)\)", command).groups()
        status, output, errors = self.aws(inner)
        assert status == 0, errors
        assert output not in {"", "None"}, f"{command} answers nothing"
        self.environment[name] = output


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The address of a PostgreSQL with the project's tables."""
    home = tmp_path_factory.mktemp("runbook-postgres")
    script = [sys.executable, str(SCRIPTS / "postgres.py")]
    data = ["--data", str(home / "data")]
    start = [*script, "start", *data, "--port", str(free_port()), "--log", str(home / "log")]
    started = subprocess.run(start, capture_output=True, text=True, timeout=120)
    assert started.returncode == 0, started.stderr
    url = json.loads(started.stdout)["url"]
    package, folder = postgres.installation()
    psql = [str(package / folder / "bin" / "psql"), "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1"]
    for migration in sorted((ROOT / "shared" / "database" / "migrations").glob("*.sql")):
        subprocess.run([*psql, "-f", str(migration), url], check=True, timeout=60)
    yield url
    subprocess.run([*script, "remove", *data], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def operator(localstack, database, tmp_path_factory) -> Operator:
    deploy(localstack)
    operator = Operator(tmp_path_factory.mktemp("operator"), localstack, database)
    assignments = [one for one in of_kind("aws") if "=$(" in one and not missing(one)]
    first = [one for one in assignments if "describe-stacks" in one]
    for command in first:
        operator.assign(command)

    s3, states = localstack.client("s3"), localstack.client("stepfunctions")
    version = s3.put_object(Bucket=BUCKET, Key=MODEL, Body=b"first")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key=MODEL, Body=b"second")
    for name in ("summary.json", "report.html"):
        s3.put_object(Bucket=BUCKET, Key=f"pipeline/results/run={RUN}/{name}", Body=b"{}")
    secret = localstack.client("secretsmanager").create_secret(Name="database", SecretString="{}")
    (operator.directory / "database-secret.json").write_text("{}")

    machine = operator.environment["MACHINE"]
    error = json.dumps({"do": "error", "type": "Permanent.Internal"})
    failed = states.start_execution(stateMachineArn=machine, name=RUN, input=error)
    sleeping = json.dumps({"do": "sleep", "seconds": 20})
    running = states.start_execution(stateMachineArn=machine, input=sleeping)["executionArn"]
    arn = failed["executionArn"]
    eventually(lambda: states.describe_execution(executionArn=arn)["status"] == "FAILED", 60)
    for command in assignments:
        operator.assign(command)
    operator.environment.setdefault("DRIFT", "11111111-2222-3333-4444-555555555555")
    operator.placeholders |= {
        "<id>": version,
        "--secret-id <arn>": f"--secret-id {secret['ARN']}",
        "--execution-arn <arn>": f"--execution-arn {running}",
        "--input '<the input of the failed run>'": f"--input '{error}'",
        "--topic-arn ...": f"--topic-arn {output(localstack, 'AlarmTopicArn')}",
        "--notification-endpoint ...": "--notification-endpoint https://127.0.0.1:1/alarms",
    }
    return operator


def deploy(server) -> None:
    """Deploys the template with functions that do what the execution's input says."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, (HERE / "function" / "bootstrap").read_bytes())
    s3 = server.client("s3")
    s3.create_bucket(Bucket="artifacts")
    template = (ROOT / "cloudformation" / "infrastructure.yml").read_bytes()
    machine = (ROOT / "statemachine" / "limit-increase.asl.json").read_bytes()
    s3.put_object(Bucket="artifacts", Key="function.zip", Body=package.getvalue())
    s3.put_object(Bucket="artifacts", Key="machine.json", Body=machine)
    s3.put_object(Bucket="artifacts", Key="template.yml", Body=template)
    codes = ("QueryBatchScores", "ScoreCustomers", "EvaluateLimitIncrease", "UpdateDatabase")
    parameters = {
        "ArtifactBucket": "artifacts",
        "BucketName": BUCKET,
        "Architecture": "x86_64",
        "StateMachineDefinitionKey": "machine.json",
        "DeploymentId": "1",
        "DatabaseUrl": "postgresql://nobody@127.0.0.1:1/nothing",
        **{f"{name}CodeKey": "function.zip" for name in codes},
    }
    cloudformation = server.client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=f"http://127.0.0.1:{server.port}/artifacts/template.yml",
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    )
    try:
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
    except WaiterError:
        events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
        reasons = [event.get("ResourceStatusReason", "") for event in events]
        pytest.fail("\n".join(filter(None, reasons)))


def output(server, name: str) -> str:
    (stack,) = server.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}[name]


def missing(command: str) -> bool:
    return any(one in command for one in NOT_IN_LOCALSTACK)


# ---- The tests ---------------------------------------------------------------------------------
@pytest.mark.parametrize("command", of_kind("aws"))
def test_a_command_of_aws_works(operator, command):
    if "=$(" in command:
        command = re.fullmatch(r"[A-Z]+=\$\((.*)\)", command)[1]
    status, _, errors = operator.aws(command)
    if missing(command):
        # The command line sent it, so it takes the options, and LocalStack refused it.
        assert re.search(NOT_IMPLEMENTED, errors), errors
    else:
        assert status == 0, errors


@pytest.mark.parametrize("command", of_kind("sql"))
def test_a_statement_is_one_that_the_tables_take(operator, command):
    done = operator.run(
        f'psql --no-psqlrc -v ON_ERROR_STOP=1 "$ADMIN_URL" -c {shlex.quote(command)}'
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", of_kind("psql"))
def test_the_password_is_asked_for(operator, command):
    done = operator.run(command, answers="secret\nsecret\n")
    assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr


@pytest.mark.parametrize("command", of_kind("shred"))
def test_the_secret_s_file_is_removed(operator, command):
    if shutil.which("shred") is None:
        pytest.fail("this machine has no `shred`, which the runbook uses (GNU coreutils)")
    (operator.directory / "database-secret.json").write_text("{}")
    assert operator.run(command).returncode == 0
    assert not (operator.directory / "database-secret.json").exists()


@pytest.mark.parametrize("command", of_kind("logs"))
def test_a_look_into_the_logs_finds_its_group_and_its_lines(localstack, operator, command):
    # Version 1 of the command line, which the local AWS has, lacks `logs tail`.
    words = shlex.split(command.replace("<function>", "update-database"))
    group, options = words[3], dict(zip(words[4::2], words[5::2], strict=True))
    assert options.keys() <= {"--since", "--filter-pattern"}
    assert re.fullmatch(r"\d+[smhdw]", options.get("--since", "1h"))
    groups = localstack.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert group in [found["logGroupName"] for found in groups]

    if pattern := options.get("--filter-pattern"):
        found = re.fullmatch(r'\{ \$\.([\w.]+) = "([^"]+)" \}', pattern)
        assert found, f"{pattern} is not a pattern that this test understands"
        field, value = found[1], found[2].replace("<run>", RUN)
        assert any(at(line, field) == value for line in LINES), "no line of a function matches"
        file, text = SOURCES[field]
        assert text in (ROOT / file).read_text(encoding="utf-8")


def at(line: dict, field: str) -> object:
    with contextlib.suppress(KeyError, TypeError):
        for name in field.split("."):
            line = line[name]
        return line
    return None


@pytest.mark.parametrize("command", of_kind("cli"))
def test_a_command_of_the_command_line_exists(command):
    words = [word for word in command.split() if word not in {"limit-increase", "--"}]
    source = (ROOT / "deploy" / "src" / "cli.rs").read_text(encoding="utf-8")
    variant = "".join(part.capitalize() for part in words[0].split("-"))
    arguments = re.search(rf"^    {variant}(?:\((\w+)\))?,$", source, re.MULTILINE)
    assert arguments, f"there is no command {words[0]}"
    fields = fields_of(arguments[1] or "", source)
    for option in (word for word in words if word.startswith("--")):
        assert option.removeprefix("--").replace("-", "_") in fields, f"there is no {option}"


def fields_of(struct: str, source: str) -> set[str]:
    """The options of a command: the fields of its arguments, and of those that are part of them."""
    body = re.search(rf"struct {struct} \{{(.*?)^\}}", source, re.DOTALL | re.MULTILINE)
    found = re.findall(r"pub\(crate\) (\w+): (\w+)", body[1] if body else "")
    parts = [fields_of(kind, source) for _, kind in found if kind.endswith("Args")]
    return {name for name, _ in found}.union(*parts)


def test_what_localstack_lacks_is_still_lacking(localstack):
    with pytest.raises(ClientError, match=NOT_IMPLEMENTED):
        localstack.client("cloudformation").detect_stack_drift(StackName=STACK)
