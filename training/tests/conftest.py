"""Small tables, and real trainings on them with the real CatBoost."""

import csv
import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import train
from limit_training.options import parser

ROWS = 600


def small_table() -> dict[str, list[str]]:
    """A table with every kind of column.

    It has a score, a number with gaps, a code that must stay text, a category with gaps, and
    columns that the trainer leaves out.
    """
    generator = np.random.default_rng(7)
    score = generator.normal(650, 60, ROWS).round()
    income = generator.exponential(30_000, ROWS).round(2)
    code = generator.choice(["01", "1", "1.0", "2"], ROWS)
    status = generator.choice(
        ["owner", "tenant", "", 'says "other", once'], ROWS, p=[0.5, 0.3, 0.1, 0.1]
    )
    log_odds = -1.5 - 0.03 * (score - 650) + (code == "01") * 1.5 + (status == "tenant") * 0.8
    bad = generator.random(ROWS) < 1 / (1 + np.exp(-log_odds))
    return {
        "customer_id": [f"CUST_{number:04}" for number in range(ROWS)],
        "opened": [f"2026-{1 + number % 12:02}-01" for number in range(ROWS)],
        "bureau_score": [f"{value:g}" for value in score],
        "income": ["" if number % 9 == 0 else f"{value}" for number, value in enumerate(income)],
        "branch": code.tolist(),
        "status": status.tolist(),
        "country": ["GB"] * ROWS,
        "part": ["Validation" if number % 4 == 0 else "Development" for number in range(ROWS)],
        "outcome": ["Decline" if value else "Accept" for value in bad],
    }


def write_csv(path: Path, table: dict[str, list[str]]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


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
