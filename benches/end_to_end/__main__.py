"""Measures a whole run beside what the database alone would take, and beside Python, on the same data in one go.

    make bench                                  a million customers
    make bench CUSTOMERS=20000                  to try it

1. The floor: one plain COPY out of the eligible rows with their features, one plain UPDATE of the same rows with
   values of the same size.
2. The whole run: the built functions driven directly, and through LocalStack and Step Functions.
3. The best Python that we can write (peer.py).

Before each, the tables are put back file for file. Afterwards the table, the ledger, the objects in S3 and the summary
have to tell of the same counts. Of several rounds the best counts: what else the machine does makes it only worse.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from . import functions, machine, report, states, storage
from .database import Database

FULL, TENTH = "bench_full", "bench_tenth"
PARTS = ("floor", "direct", "localstack", "peer", "tenth")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="end_to_end", description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument(
        "--shard-size", type=int, help="customers in a shard; the default of a run if not given"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="shards at work at a time, driven directly"
    )
    parser.add_argument(
        "--concurrency", type=int, default=4, help="shards at work at a time, through LocalStack"
    )
    parser.add_argument("--rounds", type=int, default=2, help="the best of so many counts")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, help="leave the other parts out"
    )
    parser.add_argument(
        "--home", type=Path, default=machine.ROOT / ".local" / "bench", help="the bench's services"
    )
    parser.add_argument("--cli", help="a built limit-increase, instead of cargo run")
    parser.add_argument(
        "--loaded", action="store_true", help="go on with the customers of the run before"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the services running, for --loaded"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--check", action="store_true", help="fail when a target of the project is missed"
    )
    return parser.parse_args()


@dataclass
class Bench:
    """The environment, and one measurement after the other."""

    arguments: argparse.Namespace
    environment: machine.Environment
    database: Database
    directory: Path
    # The state machine's ARN.
    state_machine: str
    reason: str = "x" * 150

    @property
    def request(self) -> dict:
        size = self.arguments.shard_size
        return {"limit": None, **({"shard_size": size} if size else {})}

    def direct(self, template: str) -> report.Measured:
        self.database.restore(template)
        name, environment = f"direct-{time.time_ns()}", self.environment
        variables = {
            **machine.aws_variables(),
            "AWS_ENDPOINT_URL": environment.endpoint,
            "DATABASE_URL": self.database.url,
            "RUST_LOG": "info",
        }
        read = functools.partial(storage.read, environment)
        postgres, s3 = self.database.cpu_seconds(), machine.cpu_seconds(environment.localstack_pid)
        log = self.directory / "functions.log"
        run = functions.run(name, self.request, variables, log, self.arguments.workers, read)
        postgres = self.database.cpu_seconds() - postgres
        s3 = machine.cpu_seconds(environment.localstack_pid) - s3
        self.check(name, run.summary)
        taken = {"postgres": postgres, "s3": s3}
        return report.Measured(
            run.seconds,
            run.summary["eligible"],
            taken,
            run.steps,
            run.query_seconds,
            run.summary["approved"],
        )

    def localstack(self, template: str) -> report.Measured:
        self.database.restore(template)
        name, pid = f"emulated-{time.time_ns()}", self.environment.localstack_pid
        before, processes = machine.cpu_seconds(pid), storage.function_processes(pid)
        postgres = self.database.cpu_seconds()
        summary, seconds = states.run(self.environment, self.state_machine, name, self.request)
        postgres = self.database.cpu_seconds() - postgres
        steps = storage.steps_since(processes, storage.function_processes(pid))
        emulator = (
            machine.cpu_seconds(pid) - before - sum(step.cpu_seconds for step in steps.values())
        )
        self.check(name, summary)
        taken = {"postgres": postgres, "localstack": emulator}
        return report.Measured(seconds, summary["eligible"], taken, steps)

    def peer(self, template: str) -> report.Peer:
        self.database.restore(template)
        postgres = self.database.cpu_seconds()
        command = [sys.executable, "-m", f"{__package__}.peer"]
        command += ["--database", self.database.url, "--artifact", str(self.environment.artifact)]
        started = time.perf_counter()
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        seconds = time.perf_counter() - started
        table = self.database.counts(None)["table"]
        if sum(table.values()) != answer["rows"]:
            raise SystemExit(f"the peer wrote {answer['rows']} rows, the table has {table}")
        return report.Peer(seconds, answer, self.database.cpu_seconds() - postgres)

    def check(self, name: str, summary: dict) -> None:
        """The same counts in the table, the ledger, the objects and the summary."""
        counts = {key: summary[key] for key in ("approved", "declined", "referred", "stale")}
        decided = {key: count for key, count in counts.items() if count and key != "stale"}
        found = self.database.counts(name)
        with tempfile.TemporaryDirectory(dir=self.directory) as target:
            storage.fetch(self.environment, f"pipeline/results/run={name}/", Path(target))
            rows = duckdb.sql(
                f"""SELECT CASE WHEN outcome = 'STALE' THEN 'stale' ELSE lower(decision) END, count(*)
                    FROM read_parquet('{target}/*.parquet') GROUP BY 1"""
            ).fetchall()
        objects = {key: dict(rows).get(key, 0) for key in counts}
        same = found["shards"] == found["run"] == objects == counts and found["table"] == decided
        if not same or sum(counts.values()) != summary["eligible"]:
            raise SystemExit(f"run {name} does not add up: {summary}, {found}, objects {objects}")
        storage.forget(self.environment, name)


def measure(bench: Bench, figures: report.Figures) -> None:
    arguments = bench.arguments
    sources = report.sources(bench.environment.artifact)
    for number in range(arguments.rounds):
        if "direct" in arguments.only:
            figures.direct.append(bench.direct(FULL))
            bench.reason = "x" * bench.database.mean_reason_length()
        if "floor" in arguments.only:
            bench.database.restore(FULL)
            figures.floor.append(bench.database.floor(sources, bench.reason))
        if "localstack" in arguments.only:
            figures.localstack.append(bench.localstack(FULL))
        if "tenth" in arguments.only:
            figures.tenth.append(bench.direct(TENTH))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    if "peer" in arguments.only:
        figures.peer = bench.peer(FULL)
        for ours in figures.direct:
            if (ours.rows, ours.approved) != (
                figures.peer.answer["rows"],
                figures.peer.answer["approved"],
            ):
                raise SystemExit(
                    f"the peer decided otherwise: {figures.peer.answer}, not {ours.approved} of {ours.rows}"
                )


def load(
    environment: machine.Environment, database: Database, customers: int, template: str
) -> tuple[float, int]:
    started = time.perf_counter()
    environment.cli("setup-db", "--customers", str(customers), "--reset")
    seconds = time.perf_counter() - started
    return seconds, database.keep_as(template)


def main() -> int:
    arguments = parse()
    venvs = Path(
        os.environ.get("LIMIT_INCREASE_VENVS") or machine.ROOT / ".local" / "venvs"
    ).absolute()
    cargo = ["cargo", "run", "--quiet", "--bin", "limit-increase", "--"]
    program = [str(Path(arguments.cli).absolute())] if arguments.cli else cargo
    environment = machine.Environment(arguments.home.absolute(), program, venvs)
    figures = report.Figures(arguments.customers)
    try:
        environment.cli("start")
        environment.cli("train")
        concurrency = f"MaxConcurrency={arguments.concurrency}"
        outputs = environment.cli("deploy", "--parameter", concurrency)["outputs"]
        database = Database(environment)
        if not arguments.loaded:
            if "tenth" in arguments.only:
                load(environment, database, arguments.customers // 10, TENTH)
            figures.load_seconds, _ = load(environment, database, arguments.customers, FULL)
        directory = environment.home / "bench"
        directory.mkdir(exist_ok=True)
        measure(
            Bench(arguments, environment, database, directory, outputs["StateMachineArn"]), figures
        )
        if not arguments.keep:
            database.close(FULL, TENTH)
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


if __name__ == "__main__":
    sys.exit(main())
