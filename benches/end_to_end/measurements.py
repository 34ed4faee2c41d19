"""The measurements, one after the other, each on restored tables and with its result checked."""

import argparse
import functools
import json
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
COUNTS = ("approved", "declined", "referred", "stale")


@dataclass
class Measurements:
    """The environment, with a method for each measurement."""

    arguments: argparse.Namespace
    environment: machine.Environment
    database: Database
    directory: Path
    # The state machine's ARN.
    state_machine: str
    # The decision reason of the floor's UPDATE. After a run it is as long as the run's are.
    reason: str = "x" * 150

    @property
    def request(self) -> dict:
        size = self.arguments.shard_size
        return {"limit": None, **({"shard_size": size} if size else {})}

    def direct(self, template: str) -> report.RunFigures:
        """A run whose functions are driven directly, two shards simultaneously by default."""
        self.database.restore(template)
        name, environment = f"direct-{time.time_ns()}", self.environment
        variables = {
            **machine.aws_variables(),
            "AWS_ENDPOINT_URL": environment.endpoint,
            "DATABASE_URL": self.database.url,
            "RUST_LOG": "info",
        }
        read_object = functools.partial(storage.read, environment)
        log = self.directory / "functions.log"

        postgres, s3 = self.database.cpu_seconds(), machine.cpu_seconds(environment.localstack_pid)
        run = functions.run(name, self.request, variables, log, self.arguments.workers, read_object)
        postgres = self.database.cpu_seconds() - postgres
        s3 = machine.cpu_seconds(environment.localstack_pid) - s3

        self.check(name, run.summary)
        return report.RunFigures(
            seconds=run.seconds,
            rows=run.summary["eligible"],
            others={"postgres": postgres, "s3": s3},
            steps=run.steps,
            query_seconds=run.query_seconds,
            approved=run.summary["approved"],
        )

    def localstack(self, template: str) -> report.RunFigures:
        """A run of the deployed state machine on LocalStack."""
        self.database.restore(template)
        name, pid = f"emulated-{time.time_ns()}", self.environment.localstack_pid

        before, processes = machine.cpu_seconds(pid), storage.function_processes(pid)
        postgres = self.database.cpu_seconds()
        summary, seconds = states.run(self.environment, self.state_machine, name, self.request)
        postgres = self.database.cpu_seconds() - postgres
        steps = storage.costs_since(processes, storage.function_processes(pid))
        # The functions are children of LocalStack, so their CPU seconds are in those of LocalStack.
        of_functions = sum(step.cpu_seconds for step in steps.values())
        localstack = machine.cpu_seconds(pid) - before - of_functions

        self.check(name, summary)
        others = {"postgres": postgres, "localstack": localstack}
        return report.RunFigures(seconds, summary["eligible"], others, steps)

    def peer(self, template: str) -> report.PeerFigures:
        """The same work in Python, as a process of its own."""
        self.database.restore(template)
        command = [sys.executable, "-m", f"{__package__}.peer"]
        command += ["--database", self.database.url, "--artifact", str(self.environment.artifact)]

        postgres = self.database.cpu_seconds()
        started = time.perf_counter()
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        seconds = time.perf_counter() - started
        postgres = self.database.cpu_seconds() - postgres

        table = self.database.counts(None)["table"]
        if sum(table.values()) != answer["rows"]:
            raise SystemExit(f"the peer wrote {answer['rows']} rows, the table has {table}")
        return report.PeerFigures(seconds, answer, postgres)

    def check(self, name: str, summary: dict) -> None:
        """Checks that the table, the ledger, the objects and the summary have the same counts."""
        counts = {key: summary[key] for key in COUNTS}
        decided = {key: count for key, count in counts.items() if count and key != "stale"}
        found = self.database.counts(name)
        objects = self.counts_of_objects(name)
        same = found["shards"] == found["run"] == objects == counts and found["table"] == decided
        if not same or sum(counts.values()) != summary["eligible"]:
            raise SystemExit(f"run {name} does not add up: {summary}, {found}, objects {objects}")

        storage.remove(self.environment, name)

    def counts_of_objects(self, name: str) -> dict[str, int]:
        """Counts the rows of the run's results in S3."""
        with tempfile.TemporaryDirectory(dir=self.directory) as target:
            storage.fetch(self.environment, f"pipeline/results/run={name}/", Path(target))
            query = f"""SELECT CASE WHEN effect = 'STALE' THEN 'stale' ELSE lower(decision) END,
                               count(*)
                        FROM read_parquet('{target}/*.parquet') GROUP BY 1"""
            rows = dict(duckdb.sql(query).fetchall())
        return {key: rows.get(key, 0) for key in COUNTS}


def run_rounds(measurements: Measurements, figures: report.Figures) -> None:
    arguments, database = measurements.arguments, measurements.database
    sources = measurements.environment.source_columns()
    for number in range(arguments.rounds):
        if "direct" in arguments.only:
            figures.direct.append(measurements.direct(FULL))
            measurements.reason = "x" * database.mean_reason_length()
        if "floor" in arguments.only:
            database.restore(FULL)
            figures.floor.append(database.floor(sources, measurements.reason))
        if "localstack" in arguments.only:
            figures.localstack.append(measurements.localstack(FULL))
        if "tenth" in arguments.only:
            figures.tenth.append(measurements.direct(TENTH))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)

    if "peer" in arguments.only:
        figures.peer = measurements.peer(FULL)
        answer = figures.peer.answer
        for run in figures.direct:
            if (run.rows, run.approved) != (answer["rows"], answer["approved"]):
                raise SystemExit(
                    f"the peer decided differently: {answer}, not {run.approved} approved of"
                    f" {run.rows}"
                )
