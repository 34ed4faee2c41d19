"""train_sagemaker.py as a program, on a local AWS of its own."""

import json

import pytest

ROLE = "arn:aws:iam::123456789012:role/Training"


@pytest.fixture(scope="session")
def trained(started):
    """A first training without a container: the finished process, and the model that S3 has."""
    done = started.train("--job=first", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), started.published()


def test_a_training_ends_with_a_model_where_the_functions_and_the_next_run_read_it(
    started, trained
):
    result, published = trained
    assert result["status"] == "Completed" and result["exit_code"] == 0
    assert result["uploaded_to"] == "s3://credit-scoring-models/models/catboost_model.tar.gz"
    # A run uploads the model of the home, so the two must be one.
    assert published == started.model
    assert started.limit_increase("status")["model"]["sha256"] == result["sha256"]


def test_it_is_the_artifact_of_train_catboost_byte_for_byte(started, trained):
    _, published = trained
    options = ["--data", str(started.table), "--target=outcome", "--positive=Decline"]
    answer = started.limit_increase("train", *options, "--", "--iterations=25", "--depth=4")
    assert answer["trained"], "the record of another training does not stand for this one"
    assert published == started.model == started.published()


def test_a_job_on_aws_is_followed_to_the_same_artifact(started, trained, on_aws):
    _, published = trained
    done = on_aws("--start", f"--role={ROLE}", "--job=on-aws", "--publish")
    assert done.returncode == 0, done.stdout + done.stderr
    states = [line.split()[2] for line in done.stderr.splitlines() if " s  " in line[:12]]
    assert states == [
        *["Uploading", "Starting", "Starting", "Downloading", "Training", "Uploading"],
        *["Completed", "Checked"],
    ]
    assert "| training: 25/25 trees" in done.stderr, "the log of the job"
    assert "AUC" in done.stdout, "the figures of the job, from its log"
    assert started.published("aws-models") == published
    assert (started.home / "sagemaker/on-aws/catboost_model.tar.gz").read_bytes() == published

    again = on_aws("--follow=on-aws", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["uploaded_to"] is None, "without --publish"
    twice = on_aws("--start", f"--role={ROLE}", "--job=on-aws", "--json")
    assert "there is a job of the name on-aws" in json.loads(twice.stdout)["error"]["what"]


def test_a_job_that_fails_on_aws_shows_its_reason(on_aws):
    done = on_aws("--start", f"--role={ROLE}", "--job=fails", "--features=nothing", "--json")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["status"] == "Failed" and result["exit_code"] is None
    assert result["failure_reason"].startswith("AlgorithmError: error: there is no column 'nothing")
    refused = on_aws("--start", "--role=no-role", "--job=refused", "--json")
    assert refused.returncode == 1
    assert "cannot create the training job" in json.loads(refused.stdout)["error"]["what"]


def test_a_training_that_fails_shows_the_failure_file_and_changes_no_model(started, trained):
    before = started.model
    done = started.train("--job=fails-here", "--features=nothing")
    assert done.returncode == 3, "the training's own code"
    failure = started.home / "sagemaker/fails-here/opt/ml/output/failure"
    assert "The job fails-here is Failed with exit code 3. Its reason:\n" in done.stderr
    assert failure.read_text() in done.stderr and "there is no column 'nothing'" in done.stderr
    assert started.model == before == started.published()


def test_print_shows_the_request_and_starts_nothing(local):
    done = local.train("--print", "--job=shown", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["request"]["HyperParameters"]["target"] == '"outcome"'
    assert "start the job" in [step["what"] for step in answer["steps"]]
    assert not (local.home / "sagemaker/shown/opt").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--start"], "--start needs --role"),
        (["--publish"], "--publish is for a model from AWS"),
        (["--start", f"--role={ROLE}"], "no region is given"),
        (["--follow=unknown", "--region=eu-west-1"], "there is no record of a job unknown"),
        (["--data=/none/loans.csv"], "there is no file /none/loans.csv"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(local, arguments, words):
    done = local.train(*arguments, AWS_CONFIG_FILE="/none", CONTAINER_ENGINE="/none/docker")
    assert done.returncode in (2, 3) and words in done.stderr and "next:" in done.stderr


def test_without_an_engine_one_sentence_says_so(local):
    done = local.train("--container", "--job=contained", CONTAINER_ENGINE="/none/docker")
    assert done.returncode == 1
    assert "there is no container engine: /none/docker is not on the PATH" in done.stderr
