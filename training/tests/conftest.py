"""Real trainings on small tables with the real CatBoost."""

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import train
from limit_training.options import parser
from tables import small_table, write_csv


@dataclass
class Artifact:
    content: bytes
    entries: dict[str, bytes]
    members: list[tarfile.TarInfo]
    result: dict

    @property
    def manifest(self) -> dict:
        return json.loads(self.entries["manifest.json"])

    @property
    def model(self) -> dict:
        return json.loads(self.entries["model.json"])


def notices_of(artifact: Artifact) -> str:
    """All notices of a training, one a line."""
    return "\n".join(artifact.result["notices"])


@pytest.fixture(scope="session")
def table() -> dict[str, list[str]]:
    return small_table()


@pytest.fixture(scope="session")
def direct_artifact(tmp_path_factory, table) -> bytes:
    """What train.py makes of the table with the options of the jobs of sagemaker_jobs.py."""
    from sagemaker_jobs import artifact_of_train_py

    return artifact_of_train_py(tmp_path_factory.mktemp("direct"), table)


@pytest.fixture(scope="session")
def run_training(tmp_path_factory):
    """Trains in this process and opens the artifact."""

    def run(table: dict[str, list[str]], *options: str, name: str = "table.csv") -> Artifact:
        directory = tmp_path_factory.mktemp("training")
        data = write_csv(directory / name, table)
        output = directory / "model.tar.gz"
        result = train.run(parser().parse_args([*required(data, output), *options]))
        content = output.read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = archive.getmembers()
            entries = {member.name: archive.extractfile(member).read() for member in members}
        return Artifact(content, entries, members, result)

    return run


@pytest.fixture
def train_file(tmp_path):
    """Trains on a file of these bytes and returns the result."""

    def run(content: bytes, *options: str) -> dict:
        data = tmp_path / "table.csv"
        data.write_bytes(content)
        output = tmp_path / "model.tar.gz"
        return train.run(parser().parse_args([*required(data, output), *options]))

    return run


def required(data: Path, output: Path) -> list[str]:
    command = [
        "--data",
        str(data),
        "--target",
        "outcome",
        "--positive",
        "Decline",
        "--output",
        str(output),
    ]
    return [*command, "--iterations", "25", "--depth", "4", "--quiet"]


@pytest.fixture(scope="session")
def artifact(run_training, table) -> Artifact:
    return run_training(
        table,
        "--categorical",
        "branch",
        "--split-column",
        "part",
        "--descriptions",
        "income=Yearly pay",
    )


@pytest.fixture
def refused(tmp_path, table, capsys):
    """Runs the command line and expects a refusal. Returns exit code, message and JSON."""

    def run(*options: str, change=None, content: bytes | None = None) -> tuple[int, str, dict]:
        data = tmp_path / "table.csv"
        output = tmp_path / "model.tar.gz"
        if content is None:
            changed = {name: list(values) for name, values in table.items()}
            if change:
                change(changed)
            write_csv(data, changed)
        else:
            data.write_bytes(content)
        code = train.main([*required(data, output), "--json", *options])
        captured = capsys.readouterr()
        assert not output.exists()
        assert list(tmp_path.iterdir()) == [data], "a refused training leaves nothing behind"
        return code, captured.err, json.loads(captured.out)

    return run
