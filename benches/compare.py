"""Measures scoring in Rust beside CatBoost and ONNX Runtime, on the same model and rows, one thread each, in one run.

    .local/venvs/training/bin/python benches/compare.py [--rounds 3] [--check]

Trains 300 trees of depth 6 on 100,000 made-up rows with 12 numbers, then takes turns: each round measures everything once,
and the best of the rounds counts, because what else the machine does only makes a figure worse. `--check` fails when
a ratio of issue 3 is missed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import catboost
import numpy as np
import onnxruntime
import peers

ROWS, COLUMNS = 100_000, 12
BATCHES = (20, 10_000, 100_000)
SHAP_BATCHES = (20, 10_000)
SECONDS_EACH = 1.0
# From issue 3: what, batch, at least so many times the peer.
TARGETS = [
    ("predict", "catboost", 10_000, 1.0),
    ("predict", "catboost", 100_000, 1.0),
    ("predict", "catboost", 20, 20.0),
    ("score_and_reasons", "catboost_shap", 10_000, 60.0),
]
MAX_LOAD_MS, MAX_RESIDENT_MB = 60.0, 128.0


def write_rows(path: Path) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(ROWS, COLUMNS)).round(4)
    log_odds = matrix @ rng.normal(size=COLUMNS) * 0.6 + 0.5 * matrix[:, 0] * matrix[:, 1] - 2.0
    bad = rng.random(ROWS) < 1.0 / (1.0 + np.exp(-log_odds))
    header = ",".join([f"x{column}" for column in range(COLUMNS)] + ["bad"])
    np.savetxt(path, np.column_stack([matrix, bad]), delimiter=",", header=header, comments="", fmt=["%.4f"] * COLUMNS + ["%d"])


def best_time(work) -> float:
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < SECONDS_EACH or best == float("inf"):
        run = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - run)
    return best


def peer_times(artifact: peers.Artifact, matrix: np.ndarray) -> dict[tuple[str, int], float]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(artifact.onnx, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    model, times = artifact.model, {}
    for size in BATCHES:
        rows = matrix[:size]
        pool = catboost.Pool(rows)
        times["catboost", size] = best_time(lambda: model.predict_proba(rows, thread_count=1))
        times["catboost_pool", size] = best_time(lambda: model.predict_proba(pool, thread_count=1))
        if size <= 10_000:
            times["onnxruntime", size] = best_time(lambda: session.run(["probabilities"], {name: rows}))
    for size in SHAP_BATCHES:
        pool = catboost.Pool(matrix[:size])
        explain = lambda: model.get_feature_importance(pool, type="ShapValues", thread_count=1)
        times["catboost_shap", size] = best_time(explain)
    return times


def rust_times(report: dict) -> dict[tuple[str, int], float]:
    kinds = ("predict", "score", "score_and_reasons")
    return {(kind, batch["rows"]): batch[f"{kind}_seconds"] for batch in report["batches"] for kind in kinds}


def print_table(times: dict) -> None:
    peers_of = {"predict": ("catboost", "catboost_pool", "onnxruntime"), "score": ("catboost_shap",), "score_and_reasons": ("catboost_shap",)}
    print(f"\n| | rows | time | rows/s | {'ratios':<60} |\n|---|---|---|---|---|")
    for (kind, size), seconds in times.items():
        others = [(peer, times[peer, size] / seconds) for peer in peers_of.get(kind, ()) if (peer, size) in times]
        ratios = ", ".join(f"{ratio:.2f} x {peer}" for peer, ratio in others)
        print(f"| {kind} | {size:,} | {seconds * 1e6:,.1f} us | {size / seconds:,.0f} | {ratios} |")


def missed(times: dict, report: dict) -> list[str]:
    found = []
    for kind, peer, size, least in TARGETS:
        ratio = times[peer, size] / times[kind, size]
        print(f"{kind} at {size:,} rows: {ratio:.2f} times {peer} (at least {least})")
        if ratio < least:
            found.append(f"{kind} at {size:,} rows")
    load, resident = report["open_ms"] + report["load_ms"], report["resident_bytes_with_model"] / 2**20
    print(f"open and load: {load:.1f} ms (at most {MAX_LOAD_MS}), the first time {report['first_load_ms']:.1f} ms")
    print(f"resident with the model: {resident:.1f} MiB (at most {MAX_RESIDENT_MB}), tables {report['table_bytes'] / 2**10:,.0f} KiB")
    return found + ["load"] * (load > MAX_LOAD_MS) + ["resident"] * (resident > MAX_RESIDENT_MB)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="fail when a target is missed")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave the artifact and the rows there, for criterion")
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
        times: dict = {}
        for number in range(arguments.rounds):
            report = peers.measure(program, artifact, rows)
            for key, seconds in {**rust_times(report), **peer_times(artifact, matrix)}.items():
                times[key] = min(times.get(key, float("inf")), seconds)
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    print_table(times)
    print()
    short = missed(times, report)
    if short:
        print(f"missed: {', '.join(short)}")
    return 1 if short and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
