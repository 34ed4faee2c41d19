"""The measurement's database: equal tables before each measurement, the floor, and the counts."""

import time
from dataclasses import dataclass

import psycopg

from . import machine

ELIGIBLE = "limit_increase_decision IS NULL AND current_score >= 600 AND current_limit < 10000"
# 84.5 % of the sample portfolio's customers are eligible. At a lender, some were decided in earlier
# nights. With this share of the eligible decided, 60 % of all customers are left.
DECIDED_PER_THOUSAND = 290
# The date of the decisions of earlier nights. A measured decision is later.
EARLIER = "2026-01-01"
COUNTS = ("approved", "declined", "referred", "stale")


@dataclass(frozen=True)
class Cost:
    """The seconds of a statement, and the CPU seconds of PostgreSQL for it."""

    seconds: float
    postgres_cpu: float


@dataclass
class Floor:
    """What the database alone needs to read and to write the rows of a run."""

    copy_out: Cost
    update: Cost
    rows: int

    @property
    def seconds(self) -> float:
        return self.copy_out.seconds + self.update.seconds

    @property
    def postgres_cpu(self) -> float:
        return self.copy_out.postgres_cpu + self.update.postgres_cpu


class Database:
    """The environment's database, and the templates that it is restored from."""

    def __init__(self, environment: machine.Environment) -> None:
        self.url = environment.database_url
        self._pid = environment.postgres_pid
        self._name = self.url.rpartition("/")[2]
        postgres = self.url.removesuffix(self._name) + "postgres"
        self._admin = psycopg.connect(postgres, autocommit=True)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url)

    def cpu_seconds(self) -> float:
        return machine.cpu_seconds(self._pid)

    def keep_as(self, template: str) -> None:
        """Keeps the tables as a template, as they would be after earlier nights.

        A share of the customers gets a decision, and no dead rows are left.
        """
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("DELETE FROM limit_increase_runs")
            connection.execute(
                f"""UPDATE batch_scores SET limit_increase_decision = 'DECLINED',
                        updated_at = '{EARLIER}', decision_reason =
                        'Score 600 is below the minimum of 650: decided in an earlier night.'
                    WHERE {ELIGIBLE}
                        AND abs(hashtext(customer_id)) % 1000 < {DECIDED_PER_THOUSAND}"""
            )
            connection.execute("VACUUM (FULL, ANALYZE)")

        # LocalStack keeps functions warm, and they keep their connections.
        self._admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (self._name,),
        )
        self._copy(self._name, template)

    def restore(self, template: str) -> None:
        """Restores the tables file by file, reads them once and ends with a checkpoint."""
        self._copy(template, self._name)
        with self.connect() as connection:
            for table in ("batch_scores", "customer_features"):
                connection.execute(f"SELECT count(*) FROM {table}")
        self._admin.execute("CHECKPOINT")

    def _copy(self, source: str, target: str) -> None:
        self._admin.execute(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        self._admin.execute(f"CREATE DATABASE {target} TEMPLATE {source} STRATEGY FILE_COPY")

    def floor(self, sources: list[str], reason: str) -> Floor:
        """Measures one plain COPY of what a run reads, and one plain UPDATE of the same rows.

        The UPDATE writes values of the same size as a run does.
        """
        columns = ", ".join(f'f."{name}"' for name in sources)
        copy_out = f"""COPY (SELECT b.customer_id, b.current_score, b.current_limit,
                           b.application_date, {columns}
                       FROM batch_scores b JOIN customer_features f USING (customer_id)
                       WHERE {ELIGIBLE}) TO STDOUT (FORMAT binary)"""
        update = f"""UPDATE batch_scores SET limit_increase_decision = 'APPROVED',
                         new_limit = current_limit, decision_reason = %s,
                         updated_at = now() AT TIME ZONE 'UTC'
                     WHERE {ELIGIBLE}"""
        with self.connect() as connection:
            cpu, started = self.cpu_seconds(), time.perf_counter()
            with connection.cursor().copy(copy_out) as copy:
                for _ in copy:
                    pass
            read = Cost(time.perf_counter() - started, self.cpu_seconds() - cpu)

            cpu, started = self.cpu_seconds(), time.perf_counter()
            rows = connection.execute(update, (reason,)).rowcount
            connection.commit()
            written = Cost(time.perf_counter() - started, self.cpu_seconds() - cpu)
        return Floor(read, written, rows)

    def counts(self, run: str | None) -> dict[str, dict[str, int]]:
        """The table's decisions since the template was kept, and the ledger's counts of the run."""
        with self.connect() as connection:
            table = connection.execute(
                f"""SELECT lower(limit_increase_decision), count(*) FROM batch_scores
                    WHERE updated_at > '{EARLIER}' GROUP BY 1"""
            ).fetchall()
            found = {"table": dict(table)}
            if run is None:
                return found

            sums = ", ".join(f"sum({name})::int" for name in COUNTS)
            shards = connection.execute(
                f"SELECT {sums} FROM limit_increase_shards WHERE run_id = %s", (run,)
            ).fetchone()
            closed = connection.execute(
                f"SELECT {', '.join(COUNTS)} FROM limit_increase_runs WHERE run_id = %s", (run,)
            ).fetchone()
        found["shards"] = dict(zip(COUNTS, shards, strict=True))
        found["run"] = dict(zip(COUNTS, closed, strict=True))
        return found

    def mean_reason_length(self) -> int:
        query = f"""SELECT avg(length(decision_reason))::int FROM batch_scores
                    WHERE updated_at > '{EARLIER}'"""
        with self.connect() as connection:
            return connection.execute(query).fetchone()[0]

    def close(self, *templates: str) -> None:
        for template in templates:
            self._admin.execute(f"DROP DATABASE IF EXISTS {template} WITH (FORCE)")
        self._admin.close()
