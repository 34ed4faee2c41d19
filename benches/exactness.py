"""Compares raw values, probabilities and SHAP values with CatBoost's on every row of real tables.

    .local/venvs/training/bin/python benches/exactness.py DIRECTORY
    .local/venvs/training/bin/python benches/exactness.py TABLE.csv -- --target NAME --positive ..

The script trains a model on a table with training/train.py, scores every row in Rust and in
CatBoost, and prints the largest differences. It fails if a difference is larger than 1e-9, relative
to the larger of CatBoost's figure and one. In a directory it takes the tables whose options it
knows. For another table, everything after -- goes to train.py. The script writes only to a
temporary directory.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import catboost
import numpy as np

import peers

TOLERANCE = 1e-9
# CatBoost's SHAP values of a whole table would need much memory.
SHAP_BATCH_ROWS = 10_000
BANK_FEATURES = (
    "Loan_Payment_Frequency,Residential_Status,Cheque_Card_Flag,Existing_Customer_Flag,"
    "Home_Telephone_Number,Application_Score,Bureau_Score,Loan_Amount,Time_with_Bank,"
    "Time_in_Employment,Loan_to_income,Gross_Annual_Income"
)
TABLES = {
    # UK loan applications: texts, missing values, and numbers with a special meaning.
    "bank_applications.csv.gz": [
        *("--target", "Final_Decision", "--positive", "Decline", "--split-column", "split"),
        *("--features", BANK_FEATURES),
    ],
    # UCI's default of credit card clients: all columns except the row number.
    "credit_card_default.csv.gz": ["--target", "Y", "--positive", "1", "--exclude", "ID"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "data", type=Path, help="a table (CSV or CSV.gz), or a directory of known tables"
    )
    parser.add_argument("train", nargs="*", help="options of train.py, after --")
    arguments = parser.parse_args()

    if arguments.data.is_dir():
        known = {arguments.data / name: options for name, options in TABLES.items()}
        tables = {
            path: [*options, *arguments.train] for path, options in known.items() if path.exists()
        }
        if not tables:
            parser.error(f"{arguments.data} has none of {', '.join(TABLES)}")
    else:
        tables = {arguments.data: arguments.train}

    program = peers.build()
    exact = [compare(program, path, options) for path, options in tables.items()]
    return 0 if all(exact) else 1


def compare(program: Path, data: Path, train_options: list[str]) -> bool:
    """Prints the largest differences of a table. Returns whether all are within the tolerance."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        rows, path = peers.plain_csv(data, directory), directory / "model.tar.gz"
        peers.train(data, path, train_options)
        artifact = peers.read_artifact(path)
        values = peers.score(program, artifact, rows)
        found = differences(artifact, rows, values)

    referred = int(np.isnan(values[:, 0]).sum())
    training = artifact.manifest["training"]
    print(
        f"{data.name}: {len(values):,} rows, {referred:,} of them referred; {training['trees']}"
        f" trees of depth {training['depth']}, {len(artifact.sources)} columns"
    )
    for what, difference in found.items():
        print(f"  {what:<32} {difference:.2e}")
    return len(values) > referred and all(difference <= TOLERANCE for difference in found.values())


def differences(artifact: peers.Artifact, rows: Path, values: np.ndarray) -> dict[str, float]:
    """The largest differences between CatBoost and the values that `peers.score` returned."""
    matrix = peers.encode(artifact, rows)
    scored = ~np.isnan(values[:, 0])
    pool = catboost.Pool(matrix[scored], feature_names=artifact.model.feature_names_)
    raw = artifact.model.predict(pool, prediction_type="RawFormulaVal")
    probability = artifact.model.predict(pool, prediction_type="Probability")[:, 1]
    found = values[scored]

    largest_shap = largest_base = 0.0
    for start in range(0, len(raw), SHAP_BATCH_ROWS):
        part = slice(start, start + SHAP_BATCH_ROWS)
        batch = pool.slice(list(range(len(raw))[part]))
        shap = artifact.model.get_feature_importance(batch, type="ShapValues")
        by_source = peers.by_source(artifact, shap[:, :-1])
        largest_shap = max(largest_shap, relative(found[part, 3:], by_source))
        largest_base = max(largest_base, relative(found[part, 2], shap[:, -1]))

    to_itself = np.abs(found[:, 0] - raw) / np.abs(raw)
    explained = found[:, 2] + found[:, 3:].sum(axis=1)
    return {
        "raw value": relative(found[:, 0], raw),
        "raw value, relative to itself": float(np.max(to_itself, initial=0.0)),
        "probability": relative(found[:, 1], probability),
        "base value": largest_base,
        "SHAP value": largest_shap,
        "sum of base and SHAP values": relative(explained, found[:, 0]),
    }


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, relative to the larger of their figure and one."""
    return float(np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs)), initial=0.0))


if __name__ == "__main__":
    sys.exit(main())
