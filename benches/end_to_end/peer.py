"""The work of a run in Python, written as well as we can, to compare with.

    PYTHONPATH=benches .local/venvs/bench/bin/python -m end_to_end.peer --database .. --artifact ..

It is one process without Step Functions, hand-off and ledger. psycopg copies the rows out, and
pandas parses them. CatBoost's own `predict` and `ShapValues` run on all cores. numpy applies the
rules to whole cents. The decisions are copied into a temporary table, and one guarded UPDATE writes
them. The program prints the cost of each part as JSON. The measurement runs it and compares its
decisions with those of the functions.
"""

import argparse
import io
import json
import resource
import sys
import time
from pathlib import Path

import catboost
import numpy as np
import pandas as pd
import psycopg

import peers

from .database import ELIGIBLE

# CatBoost's SHAP values of all rows would need much memory.
SHAP_BATCH_ROWS = 50_000
MAX_REASONS = 4
# The default policy (shared/domain/src/policy.rs), with money in cents.
MINIMUM_SCORE, TIER, MAXIMUM, UNIT = 650, 500_000, 2_000_000, 100


class Clock:
    """The seconds and CPU seconds of each part. A part ends with `lap`."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self._last = (time.perf_counter(), time.process_time())

    def lap(self, part: str) -> None:
        now = (time.perf_counter(), time.process_time())
        self.parts[part] = {
            "seconds": now[0] - self._last[0],
            "cpu_seconds": now[1] - self._last[1],
        }
        self._last = now


def read_customers(connection: psycopg.Connection, artifact: peers.Artifact) -> pd.DataFrame:
    names = artifact.sources
    columns = ", ".join(f'f."{name}"' for name in names)
    query = f"""COPY (SELECT b.customer_id, b.current_score, b.current_limit, {columns}
                FROM batch_scores b JOIN customer_features f USING (customer_id)
                WHERE {ELIGIBLE}) TO STDOUT (FORMAT csv)"""
    buffer = io.BytesIO()
    with connection.cursor().copy(query) as copy:
        for block in copy:
            buffer.write(block)
    buffer.seek(0)

    texts = {
        column["source_column"]
        for column in artifact.manifest["features"]
        if column["kind"] != "numeric"
    }
    kinds = {"customer_id": str, "current_score": np.int32, "current_limit": str}
    kinds |= {f"f_{name}": str if name in texts else np.float64 for name in names}
    frame = pd.read_csv(
        buffer, header=None, names=list(kinds), dtype=kinds, keep_default_na=False, na_values=[""]
    )
    # Money is never a float: the cents are read from the text.
    frame["cents"] = frame["current_limit"].str.replace(".", "", regex=False).astype(np.int64)
    return frame


def encode(artifact: peers.Artifact, frame: pd.DataFrame) -> np.ndarray:
    features = artifact.manifest["features"]
    matrix = np.empty((len(frame), len(features)), dtype=np.float32)
    for position, feature in enumerate(features):
        values = frame[f"f_{feature['source_column']}"]
        if feature["kind"] == "numeric":
            matrix[:, position] = values
        else:
            category = feature["category"]
            matrix[:, position] = values.isna() if category is None else values == category
    return matrix


def explain(artifact: peers.Artifact, matrix: np.ndarray) -> np.ndarray:
    """The SHAP values of each row, by source column."""
    names = artifact.model.feature_names_
    parts = []
    for start in range(0, len(matrix), SHAP_BATCH_ROWS):
        pool = catboost.Pool(matrix[start : start + SHAP_BATCH_ROWS], feature_names=names)
        shap = artifact.model.get_feature_importance(pool, type="ShapValues")
        parts.append(peers.by_source(artifact, shap[:, :-1]))
    return np.concatenate(parts)


def scores(artifact: peers.Artifact, raw: np.ndarray) -> np.ndarray:
    parameters = artifact.manifest["scorecard"]
    factor = parameters["pdo"] / np.log(2)
    points = parameters["target_score"] - factor * np.log(parameters["target_odds"]) - factor * raw
    # Rounded half away from zero.
    return (np.sign(points) * np.floor(np.abs(points) + 0.5)).astype(np.int64)


def decide(score: np.ndarray, cents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether each customer is approved, and the new limit in cents."""
    grown = np.where(cents < TIER, cents * 3 // 2, cents * 5 // 4)
    new = np.minimum(grown, MAXIMUM) // UNIT * UNIT
    return (score >= MINIMUM_SCORE) & (new > cents), new


def wording(artifact: peers.Artifact, frame: pd.DataFrame, source: str) -> np.ndarray:
    """The words about one source column for every customer. Each distinct value is worded once."""
    feature = next(f for f in artifact.manifest["features"] if f["source_column"] == source)
    what, values = feature["description"], frame[f"f_{source}"]
    if feature["kind"] == "numeric":
        values = values.astype(np.float32)
    codes, distinct = pd.factorize(values, use_na_sentinel=True)

    def words(value: object) -> str:
        if feature["kind"] != "numeric":
            return f"{what} is '{value}'"
        number = float(value)
        shown = str(int(number)) if number.is_integer() else str(np.float32(value))
        if number == feature["median"]:
            return f"{what} is {shown}"
        return f"{what} is {'low' if number < feature['median'] else 'high'} ({shown})"

    # A missing value has the code -1, which is the last entry.
    worded = [*(words(value) for value in distinct), f"{what} is missing"]
    return np.array(worded, dtype=object)[codes]


def sentences(
    artifact: peers.Artifact,
    frame: pd.DataFrame,
    shap: np.ndarray,
    score: np.ndarray,
    approved: np.ndarray,
    new: np.ndarray,
) -> list[str]:
    """The reason of each decision."""
    words = np.stack([wording(artifact, frame, source) for source in artifact.sources], axis=1)
    worst = np.argsort(-shap, axis=1, kind="stable")[:, :MAX_REASONS]
    counts = np.minimum((shap > 0).sum(axis=1), MAX_REASONS)
    chosen = np.take_along_axis(words, worst, axis=1)

    found = []
    for row, points in enumerate(score.tolist()):
        if approved[row]:
            now, then = frame["current_limit"].iat[row], f"{new[row] // 100}.{new[row] % 100:02}"
            capped = " (capped at the maximum of 20000.00)" if new[row] == MAXIMUM else ""
            found.append(
                f"Score {points} meets the minimum of 650; limit raised from {now} to"
                f" {then}{capped}."
            )
        else:
            reasons = "; ".join(chosen[row, : counts[row]])
            found.append(f"Score {points} is below the minimum of 650. Main reasons: {reasons}.")
    return found


def write(
    connection: psycopg.Connection,
    frame: pd.DataFrame,
    approved: np.ndarray,
    new: np.ndarray,
    reasons: list[str],
) -> int:
    """Writes the decisions of customers who have not changed. Returns how many."""
    connection.execute(
        """CREATE TEMPORARY TABLE decisions (customer_id TEXT, current_score INTEGER,
           current_limit NUMERIC, decision TEXT, new_limit NUMERIC, reason TEXT) ON COMMIT DROP"""
    )
    out = pd.DataFrame(
        {
            "customer_id": frame["customer_id"],
            "current_score": frame["current_score"],
            "current_limit": frame["current_limit"],
            "decision": np.where(approved, "APPROVED", "DECLINED"),
            "new_limit": np.where(approved, np.char.add((new // 100).astype(str), ".00"), ""),
            "reason": reasons,
        }
    )
    text = out.to_csv(header=False, index=False)
    with connection.cursor().copy("COPY decisions FROM STDIN (FORMAT csv)") as copy:
        copy.write(text)

    written = connection.execute(
        """UPDATE batch_scores b SET limit_increase_decision = d.decision, new_limit = d.new_limit,
               decision_reason = d.reason, updated_at = now() AT TIME ZONE 'UTC'
           FROM decisions d
           WHERE b.customer_id = d.customer_id AND b.limit_increase_decision IS NULL
               AND b.current_score = d.current_score AND b.current_limit = d.current_limit"""
    ).rowcount
    connection.commit()
    return written


def main() -> int:
    parser = argparse.ArgumentParser(prog="end_to_end.peer", description=__doc__.splitlines()[0])
    parser.add_argument("--database", required=True, help="the URL of the database")
    parser.add_argument("--artifact", type=Path, required=True, help="the model artifact")
    arguments = parser.parse_args()

    clock = Clock()
    artifact = peers.read_artifact(arguments.artifact)
    with psycopg.connect(arguments.database) as connection:
        clock.lap("start")
        frame = read_customers(connection, artifact)
        clock.lap("read")
        matrix = encode(artifact, frame)
        raw = artifact.model.predict(matrix, prediction_type="RawFormulaVal")
        clock.lap("score")
        shap = explain(artifact, matrix)
        clock.lap("explain")
        score = scores(artifact, raw)
        approved, new = decide(score, frame["cents"].to_numpy())
        reasons = sentences(artifact, frame, shap, score, approved, new)
        clock.lap("decide")
        written = write(connection, frame, approved, new, reasons)
        clock.lap("write")

    usage = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "rows": written,
        "approved": int(approved.sum()),
        "parts": clock.parts,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    json.dump(report, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
