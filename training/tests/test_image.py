"""The image of the SageMaker job: the steps of its Dockerfile, its toolkit, and jobs in it."""

import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerfile import Build
from limit_sagemaker import container, engine, layout, model, outcome, variables
from limit_sagemaker.progress import Progress
from limit_training.errors import TrainingError
from sagemaker_jobs import TRAINING, make_job

STAND_IN = Path(__file__).with_name("engine_without_containers.py")
# What the toolkit gives beyond what it documents.
UNDOCUMENTED = {
    "SM_CURRENT_INSTANCE_GROUP_HOSTS",
    "SM_DISTRIBUTION_INSTANCE_GROUPS",
    "SM_INSTANCE_GROUPS",
    "SM_INSTANCE_GROUPS_DICT",
    "SM_IS_HETERO",
    "SM_NUM_NEURONS",
    # All of the others in one.
    "SM_TRAINING_ENV",
}


@pytest.fixture(scope="session")
def build(tmp_path_factory) -> Iterator[Build]:
    header = Path(sysconfig.get_path("include"), "Python.h")
    assert header.is_file(), f"{header} is missing: install Python's headers (python3.11-dev)"
    root = tmp_path_factory.mktemp("image")
    try:
        yield Build(TRAINING, root).run()
    finally:
        # pytest keeps the files of three sessions, and these are a gigabyte.
        shutil.rmtree(root)


