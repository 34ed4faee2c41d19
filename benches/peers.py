"""What the measurements share: the artifact, its rows as CatBoost takes them, and the Rust program.

The rows are encoded from the manifest, and not by the trainer's code. So an error in the trainer's
code does not repeat itself here.
"""

import csv
import gzip
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import catboost
import numpy as np

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Artifact:
    """A model artifact, opened."""

    path: Path
    manifest: dict
    onnx: bytes
    model: catboost.CatBoostClassifier

    @property
    def sources(self) -> list[str]:
        """The source columns in the order of the model's columns."""
        columns = self.manifest["features"]
        return list(dict.fromkeys(column["source_column"] for column in columns))


def read_artifact(path: Path) -> Artifact:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}

    model = catboost.CatBoostClassifier()
    with tempfile.NamedTemporaryFile(suffix=".json") as handle:
        handle.write(files["model.json"])
        handle.flush()
        model.load_model(handle.name, format="json")
    return Artifact(path, json.loads(files["manifest.json"]), files["model.onnx"], model)


def train(data: Path, output: Path, options: list[str]) -> None:
    command = [sys.executable, str(ROOT / "training" / "train.py"), "--quiet"]
    command += ["--data", str(data), "--output", str(output), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def build() -> Path:
    """Builds the measuring program with the release profile. Returns its path."""
    command = ["cargo", "build", "--quiet", "--release", "--message-format=json"]
    command += ["--package", "limit-increase-benches"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, text=True).stdout
    found = [json.loads(line).get("executable") for line in output.splitlines()]
    return Path(next(path for path in found if path and Path(path).stem == "measure-scoring"))


def measure(program: Path, artifact: Artifact, rows: Path) -> dict:
    """Runs the measuring program on a plain CSV file. Returns its report."""
    command = [str(program), str(artifact.path), str(rows)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def score(program: Path, artifact: Artifact, rows: Path) -> np.ndarray:
    """Scores a plain CSV file in Rust.

    Returns a row of raw value, probability, base value and the SHAP value of each source column for
    each row of the file. A customer who would be referred has NaN in all of them.
    """
    with tempfile.NamedTemporaryFile() as dump:
        subprocess.run([str(program), str(artifact.path), str(rows), dump.name], check=True)
        return np.fromfile(dump.name, dtype="<f8").reshape(-1, 3 + len(artifact.sources))


def plain_csv(data: Path, directory: Path) -> Path:
    """The table without gzip, as the measuring program reads it."""
    if data.suffix != ".gz":
        return data
    plain = directory / data.stem
    with gzip.open(data, "rb") as packed, open(plain, "wb") as handle:
        shutil.copyfileobj(packed, handle)
    return plain


def read_columns(rows: Path, names: list[str]) -> dict[str, list[str]]:
    with open(rows, newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        columns = {name: [] for name in names}
        for row in reader:
            for name in names:
                columns[name].append(row[name])
    return columns


def encode(artifact: Artifact, rows: Path) -> np.ndarray:
    """The rows as the model's float32 columns."""
    sources = read_columns(rows, artifact.sources)
    spelling = artifact.manifest.get("category_spelling", {})
    encoded = []
    for source, texts in sources.items():
        columns = [one for one in artifact.manifest["features"] if one["source_column"] == source]
        if columns[0]["kind"] == "numeric":
            encoded.append([float(text) if text else np.nan for text in texts])
            continue
        categories = [column["category"] or "" for column in columns]
        steps = spelling.get(source, [])
        found = {text: category_of(text, categories, steps) for text in set(texts)}
        for category in categories:
            encoded.append([float(found[text] == category) for text in texts])
    return np.array(encoded, dtype=np.float64).T.astype(np.float32, order="C")


def category_of(text: str, categories: list[str], steps: list[str]) -> str | None:
    """The category that a text is: exactly, or else by the steps that the manifest states."""
    if text in categories:
        return text
    alike = [category for category in categories if normal(category, steps) == normal(text, steps)]
    return alike[0] if alike else None


def normal(text: str, steps: list[str]) -> str:
    if "trailing_blanks" in steps:
        text = re.sub("[ \t\n\r\u00a0]+$", "", text)
    if "whole_numbers" in steps and re.fullmatch(r"-?(0|[1-9][0-9]*)(\.0+)?", text):
        text = str(int(text.split(".")[0]))
    if "booleans" in steps and re.fullmatch("(?i)true|t|yes|y|on|1", text):
        text = "true"
    if "booleans" in steps and re.fullmatch("(?i)false|f|no|n|off|0", text):
        text = "false"
    return text.lower() if "case" in steps else text


def by_source(artifact: Artifact, values: np.ndarray) -> np.ndarray:
    """Adds up the values of the model columns that come from the same source column."""
    sources = artifact.sources
    summed = np.zeros((len(values), len(sources)))
    for at, column in enumerate(artifact.manifest["features"]):
        summed[:, sources.index(column["source_column"])] += values[:, at]
    return summed
