"""A job without a container: SageMaker's folders, its outcome, and the model that it leaves."""

import gzip
import io
import json
import stat
import sys
import tarfile

import pytest

from limit_sagemaker import job as jobs
from limit_sagemaker import layout, model, outcome, process
from limit_sagemaker.progress import Progress, figures
from limit_training.errors import TrainingError
from sagemaker_jobs import make_job


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path / "job.log", stream=io.StringIO())


@pytest.fixture(scope="session")
def trained(tmp_path_factory, table):
    """A job that has ended well, as process.run leaves it, and its progress."""
    folder = tmp_path_factory.mktemp("job")
    job = make_job(folder, table)
    progress = Progress(folder / "job.log", stream=io.StringIO())
    assert process.run(job, progress) == outcome.Outcome("Completed", 0)
    return job, progress


@pytest.fixture
def archive(trained, tmp_path):
    job, _ = trained
    return model.pack_folder(job.opt_ml / "model", tmp_path / "model.tar.gz")


def test_a_job_here_gives_the_artifact_of_train_py_byte_for_byte(archive, direct_artifact):
    made = model.collect(archive)
    assert made.content == direct_artifact
    assert made.content != archive.read_bytes(), "SageMaker packs in its own way"
    assert made.manifest["created_at"] == "2026-11-24T02:01:08Z"


def test_the_log_has_the_progress_and_the_figures(trained):
    job, progress = trained
    shown = progress.stream.getvalue()
    assert "Training     sagemaker_entry.py" in shown
    assert "training: 25/25 trees" in shown
    assert progress.report["training"]["trees"] == 25
    assert '"training":' not in shown, "the figures are for programs"
    assert "25/25 trees" in progress.log.read_text() and '"training":' in progress.log.read_text()


def test_opt_ml_is_as_sagemaker_documents_it(tmp_path, table):
    root = layout.make(make_job(tmp_path, table))
    read = {path.stem: json.loads(path.read_text()) for path in (root / "input/config").iterdir()}
    assert read["hyperparameters"]["target"] == '"outcome"', "values are strings"
    assert read["inputdataconfig"] == {
        "training": {
            "ContentType": "text/csv",
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }
    assert read["resourceconfig"] == {
        "current_host": "algo-1",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.m5.large",
                "hosts": ["algo-1"],
            }
        ],
        "network_interface_name": "eth0",
    }
    files = {path.relative_to(root).as_posix() for path in (root / "input/data").rglob("*")}
    assert files == {"input/data/training", "input/data/training/loans.csv"}
    assert sorted(path.name for path in (root / "output").iterdir()) == ["data"]
    # The container's user may write the model, and no other user of the machine gets there.
    assert stat.S_IMODE((root / "model").stat().st_mode) == 0o777
    assert stat.S_IMODE(root.parents[1].stat().st_mode) == 0o700


def test_a_name_is_used_once(tmp_path, table):
    job = make_job(tmp_path, table)
    layout.make(job)
    with pytest.raises(TrainingError, match="job of the name a-job already"):
        layout.make(job)


def test_a_job_that_fails_has_its_code_and_the_reason_that_sagemaker_shows(
    tmp_path, table, progress
):
    job = make_job(tmp_path, table, target="nothing")
    ended = process.run(job, progress)
    assert (ended.status, ended.exit_code) == ("Failed", 3)
    assert ended.reason == (job.opt_ml / "output" / "failure").read_text()
    assert "there is no column 'nothing'" in ended.reason and "next:" in ended.reason
    assert list((job.opt_ml / "model").iterdir()) == []


@pytest.mark.parametrize(
    ("code", "failure", "stopped", "expected"),
    [
        (0, None, "", outcome.Outcome("Completed", 0)),
        (3, "x" * 2000, "", outcome.Outcome("Failed", 3, "x" * 1024)),
        (1, None, "", outcome.Outcome("Failed", 1, "the training ended with 1 and gave no reason")),
        (
            -9,
            None,
            "",
            outcome.Outcome("Failed", 137, "the training ended with 137 and gave no reason"),
        ),
        (-15, "late", "too long", outcome.Outcome("Stopped", 143, "too long")),
    ],
    ids=["completed", "long reason", "no reason", "killed", "stopped"],
)
def test_outcomes(tmp_path, code, failure, stopped, expected):
    (tmp_path / "output").mkdir()
    if failure:
        (tmp_path / "output" / "failure").write_text(failure)
    assert outcome.of_container(code, tmp_path, stopped) == expected


