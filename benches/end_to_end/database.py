"""The end-to-end measurement's database: the same physical state before every measured write, the floor, the counts."""

import time
from dataclasses import dataclass

import psycopg

from . import machine

ELIGIBLE = "limit_increase_decision IS NULL AND current_score >= 600 AND current_limit < 10000"
# Of the sample portfolio's customers 84.5 % are eligible; of a lender's, some were decided in earlier nights. With this
# share of them decided, 60 % of all are left.
DECIDED_PER_THOUSAND = 290


@dataclass(frozen=True)
class Taken:
    """What something took."""

    seconds: float
    postgres_cpu: float


@dataclass
class Floor:
    copy_out: Taken
    update: Taken
    rows: int

    @property
    def seconds(self) -> float:
        return self.copy_out.seconds + self.update.seconds

    @property
    def postgres_cpu(self) -> float:
        return self.copy_out.postgres_cpu + self.update.postgres_cpu


class Database:
    """The environment's database, and templates of it to go back to."""

    def __init__(self, environment: machine.Environment) -> None:
        self.url = environment.database_url
        self._pid = environment.postgres_pid
        self._name = self.url.rpartition("/")[2]
        self._admin = psycopg.connect(
            self.url.removesuffix(self._name) + "postgres", autocommit=True
        )

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url)

    def cpu_seconds(self) -> float:
        return machine.cpu_seconds(self._pid)

    def keep_as(self, template: str) -> int:
        """Makes the tables as after earlier nights, with nothing dead in them, and keeps them; gives the eligible."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("DELETE FROM limit_increase_runs")
            connection.execute(
                f"""UPDATE batch_scores SET limit_increase_decision = 'DECLINED', updated_at = '2026-01-01',
                        decision_reason = 'Score 600 is below the minimum of 650: decided in an earlier night.'
                    WHERE {ELIGIBLE} AND abs(hashtext(customer_id)) %% 1000 < {DECIDED_PER_THOUSAND}""".replace(
                    "%%", "%"
                )
            )
            connection.execute("VACUUM (FULL, ANALYZE)")
            eligible = connection.execute(
                f"SELECT count(*) FROM batch_scores WHERE {ELIGIBLE}"
            ).fetchone()[0]
        # Functions that LocalStack keeps warm keep their connections too.
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        self._admin.execute(others, (self._name,))
        self._admin.execute(f"DROP DATABASE IF EXISTS {template} WITH (FORCE)")
        self._admin.execute(f"CREATE DATABASE {template} TEMPLATE {self._name} STRATEGY FILE_COPY")
        return eligible

    def restore(self, template: str) -> None:
        """The tables as they were kept, file for file, read once, and the log behind a checkpoint."""
        self._admin.execute(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")
        self._admin.execute(f"CREATE DATABASE {self._name} TEMPLATE {template} STRATEGY FILE_COPY")
        with self.connect() as connection:
            for table in ("batch_scores", "customer_features"):
                connection.execute(f"SELECT count(*) FROM {table}")
        self._admin.execute("CHECKPOINT")

    def floor(self, features: list[str], reason: str) -> Floor:
        """One plain COPY out of what a run reads, one plain UPDATE of the same rows with values of a run's size."""
        columns = ", ".join(f'f."{name}"' for name in features)
        with self.connect() as connection:
            cpu, started = self.cpu_seconds(), time.perf_counter()
            copy_out = f"""COPY (SELECT b.customer_id, b.current_score, b.current_limit, b.application_date, {columns}
                           FROM batch_scores b JOIN customer_features f USING (customer_id)
                           WHERE {ELIGIBLE}) TO STDOUT (FORMAT binary)"""
            with connection.cursor().copy(copy_out) as copy:
                for _ in copy:
                    pass
            read = Taken(time.perf_counter() - started, self.cpu_seconds() - cpu)
            cpu, started = self.cpu_seconds(), time.perf_counter()
            rows = connection.execute(
                f"""UPDATE batch_scores SET limit_increase_decision = 'APPROVED', new_limit = current_limit,
                        decision_reason = %s, updated_at = now() AT TIME ZONE 'UTC' WHERE {ELIGIBLE}""",
                (reason,),
            ).rowcount
            connection.commit()
            return Floor(read, Taken(time.perf_counter() - started, self.cpu_seconds() - cpu), rows)

    def counts(self, run: str | None) -> dict[str, dict[str, int]]:
        """What the table has decided since the template was kept, and what the ledger says of the run."""
        with self.connect() as connection:
            table = connection.execute(
                """SELECT lower(limit_increase_decision), count(*) FROM batch_scores
                   WHERE updated_at > '2026-01-01' GROUP BY 1"""
            ).fetchall()
            found = {"table": dict(table)}
            if run is not None:
                sums = "sum(approved)::int, sum(declined)::int, sum(referred)::int, sum(stale)::int"
                names = ("approved", "declined", "referred", "stale")
                ledger = connection.execute(
                    f"SELECT {sums} FROM limit_increase_shards WHERE run_id = %s", (run,)
                ).fetchone()
                closed = connection.execute(
                    "SELECT approved, declined, referred, stale FROM limit_increase_runs WHERE run_id = %s",
                    (run,),
                ).fetchone()
                found |= {
                    "shards": dict(zip(names, ledger, strict=True)),
                    "run": dict(zip(names, closed, strict=True)),
                }
        return found

    def mean_reason_length(self) -> int:
        with self.connect() as connection:
            query = "SELECT avg(length(decision_reason))::int FROM batch_scores WHERE updated_at > '2026-01-01'"
            return connection.execute(query).fetchone()[0]

    def close(self, *templates: str) -> None:
        for template in templates:
            self._admin.execute(f"DROP DATABASE IF EXISTS {template} WITH (FORCE)")
        self._admin.close()
