"""The trainer as SageMaker starts it, with script mode's directories and variables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import write_csv

ENTRY = Path(__file__).resolve().parents[1] / "sagemaker_entry.py"
SMALL = {"iterations": "25", "depth": "4"}


@pytest.fixture
def job(tmp_path, table):
    """Starts a job on directories like SageMaker's. Returns the finished process and their root."""
    root = tmp_path / "ml"
    for part in ("input/data/training", "model", "output"):
        (root / part).mkdir(parents=True)
    channel = root / "input" / "data" / "training"
    write_csv(channel / "applications.csv.gz", table)
    (channel / "texts.json").write_text(json.dumps({"income": "Yearly pay"}), encoding="utf-8")

    def run(
        hyperparameters: dict, **changes: str | None
    ) -> tuple[subprocess.CompletedProcess, Path]:
        environment = {
            "PATH": os.environ["PATH"],
            "SM_CHANNEL_TRAINING": str(channel),
            "SM_MODEL_DIR": str(root / "model"),
            "SM_OUTPUT_DIR": str(root / "output"),
            # The number of processors decides nothing about the artifact.
            "SM_NUM_CPUS": "4",
            "SM_HPS": json.dumps(hyperparameters),
            "SOURCE_DATE_EPOCH": "1795485668",
            **changes,
        }
        environment = {name: value for name, value in environment.items() if value is not None}
        # SageMaker gives each hyperparameter as an argument too. The entry takes them from SM_HPS.
        arguments = [
            word for name, value in hyperparameters.items() for word in (f"--{name}", str(value))
        ]
        # SageMaker starts the entry in a directory of its own choice.
        command = [sys.executable, str(ENTRY), *arguments]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        return done, root

    return run


def test_a_job_leaves_the_artifact_that_train_py_makes(job, table, tmp_path):
    done, root = job(
        {
            "target": "outcome",
            "positive": "Decline",
            "split-column": "part",
            "descriptions": "texts.json",
        }
        | SMALL
    )
    assert done.returncode == 0, done.stderr
    model = root / "model"
    assert sorted(path.name for path in model.iterdir()) == [
        "manifest.json",
        "model.json",
        "model.onnx",
    ]
    manifest = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    assert {"Yearly pay"} <= {feature["description"] for feature in manifest["features"]}
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["training"] == manifest["training"] and report["training"]["auc"] > 0.6
    assert not (root / "output" / "failure").exists()

    data = write_csv(tmp_path / "applications.csv.gz", table)
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps({"income": "Yearly pay"}), encoding="utf-8")
    output = tmp_path / "direct.tar.gz"
    command = [
        sys.executable,
        str(ENTRY.with_name("train.py")),
        "--data",
        str(data),
        "--target",
        "outcome",
    ]
    command += ["--positive", "Decline", "--split-column", "part", "--descriptions", str(texts)]
    command += ["--iterations", "25", "--depth", "4", "--quiet", "--output", str(output)]
    environment = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1795485668"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    direct = tmp_path / "direct"
    direct.mkdir()
    # `limit-increase train-sagemaker` prints a command that unpacks with `tar` too.
    subprocess.run(["tar", "-xzf", str(output), "-C", str(direct)], check=True)
    for name in ("manifest.json", "model.json", "model.onnx"):
        assert (model / name).read_bytes() == (direct / name).read_bytes(), name


def test_an_option_that_may_be_repeated_is_a_list_and_underscores_are_dashes(job):
    done, root = job(
        {
            "target": "outcome",
            "positive": "Decline",
            "features": "bureau_score",
            "split_column": "part",
        }
        | SMALL
        | {"param": ["random_strength=2", "border_count=32"], "data-file": "applications.csv.gz"}
    )
    assert done.returncode == 0, done.stderr
    assert (root / "model" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("hyperparameters", "changes", "words"),
    [
        ({"target": "nothing", "positive": "x"}, {}, "nothing"),
        ({"target": "outcome", "positive": "Decline", "output": "/tmp/x.tar.gz"}, {}, "output"),
        (
            {"target": "outcome", "positive": "Decline", "data-file": "../../secret.csv"},
            {},
            "no file",
        ),
        ({"target": "outcome", "positive": "Decline", "colour": "red"}, {}, "hyperparameters"),
        (
            {"target": "outcome", "positive": "Decline"},
            {"SM_CHANNEL_TRAINING": None},
            "SM_CHANNEL_TRAINING",
        ),
        ({"target": "outcome", "positive": "Decline"}, {"SM_HPS": "{"}, "SM_HPS"),
    ],
)
def test_a_job_that_cannot_be_done_says_why_where_sagemaker_shows_it(
    job, hyperparameters, changes, words
):
    done, root = job(hyperparameters, **changes)
    assert done.returncode != 0
    reason = (root / "output" / "failure").read_text(encoding="utf-8")
    assert words in reason and "next:" in reason and len(reason) <= 1024
    assert words in done.stderr
    assert list((root / "model").iterdir()) == [], "a job that failed leaves no model"


def test_an_unexpected_error_has_a_reason_too(job):
    done, root = job({"target": "outcome", "positive": "Decline"} | SMALL, SM_HPS="[1]")
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert "AttributeError" in (root / "output" / "failure").read_text(encoding="utf-8")


def test_one_of_several_tables_has_to_be_named(job, tmp_path, table):
    write_csv(tmp_path / "ml" / "input" / "data" / "training" / "second.csv", table)
    done, root = job({"target": "outcome", "positive": "Decline"} | SMALL)
    assert done.returncode != 0 and "2 tables (applications.csv.gz, second.csv)" in done.stderr
