"""docs/aws.md is walked: its commands run in their order against LocalStack, in one shell.

What LocalStack cannot do is in NOT_HERE, with the reason.
"""

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from aws_cli import FUNCTION, AwsCli, brief_waits, served  # noqa: F401
from conftest import HERE, SCRIPTS
from test_runbook import fields_of

ROOT = SCRIPTS.parents[1]
REGION = "eu-west-1"
GUIDE = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
# The beginning of a command, and why it is not run here.
NOT_HERE = {
    "cargo lambda build": "tests/arm64/run.py builds the functions",
    "cargo limit-increase deploy": "the suite command_line deploys",
    "limit-increase ": "the suite command_line runs it; here its options are checked",
    "make train-sagemaker": "tests/train_sagemaker starts a job on a stand-in",
    "psql ": "every suite with roles applies grants.sql",
    "aws stepfunctions list-executions --map-run-arn": "the functions here run no Map",
    "aws stepfunctions describe-state-machine --state-machine-arn $MACHINE:3": "no versions there",
    "aws stepfunctions start-execution --state-machine-arn $MACHINE:3": "no versions there",
    "aws cloudformation delete-stack": "4.9.2 cannot: it joins no list of subnets",
}
FUNCTIONS = (
    "query-batch-scores",
    "score-customers",
    "evaluate-limit-increase",
    "update-database",
)


def blocks() -> list[str]:
    """The shell blocks, each command on one line and without its comment."""
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", GUIDE, re.DOTALL | re.MULTILINE)
    texts = [re.sub(r"\\\n\s*", "", block) for _, block in found]
    return [re.sub(r"\s+# .*$", "", text, flags=re.MULTILINE) for text in texts]


def is_left_out(line: str) -> bool:
    return any(line.strip().startswith(beginning) for beginning in NOT_HERE)


def commands() -> list[str]:
    """The lines to run: those of the blocks, and then those within the text."""
    lines = [line for block in blocks() for line in block.splitlines() if not is_left_out(line)]
    # Step 3 says when to invoke the function: after step 4.
    later = [line for line in lines if line.strip().startswith("aws lambda invoke")]
    lines = [line for line in lines if line not in later]
    at = next(i for i, line in enumerate(lines) if line.startswith("aws cloudformation deploy"))
    text = re.sub(r"^ *```.*?^ *```", "", GUIDE, flags=re.DOTALL | re.MULTILINE)
    inline = [" ".join(one.split()) for one in re.findall(r"`(aws cloudformation [^`]+)`", text)]
    inline = [line for line in inline if not is_left_out(line)]
    return [*lines[: at + 1], *later, *lines[at + 1 :], *inline]