def test_a_job_that_takes_too_long_is_stopped(tmp_path):
    lines = []
    waiting = "import time; print('begun', flush=True); time.sleep(60)"
    code, stopped = process.follow([sys.executable, "-c", waiting], lines.append, 1.0)
    assert code == -15 and stopped == "MaxRuntimeExceeded: it took more than 1 s"
    assert lines == ["begun"]


def test_a_job_sees_nothing_of_this_environment_but_what_it_needs(tmp_path, table, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("SM_HP_TARGET", "of another job")
    job = make_job(tmp_path, table)
    given = process.environment(job, layout.make(job))
    assert "AWS_SECRET_ACCESS_KEY" not in given and given["SM_HP_TARGET"] == "outcome"
    assert {"PATH", "SOURCE_DATE_EPOCH", "TRAINING_JOB_NAME"} <= set(given)


def repacked(archive, change) -> None:
    """Packs the archive again, with its entries as `change` leaves them."""
    entries = model.read(archive)
    change(entries)
    with tarfile.open(archive, "w:gz") as packed:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entries: entries.pop("model.json"), "it lacks model.json"),
        (lambda entries: entries.update({"notes.txt": b""}), "it holds notes.txt"),
        (lambda entries: entries.update({"../x": b""}), "it holds ../x"),
        (
            lambda entries: entries.update({"model.onnx": b"other"}),
            "model.onnx is not the file that the manifest describes",
        ),
    ],
    ids=["missing", "additional", "outside", "another file"],
)
def test_a_model_that_the_functions_would_refuse_is_refused(archive, change, words):
    repacked(archive, change)
    with pytest.raises(TrainingError, match=words) as refused:
        model.collect(archive)
    assert refused.value.exit_code == 4 and refused.value.where == str(archive)


def test_golden_rows_that_the_model_does_not_answer_are_refused(archive):
    def change(entries):
        manifest = json.loads(entries["manifest.json"])
        manifest["golden_rows"][0]["raw_value"] += 0.5
        entries["manifest.json"] = json.dumps(manifest).encode()

    repacked(archive, change)
    with pytest.raises(TrainingError, match="golden row 0"):
        model.collect(archive)


def test_an_archive_that_is_cut_off_is_refused(archive):
    archive.write_bytes(archive.read_bytes()[:500])
    with pytest.raises(TrainingError, match="it cannot be read"):
        model.collect(archive)


def test_an_archive_of_a_folder_in_it_is_the_same_model(archive, trained):
    job, _ = trained
    expected = model.collect(archive).content
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(job.opt_ml / "model", arcname=".")
    assert model.collect(archive).content == expected


def test_a_bomb_is_not_unpacked(archive, monkeypatch):
    monkeypatch.setitem(model.MAX_BYTES, "model.json", 10)
    with pytest.raises(TrainingError, match="model.json has"):
        model.collect(archive)
    archive.write_bytes(gzip.compress(b"\0" * 10_000))
    with pytest.raises(TrainingError, match="it lacks"):
        model.collect(archive)


def test_a_job_is_read_from_the_answer_of_the_command_line(tmp_path):
    answer = {
        "directory": str(tmp_path),
        "request": {
            "TrainingJobName": "j",
            "InputDataConfig": [
                {"DataSource": {"S3DataSource": {"S3Uri": "s3://b/training/j/data/"}}}
            ],
        },
        "steps": [
            {"command": "aws s3 cp /home/sourcedir.tar.gz s3://b/training/j/sourcedir.tar.gz"},
            {"command": "aws s3 cp 'my loans.csv' 's3://b/training/j/data/my loans.csv'"},
            {"command": "aws sagemaker create-training-job"},
            {"command": "aws s3 cp s3://b/model.tar.gz /home/model.tar.gz"},
            {"command": "aws s3 cp /home/a.tar.gz s3://b/models/catboost_model.tar.gz"},
        ],
    }
    job = jobs.from_answer(answer)
    assert job.destination == "s3://b/models/catboost_model.tar.gz"
    assert sorted(job.uploads) == [
        "s3://b/training/j/data/my loans.csv",
        "s3://b/training/j/sourcedir.tar.gz",
    ]
    (channel,) = answer["request"]["InputDataConfig"]
    assert list(job.channel_files(channel)) == ["my loans.csv"]


def test_figures_are_the_line_with_the_result_alone():
    assert figures('{"training": {}}') == {"training": {}}
    assert [figures(text) for text in ("text", "{broken", '{"other": 1}', "[1]")] == [None] * 4
