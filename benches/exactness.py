"""Compares raw values, probabilities and SHAP values with CatBoost's on every row of a table.

    .local/venvs/training/bin/python benches/exactness.py --data TABLE.csv.gz -- --target COLUMN --positive VALUE ...

Trains a model on the table with training/train.py (everything after -- goes to it), scores every row in Rust and in
CatBoost, and prints the largest differences. Fails when one is beyond 1e-9. Nothing is written outside a temporary directory.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import catboost
import numpy as np
import peers

TOLERANCE = 1e-9
SHAP_ROWS_AT_ONCE = 10_000


def differences(artifact: peers.Artifact, rows: Path, dump: np.ndarray) -> dict:
    matrix = peers.encode(artifact, rows)
    scored = ~np.isnan(dump[:, 0])
    pool = catboost.Pool(matrix[scored], feature_names=artifact.model.feature_names_)
    raw = artifact.model.predict(pool, prediction_type="RawFormulaVal")
    probability = artifact.model.predict(pool, prediction_type="Probability")[:, 1]
    found = dump[scored]
    relative = lambda ours, theirs: float(np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs)), initial=0.0))
    largest_shap = largest_base = 0.0
    for start in range(0, len(raw), SHAP_ROWS_AT_ONCE):
        part = slice(start, start + SHAP_ROWS_AT_ONCE)
        shap = artifact.model.get_feature_importance(pool.slice(range(len(raw))[part]), type="ShapValues")
        largest_shap = max(largest_shap, relative(found[part, 3:], peers.by_source(artifact, shap[:, :-1])))
        largest_base = max(largest_base, relative(found[part, 2], shap[:, -1]))
    sums = found[:, 2] + found[:, 3:].sum(axis=1)
    return {
        "rows": len(dump),
        "referred": int((~scored).sum()),
        "raw value": relative(found[:, 0], raw),
        "raw value, relative to itself": float(np.max(np.abs(found[:, 0] - raw) / np.abs(raw), initial=0.0)),
        "probability": relative(found[:, 1], probability),
        "base value": largest_base,
        "SHAP value": largest_shap,
        "sum of SHAP values": relative(sums, found[:, 0]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="CSV or CSV.gz")
    parser.add_argument("--artifact", type=Path, help="an artifact to compare instead of training one")
    parser.add_argument("train", nargs="*", help="options of train.py, after --")
    arguments = parser.parse_args()
    program = peers.build()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        rows = peers.plain_csv(arguments.data, directory)
        path = arguments.artifact
        if path is None:
            path = directory / "model.tar.gz"
            peers.train(arguments.data, path, arguments.train)
        artifact = peers.read_artifact(path)
        dump = directory / "dump"
        peers.measure(program, artifact, rows, dump)
        values = np.fromfile(dump, dtype="<f8").reshape(-1, 3 + len(artifact.sources))
        found = differences(artifact, rows, values)
    print(f"{arguments.data.name}: {found.pop('rows'):,} rows, {found.pop('referred'):,} of them referred")
    for what, difference in found.items():
        print(f"  {what:<32} {difference:.2e}")
    return 0 if all(difference <= TOLERANCE for difference in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