def script() -> str:
    """What is run, with the few changes that LocalStack and version 1 of the command line need."""
    text = "\n".join(commands())
    # Version 1 takes a payload as it is.
    text = text.replace("--cli-binary-format raw-in-base64-out ", "")
    text = text.replace("execution}:RUN", "execution}:guide").replace("<id>", "$VERSION")
    # A run to look at in "When a run fails", and a version of the model to go back to.
    start = "aws stepfunctions start-execution --state-machine-arn $MACHINE --name guide"
    text = re.sub(r"^(MAP=)", rf'{start} --input "$ASK"\n\1', text, flags=re.MULTILINE)
    upload = "aws s3 cp catboost_model.tar.gz s3://$BUCKET/models/catboost_model.tar.gz"
    assert upload in text
    text = text.replace(upload, f"{upload}\necho newer >> catboost_model.tar.gz\n{upload}")
    version = (
        "VERSION=$(aws s3api list-object-versions --bucket $BUCKET --prefix models/ "
        "--query 'Versions[1].VersionId' --output text)"
    )
    return re.sub(r"^(aws s3api copy-object)", rf"{version}\n\1", text, flags=re.MULTILINE)


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A directory as the project's root is after step 1, with functions that only answer."""
    for name in ("cloudformation", "statemachine", "events", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in FUNCTIONS:
        folder = tmp_path / "target" / "lambda" / name
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "bootstrap.zip", "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            # Each archive is another one, as a function's is.
            archive.writestr(entry, (HERE / "function" / "bootstrap").read_bytes())
            archive.writestr("name", name)
    (tmp_path / "database-secret.json").write_text(json.dumps({"username": "bank"}))
    (tmp_path / "catboost_model.tar.gz").write_bytes(b"a model")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    commit = ["commit", "-q", "--allow-empty", "-m", "A release"]
    subprocess.run(["git", *author, *commit], cwd=tmp_path, check=True)
    return tmp_path


def reasons(localstack) -> str:
    """Why a stack could not be made."""
    client = localstack.client("cloudformation", REGION)
    try:
        events = client.describe_stack_events(StackName="limit-increase")["StackEvents"]
    except ClientError as error:
        return str(error)
    return "\n".join(
        f"{event.get('LogicalResourceId')}: {event['ResourceStatusReason']}"
        for event in events
        if event.get("ResourceStatusReason")
    )


def network(localstack) -> dict[str, str]:
    """A VPC's subnets and security group, by the names that the guide gives them."""
    client = localstack.client("ec2", REGION)
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = {}
    for name, block in (("subnet-aaaa", "10.0.1.0/24"), ("subnet-bbbb", "10.0.2.0/24")):
        subnet = client.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]
        made[name] = subnet["SubnetId"]
    group = client.create_security_group(GroupName="g", Description="g", VpcId=vpc)
    return {**made, "sg-cccc": group["GroupId"]}


def test_the_guide_s_commands_deploy_run_and_go_back(localstack, checkout, brief_waits):  # noqa: F811
    text = script()
    for name, identifier in network(localstack).items():
        text = text.replace(name, identifier)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(checkout),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{localstack.port}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "ASK": json.dumps({"do": "error", "type": "Permanent.Internal"}),
        "AWS_SERVED": str(checkout / "served"),
    }
    cli = AwsCli(checkout, environment)
    with served(cli, checkout / "served"):
        done = subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{FUNCTION}\nset -x\n{text}"],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{reasons(localstack)}"

    # The last commands have put the first model back.
    bucket, key = "credit-scoring-models-000000000000-eu-west-1", "models/catboost_model.tar.gz"
    model = localstack.client("s3", REGION).get_object(Bucket=bucket, Key=key)["Body"].read()
    assert model == b"a model"
    answer = json.loads((checkout / "answer.json").read_text())
    assert "pid" in answer, answer


def commands_of_the_command_line() -> list[str]:
    inline = re.findall(r"`(limit-increase [^`]+)`", GUIDE)
    lines = [line.strip() for block in blocks() for line in block.splitlines()]
    return list(
        dict.fromkeys([one for one in [*lines, *inline] if one.startswith("limit-increase ")])
    )


@pytest.mark.parametrize("command", commands_of_the_command_line())
def test_a_command_of_the_command_line_exists(command):
    words = command.split()[1:]
    if words[0].startswith("--"):
        return
    source = (ROOT / "deploy" / "src" / "cli.rs").read_text(encoding="utf-8")
    variant = "".join(part.capitalize() for part in words[0].split("-"))
    arguments = re.search(rf"^    {variant}(?:\((\w+)\))?,$", source, re.MULTILINE)
    assert arguments, f"there is no command {words[0]}"
    everywhere = re.findall(r"global = true.*\n *pub\(crate\) (\w+)", source)
    renamed = re.findall(r'long = "([\w-]+)"', source)
    known = {*fields_of(arguments[1] or "", source), *everywhere, *renamed}
    for option in (word for word in words if word.startswith("--")):
        assert option.removeprefix("--").replace("-", "_") in known, f"there is no {option}"


def test_what_is_left_out_is_still_in_the_guide():
    text = " ".join(re.sub(r"\\\n\s*", "", GUIDE).split())
    for beginning in NOT_HERE:
        assert beginning in text, f"{beginning} is not in the guide any more"
