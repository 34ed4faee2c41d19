"""Measures a whole run beside the database alone and beside Python, on the same customers.

    make bench                       a million customers
    make bench CUSTOMERS=20000       for a quick try

1. The floor: one plain COPY of the eligible rows with their features out of the database. Then one
   plain UPDATE of the same rows with values of the same size.
2. The whole run: the built functions driven directly, and through LocalStack and Step Functions.
3. The same work in Python, written as well as we can (peer.py).

The tables are restored file by file before each measurement. After a run, the table, the ledger,
the objects in S3 and the summary must have the same counts. The best of several rounds counts,
because other work on the machine can only make a figure worse.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from . import machine, report
from .database import Database
from .measurements import FULL, PARTS, TENTH, Measurements, run_rounds


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="end_to_end", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--customers", type=int, default=1_000_000, help="customers (default 1,000,000)")
    add("--shard-size", type=int, help="customers in a shard (default: that of a run)")
    add("--workers", type=int, default=2, help="simultaneous shards, driven directly")
    add("--concurrency", type=int, default=4, help="simultaneous shards, through LocalStack")
    add("--rounds", type=int, default=2, help="rounds; the best one counts (default 2)")
    add("--only", nargs="+", choices=PARTS, default=PARTS, help="measure only these parts")
    add(
        "--home",
        type=Path,
        default=machine.ROOT / ".local" / "bench",
        help="the directory of the services of this measurement (default .local/bench)",
    )
    add("--cli", help="a built limit-increase to use instead of `cargo run`")
    add("--loaded", action="store_true", help="use the customers that an earlier call loaded")
    add("--keep", action="store_true", help="leave the services running, for --loaded")
    add("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    add("--check", action="store_true", help="fail if a target is missed")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    figures = report.Figures(arguments.customers)
    environment = make_environment(arguments)
    try:
        measure(arguments, environment, figures)
    finally:
        if not arguments.keep:
            environment.stop()

    print(report.text(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.document(figures), indent=2))

    missed = report.missed(figures)
    for what in missed:
        print(f"missed: {what}")
    return 1 if missed and arguments.check else 0


def make_environment(arguments: argparse.Namespace) -> machine.Environment:
    default_venvs = machine.ROOT / ".local" / "venvs"
    venvs = Path(os.environ.get("LIMIT_INCREASE_VENVS") or default_venvs).absolute()
    program = ["cargo", "run", "--quiet", "--bin", "limit-increase", "--"]
    if arguments.cli:
        program = [str(Path(arguments.cli).absolute())]
    return machine.Environment(arguments.home.absolute(), program, venvs)


def measure(
    arguments: argparse.Namespace, environment: machine.Environment, figures: report.Figures
) -> None:
    environment.cli("start")
    environment.cli("train")
    concurrency = f"MaxConcurrency={arguments.concurrency}"
    outputs = environment.cli("deploy", "--parameter", concurrency)["outputs"]

    database = Database(environment)
    if not arguments.loaded:
        if "tenth" in arguments.only:
            load(environment, database, arguments.customers // 10, TENTH)
        figures.load_seconds = load(environment, database, arguments.customers, FULL)

    directory = environment.home / "bench"
    directory.mkdir(exist_ok=True)
    state_machine = outputs["StateMachineArn"]
    measurements = Measurements(arguments, environment, database, directory, state_machine)
    run_rounds(measurements, figures)
    if not arguments.keep:
        database.close(FULL, TENTH)


def load(
    environment: machine.Environment, database: Database, customers: int, template: str
) -> float:
    """Loads the customers and keeps the tables as a template. Returns the seconds of setup-db."""
    started = time.perf_counter()
    environment.cli("setup-db", "--customers", str(customers), "--reset")
    seconds = time.perf_counter() - started
    database.keep_as(template)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