@pytest.fixture
def calls(tmp_path, monkeypatch, build):
    """Puts the stand-in on the PATH as `docker`. Returns the commands that it was given."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("docker", "podman"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("CONTAINER_ENGINE", raising=False)
    log = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(log))
    image = build.image
    built = {"root": str(image.root), "environment": image.environment}
    monkeypatch.setenv("BUILT", json.dumps(built))
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def test_every_step_of_the_dockerfile_runs(build):
    assert {stage.base for stage in build.stages.values()} == {"python:3.11-slim-bookworm"}
    assert "apt-get install --yes --no-install-recommends gcc libc6-dev" in build.recorded
    image = build.image
    assert image.user == "10001:10001", "not root, and a number, which every engine can look up"
    assert "useradd --uid 10001" in build.recorded
    assert f"chown -R trainer:trainer {image.root}/opt/ml/model" in build.recorded
    assert image.command == ["train"] and image.inside("/opt/venv/bin/train").is_file()
    code = {path.name for path in image.inside("/opt/ml/code").iterdir()}
    # With requirements.txt in it, the toolkit would install that before each training.
    assert code == {"sagemaker_entry.py", "train.py", "limit_training"}


def test_the_image_has_the_trainer_s_packages_in_the_same_versions(build):
    def pins(name: str) -> dict[str, str]:
        text = (TRAINING / name).read_text(encoding="utf-8")
        found = re.findall(r"^([a-z0-9.-]+)==(\S+)(?: ; ([^\\]+))? \\$", text, re.MULTILINE)
        return {f"{package} {marker.strip()}": version for package, version, marker in found}

    image, trainer = pins("image-requirements.txt"), pins("requirements.txt")
    assert trainer.items() <= image.items() and len(trainer) > 20
    python = build.image.inside("/opt/venv/bin/python")
    question = "import importlib.metadata as m; print(m.version('catboost'))"
    version = subprocess.run([python, "-c", question], capture_output=True, text=True, check=True)
    assert version.stdout.strip() == image["catboost "]


def test_a_package_with_another_hash_is_not_installed(build, tmp_path):
    """Not even the one that builds the toolkit."""
    tools = (TRAINING / "image-tools.txt").read_text(encoding="utf-8")
    wrong = tmp_path / "image-tools.txt"
    wrong.write_text(re.sub(r"sha256:\w{64}", "sha256:" + "0" * 64, tools))
    requirement = next(
        part
        for part in re.split(r"\n(?=\S)", (TRAINING / "image-requirements.txt").read_text())
        if part.startswith("sagemaker-training==")
    )
    (tmp_path / "toolkit.txt").write_text(requirement)
    command = [build.stages["build"].inside("/opt/tools/bin/uv"), "pip", "install", "--no-deps"]
    command += ["--no-cache", "--python", build.image.inside("/opt/venv/bin/python")]
    command += ["--target", tmp_path / "target", "--require-hashes", "--build-constraints", wrong]
    done = subprocess.run(
        [*command, "--requirements", tmp_path / "toolkit.txt"], capture_output=True, text=True
    )
    assert done.returncode != 0 and "ash mismatch" in done.stderr, done.stderr


def test_the_variables_are_those_of_sagemaker_s_toolkit(build, tmp_path, table):
    changes = {"split-column": "part", "param": ["border_count=32", "random_strength=2"]}
    root = layout.make(make_job(tmp_path, table, **changes))
    question = (
        "import json; from sagemaker_training.environment import Environment as E;"
        " print(json.dumps([E().to_env_vars(), E().to_cmd_args()]))"
    )
    done = subprocess.run(
        [build.image.inside("/opt/venv/bin/python"), "-c", question],
        env={"SAGEMAKER_BASE_DIR": str(root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    expected, arguments = json.loads(done.stdout.splitlines()[-1])
    ours = variables.variables(root)
    assert ours == {name: expected[name] for name in ours}
    assert set(expected) - set(ours) == UNDOCUMENTED
    assert variables.arguments(variables.hyperparameters(root)) == arguments


def test_a_job_in_the_image_gives_the_artifact_of_train_py_byte_for_byte(
    calls, tmp_path, table, direct_artifact
):
    job = make_job(tmp_path, table)
    progress = Progress(tmp_path / "job.log", stream=io.StringIO())
    assert container.run(job, engine.IMAGE, progress) == outcome.Outcome("Completed", 0)
    archive = model.pack_folder(job.opt_ml / "model", tmp_path / "model.tar.gz")
    assert model.collect(archive).content == direct_artifact
    assert "Reporting training SUCCESS" in progress.log.read_text(), "the toolkit ran it"
    assert "25/25 trees" in progress.stream.getvalue()
    assert progress.report["training"]["trees"] == 25
    assert [words[0] for words in calls()] == ["info", "image", "run"]


def test_a_job_that_fails_in_the_image_has_the_trainer_s_reason(calls, tmp_path, table):
    job = make_job(tmp_path, table, colour="red")
    progress = Progress(tmp_path / "job.log", stream=io.StringIO())
    ended = container.run(job, engine.IMAGE, progress)
    assert (ended.status, ended.exit_code) == ("Failed", 1), "the toolkit's code"
    assert "does not take these hyperparameters" in ended.reason and "next:" in ended.reason


def test_the_container_is_started_as_sagemaker_does(tmp_path, table):
    job = make_job(tmp_path, table)
    root = job.opt_ml
    assert container.command("/usr/bin/docker", "image", job, root) == [
        *["/usr/bin/docker", "run", "--rm", "--name", "a-job", "--hostname", "algo-1"],
        *["--volume", f"{root}/input:/opt/ml/input:ro"],
        *["--volume", f"{root}/model:/opt/ml/model:rw"],
        *["--volume", f"{root}/output:/opt/ml/output:rw"],
        *["--env", "SOURCE_DATE_EPOCH=1795485668", "--env", "TRAINING_JOB_NAME=a-job"],
        *["image", "train"],
    ]
    assert f"{root}/model:/opt/ml/model:rw,z" in container.command("podman", "image", job, root)


def test_the_makefile_builds_and_removes_the_image_with_any_engine(calls, monkeypatch):
    monkeypatch.setenv("CONTAINER_ENGINE", "podman")
    assert engine.find().endswith("/podman")
    assert engine.build() == 0 and engine.clean() == 0
    assert calls()[1:] == [
        ["info"],
        ["build", "--tag", "catboost-sagemaker:latest", str(TRAINING)],
        ["info"],
        ["image", "inspect", "catboost-sagemaker:latest"],
        ["image", "rm", "catboost-sagemaker:latest"],
    ]


def test_without_an_engine_or_an_image_one_sentence_says_what_to_do(calls, tmp_path, monkeypatch):
    job = make_job(tmp_path / "job", {"a": ["1"]})
    progress = Progress(tmp_path / "job.log", stream=io.StringIO())
    with pytest.raises(TrainingError, match="docker has no image other:1") as refused:
        container.run(job, "other:1", progress)
    assert refused.value.next_step == "pull it: docker pull other:1"
    assert not job.opt_ml.exists(), "nothing was prepared"

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TrainingError, match="there is no container engine: docker, podman, nerd"):
        container.run(job, engine.IMAGE, progress)
    monkeypatch.setenv("CONTAINER_ENGINE", "/none/docker")
    with pytest.raises(TrainingError, match="/none/docker is not on the PATH"):
        engine.find()


def test_an_engine_that_does_not_run_is_named(tmp_path, monkeypatch):
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CONTAINER_ENGINE", raising=False)
    with pytest.raises(TrainingError, match="docker does not work: Cannot connect to the Docker"):
        engine.find()
