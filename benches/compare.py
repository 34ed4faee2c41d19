"""Measures scoring in Rust beside CatBoost and ONNX Runtime, on the same model and rows.

    .local/venvs/training/bin/python benches/compare.py [--rounds 3] [--check]

The script trains 300 trees of depth 6 on 100,000 synthetic rows with 12 numbers. Each program uses
one thread. A round measures every program once, and the best round counts, because other work on
the machine can only make a figure worse. CatBoost and ONNX Runtime are measured by their processor
time and Rust by the clock. So other work makes a ratio smaller and never larger. With `--check` the
script fails if a target is missed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import catboost
import numpy as np
import onnxruntime

import peers

ROWS, COLUMNS = 100_000, 12
BATCHES = (20, 10_000, 100_000)
# ONNX Runtime and CatBoost's SHAP values take too long for larger batches.
SLOW_BATCHES = (20, 10_000)
SECONDS_EACH = 1.0
# What we measure, the rows of a batch, and how many times as fast as which peer it must be.
TARGETS = [
    ("predict", 10_000, 1.0, "catboost"),
    ("predict", 100_000, 1.0, "catboost"),
    ("predict", 20, 20.0, "catboost"),
    ("score_and_reasons", 10_000, 60.0, "catboost_shap"),
]
MAX_LOAD_MS, MAX_RESIDENT_MB = 60.0, 128.0
PEERS = {
    "predict": ("catboost", "catboost_pool", "onnxruntime"),
    "score": ("catboost_shap",),
    "score_and_reasons": ("catboost_shap",),
}

# The seconds of a batch, by what was measured and by its rows.
Times = dict[tuple[str, int], float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best one counts")
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIRECTORY",
        help="write the artifact and the rows to this directory, for criterion",
    )
    arguments = parser.parse_args()

    program = peers.build()
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        times, figures = measure(program, directory, arguments.rounds)

    print_table(times)
    print()
    missed = print_targets(times, figures)
    if missed:
        print(f"missed: {', '.join(missed)}")
    return 1 if missed and arguments.check else 0


def measure(program: Path, directory: Path, rounds: int) -> tuple[Times, dict]:
    """Returns the best times, and the best of the other figures of the measuring program."""
    rows, path = directory / "rows.csv", directory / "model.tar.gz"
    write_rows(rows)
    peers.train(rows, path, ["--target", "bad", "--positive", "1"])
    artifact = peers.read_artifact(path)
    matrix = peers.encode(artifact, rows)

    figures, times = [], []
    for number in range(rounds):
        report = peers.measure(program, artifact, rows)
        times.append(rust_times(report) | peer_times(artifact, matrix))
        figures.append({key: value for key, value in report.items() if key != "batches"})
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return best_of(times), best_of(figures)


def write_rows(path: Path) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(ROWS, COLUMNS)).round(4)
    log_odds = matrix @ rng.normal(size=COLUMNS) * 0.6 + 0.5 * matrix[:, 0] * matrix[:, 1] - 2.0
    bad = rng.random(ROWS) < 1.0 / (1.0 + np.exp(-log_odds))

    table = np.column_stack([matrix, bad])
    header = ",".join([f"x{column}" for column in range(COLUMNS)] + ["bad"])
    formats = ["%.4f"] * COLUMNS + ["%d"]
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt=formats)


def best_time(work: Callable[[], object]) -> float:
    """Repeats the work for a second. Returns the least processor time of a call, in seconds."""
    best, end = float("inf"), time.perf_counter() + SECONDS_EACH
    while time.perf_counter() < end or best == float("inf"):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def peer_times(artifact: peers.Artifact, matrix: np.ndarray) -> Times:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        artifact.onnx, options, providers=["CPUExecutionProvider"]
    )
    input_name = session.get_inputs()[0].name
    run_onnx = partial(session.run, ["probabilities"])
    predict = partial(artifact.model.predict_proba, thread_count=1)
    explain = partial(artifact.model.get_feature_importance, type="ShapValues", thread_count=1)

    times = {}
    for size in BATCHES:
        rows, pool = matrix[:size], catboost.Pool(matrix[:size])
        times["catboost", size] = best_time(partial(predict, rows))
        times["catboost_pool", size] = best_time(partial(predict, pool))
        if size in SLOW_BATCHES:
            times["onnxruntime", size] = best_time(partial(run_onnx, {input_name: rows}))
            times["catboost_shap", size] = best_time(partial(explain, pool))
    return times


def rust_times(report: dict) -> Times:
    return {
        (kind, batch["rows"]): batch[f"{kind}_seconds"]
        for batch in report["batches"]
        for kind in PEERS
    }


def best_of(rounds: list[dict]) -> dict:
    return {key: min(figures[key] for figures in rounds) for key in rounds[0]}


def print_table(times: Times) -> None:
    print("| | rows | time | rows/s | |\n|---|---|---|---|---|")
    for (kind, size), seconds in times.items():
        ratios = ", ".join(
            f"{times[peer, size] / seconds:.2f} x {peer}"
            for peer in PEERS.get(kind, ())
            if (peer, size) in times
        )
        print(f"| {kind} | {size:,} | {seconds * 1e6:,.1f} us | {size / seconds:,.0f} | {ratios} |")


def print_targets(times: Times, figures: dict) -> list[str]:
    """Prints each target beside its figure, and returns those that are missed."""
    missed = []
    for kind, size, least, peer in TARGETS:
        ratio = times[peer, size] / times[kind, size]
        print(f"{kind} at {size:,} rows: {ratio:.2f} times {peer} (at least {least})")
        if ratio < least:
            missed.append(f"{kind} at {size:,} rows")

    opened, loaded = figures["open_ms"], figures["load_ms"]
    print(f"open {opened:.1f} ms and load {loaded:.1f} ms (together at most {MAX_LOAD_MS:.0f})")
    if opened + loaded > MAX_LOAD_MS:
        missed.append("load")
    first, tables = figures["first_load_ms"], figures["table_bytes"] / 2**10
    print(f"the first load of the process {first:.1f} ms, tables {tables:,.0f} KiB")

    resident = figures["resident_bytes_with_model"] / 2**20
    print(f"resident with the model: {resident:.1f} MiB (at most {MAX_RESIDENT_MB:.0f})")
    if resident > MAX_RESIDENT_MB:
        missed.append("resident")
    return missed


if __name__ == "__main__":
    sys.exit(main())
