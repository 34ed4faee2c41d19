"""Measures scoring in Rust beside CatBoost and ONNX Runtime, on the same model and rows, one thread each, in one run.

    .local/venvs/training/bin/python benches/compare.py [--rounds 3] [--check]

Trains 300 trees of depth 6 on 100,000 made-up rows with 12 numbers, then takes turns: each round measures everything
once, and the best of the rounds counts, because what else the machine does only makes a figure worse. CatBoost and ONNX
Runtime are timed by the processor time that they take and Rust by the clock, so that a busy machine can make a ratio
smaller but never larger. `--check` fails when a target is missed.
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
# ONNX Runtime and CatBoost's SHAP values take too long for more.
SLOW_BATCHES = (20, 10_000)
SECONDS_EACH = 1.0
# What, batch, at least so many times as fast as which peer.
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

Times = dict[tuple[str, int], float]


def write_rows(path: Path) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(ROWS, COLUMNS)).round(4)
    log_odds = matrix @ rng.normal(size=COLUMNS) * 0.6 + 0.5 * matrix[:, 0] * matrix[:, 1] - 2.0
    bad = rng.random(ROWS) < 1.0 / (1.0 + np.exp(-log_odds))
    header = ",".join([f"x{column}" for column in range(COLUMNS)] + ["bad"])
    formats = ["%.4f"] * COLUMNS + ["%d"]
    np.savetxt(
        path, np.column_stack([matrix, bad]), delimiter=",", header=header, comments="", fmt=formats
    )


def best_time(work: Callable[[], object]) -> float:
    """The least processor time of the calls that fit into the time, in seconds."""
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
    name = session.get_inputs()[0].name
    predict = partial(artifact.model.predict_proba, thread_count=1)
    explain = partial(artifact.model.get_feature_importance, type="ShapValues", thread_count=1)
    times = {}
    for size in BATCHES:
        rows, pool = matrix[:size], catboost.Pool(matrix[:size])
        times["catboost", size] = best_time(partial(predict, rows))
        times["catboost_pool", size] = best_time(partial(predict, pool))
        if size in SLOW_BATCHES:
            times["onnxruntime", size] = best_time(
                partial(session.run, ["probabilities"], {name: rows})
            )
            times["catboost_shap", size] = best_time(partial(explain, pool))
    return times


def rust_times(report: dict) -> Times:
    kinds = ("predict", "score", "score_and_reasons")
    return {
        (kind, batch["rows"]): batch[f"{kind}_seconds"]
        for batch in report["batches"]
        for kind in kinds
    }


def best_of(rounds: list[dict]) -> dict:
    return {key: min(figures[key] for figures in rounds) for key in rounds[0]}


def print_table(times: Times) -> None:
    print("| | rows | time | rows/s | |\n|---|---|---|---|---|")
    for (kind, size), seconds in times.items():
        others = [
            (peer, times[peer, size] / seconds)
            for peer in PEERS.get(kind, ())
            if (peer, size) in times
        ]
        ratios = ", ".join(f"{ratio:.2f} x {peer}" for peer, ratio in others)
        print(f"| {kind} | {size:,} | {seconds * 1e6:,.1f} us | {size / seconds:,.0f} | {ratios} |")


def missed(times: Times, figures: dict) -> list[str]:
    """Prints each target with what was reached, and gives those that were not."""
    found = []
    for kind, size, least, peer in TARGETS:
        ratio = times[peer, size] / times[kind, size]
        print(f"{kind} at {size:,} rows: {ratio:.2f} times {peer} (at least {least})")
        if ratio < least:
            found.append(f"{kind} at {size:,} rows")
    load, resident = (
        figures["open_ms"] + figures["load_ms"],
        figures["resident_bytes_with_model"] / 2**20,
    )
    first = figures["first_load_ms"]
    print(
        f"open {figures['open_ms']:.1f} ms and load {figures['load_ms']:.1f} ms (together at most {MAX_LOAD_MS:.0f})"
    )
    print(
        f"the first load of the process {first:.1f} ms, tables {figures['table_bytes'] / 2**10:,.0f} KiB"
    )
    print(f"resident with the model: {resident:.1f} MiB (at most {MAX_RESIDENT_MB:.0f})")
    return found + ["load"] * (load > MAX_LOAD_MS) + ["resident"] * (resident > MAX_RESIDENT_MB)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="fail when a target is missed")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIRECTORY",
        help="leave artifact and rows there, for criterion",
    )
    arguments = parser.parse_args()
    program = peers.build()
    with tempfile.TemporaryDirectory() as name:
        directory = arguments.keep or Path(name)
        directory.mkdir(parents=True, exist_ok=True)
        rows, path = directory / "rows.csv", directory / "model.tar.gz"
        write_rows(rows)
        peers.train(rows, path, ["--target", "bad", "--positive", "1"])
        artifact = peers.read_artifact(path)
        matrix = peers.encode(artifact, rows)
        reports, times = [], []
        for number in range(arguments.rounds):
            report = peers.measure(program, artifact, rows)
            times.append(rust_times(report) | peer_times(artifact, matrix))
            reports.append({key: value for key, value in report.items() if key != "batches"})
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    print_table(best_of(times))
    print()
    short = missed(best_of(times), best_of(reports))
    if short:
        print(f"missed: {', '.join(short)}")
    return 1 if short and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
