"""What the two scripts here share: the artifact, its rows as CatBoost takes them, and the Rust side.

Rows are encoded from the manifest's words alone, not by the trainer's code, so that an error of one is not an error of
all.
"""

import csv
import gzip
import json
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
    path: Path
    manifest: dict
    onnx: bytes
    model: catboost.CatBoostClassifier

    @property
    def sources(self) -> list[str]:
        return list(
            dict.fromkeys(feature["source_column"] for feature in self.manifest["features"])
        )


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
    command = [
        sys.executable,
        str(ROOT / "training" / "train.py"),
        "--data",
        str(data),
        "--output",
        str(output),
    ]
    subprocess.run([*command, "--quiet", *options], check=True, stdout=subprocess.DEVNULL)


def build() -> Path:
    """The measuring program, compiled as the functions are."""
    command = [
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--package",
        "limit-increase-benches",
        "--message-format=json",
    ]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, text=True).stdout
    found = [json.loads(line).get("executable") for line in output.splitlines()]
    return Path(next(path for path in found if path and Path(path).stem == "measure-scoring"))


def measure(program: Path, artifact: Artifact, rows: Path) -> dict:
    command = [str(program), str(artifact.path), str(rows)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def score(program: Path, artifact: Artifact, rows: Path) -> np.ndarray:
    """For each row: raw value, probability, base value and the SHAP value of each source; NaN where referred."""
    with tempfile.NamedTemporaryFile() as dump:
        subprocess.run([str(program), str(artifact.path), str(rows), dump.name], check=True)
        return np.fromfile(dump.name, dtype="<f8").reshape(-1, 3 + len(artifact.sources))


def plain_csv(data: Path, directory: Path) -> Path:
    """The table unpacked, which is what the measuring program reads."""
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
    """The model's float32 columns, from the manifest."""
    columns = read_columns(rows, artifact.sources)
    encoded = []
    for feature in artifact.manifest["features"]:
        texts = columns[feature["source_column"]]
        if feature["kind"] == "numeric":
            encoded.append([float(text) if text else np.nan for text in texts])
        else:
            encoded.append([float(text == (feature["category"] or "")) for text in texts])
    return np.array(encoded, dtype=np.float64).T.astype(np.float32, order="C")


def by_source(artifact: Artifact, values: np.ndarray) -> np.ndarray:
    """Values per model column, added up per source column."""
    sources = artifact.sources
    summed = np.zeros((len(values), len(sources)))
    for column, feature in enumerate(artifact.manifest["features"]):
        summed[:, sources.index(feature["source_column"])] += values[:, column]
    return summed
