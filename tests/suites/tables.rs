//! The tables that a lender has: every type of every column, keys, views, triggers, rights. Each
//! works exactly, or the query refuses it with what to change, before anybody is scored (promise 1
//! and promise 9).
//!
//! It runs on PostgreSQL 17 and 18. Another server comes from the operating system:
//!
//! ```sh
//! POSTGRES_FOLDER=/usr/lib/postgresql/15 cargo test --workspace --test tables
//! ```
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use limit_increase::local::Project;
use limit_increase_database::{
    Client, ClosingRun, DatabaseUrl, Selection, ShardFiles, ShardLock, begin, connect, migrate,
    open_eligible,
};
use limit_increase_domain::decision::{Scoring, decide, refer};
use limit_increase_domain::{CreditScore, Decision, Policy, SourceColumn};
use limit_increase_handoff::customers::{Customers, CustomersWriter};
use limit_increase_handoff::evaluations::{Evaluations, EvaluationsWriter, Facts};
use limit_increase_handoff::scored::{ScoreRow, Scored, ScoredWriter};
use limit_increase_tests::tls_postgres::TlsPostgres;
use limit_increase_tests::{cases, roles, suite};
use limit_increase_workflow::contract::{Execution, RunToFinish};
use limit_increase_workflow::rows::Evaluation;
use limit_increase_workflow::seal::{Sealed, seal_of};
use limit_increase_workflow::{Failure, FailureKind, RunContext, RunId, ShardIndex};
use rust_decimal::Decimal;
use serde_json::Value;
use tokio_postgres::Row;

fn main() -> ExitCode {
    suite::run_in(
        Servers::start,
        &cases![
            every_type_of_every_column_works_exactly_or_is_refused,
            a_key_of_every_type_is_found_by_its_index_or_refused,
            a_customer_with_two_rows_is_refused,
            a_relation_that_cannot_be_used_is_refused_in_one_sentence,
            a_relation_that_can_be_used_is_used,
            a_trigger_that_can_change_a_decision_is_refused_and_every_other_is_not,
            everything_that_is_wrong_is_in_one_message,
            a_row_that_changed_since_the_query_is_stale_whatever_its_types,
            a_table_that_was_dropped_is_told_from_one_that_was_never_made,
            a_table_with_a_key_of_its_own_is_migrated,
            the_ledger_refuses_counts_that_do_not_add_up,
            an_attempt_that_waited_for_a_closing_sees_its_seal,
            runs_that_close_together_form_one_chain,
            the_statements_of_the_ordinary_table_have_no_cast,
        ],
        |_| (),
    )
}

/// The servers, one of each version.
struct Servers(Vec<TlsPostgres>);

impl Servers {
    fn start() -> Result<Self> {
        let mut servers = vec![
            TlsPostgres::start_from("localstack", None, "tables-18")?,
            TlsPostgres::start_from("postgres-tls", None, "tables-17")?,
        ];
        if let Ok(folder) = std::env::var("POSTGRES_FOLDER") {
            servers.push(TlsPostgres::start_from("localstack", Some(&folder), "tables-other")?);
        }

        // Nothing of this survives a crash, so no commit waits for the disk.
        for server in &servers {
            server.block_on(server.admin().batch_execute("ALTER SYSTEM SET fsync = off"))?;
            server.block_on(server.admin().batch_execute("SELECT pg_reload_conf()"))?;
        }

        Ok(Self(servers))
    }

    /// Does the same on all servers simultaneously.
    fn each(&self, check: impl Fn(&Lender<'_>) -> Result<()> + Sync) -> Result<()> {
        let check = |server| {
            let lender = Lender::connect(server)?;
            let version = lender.rows("SHOW server_version")?;
            let version: String = version.first().context("no version")?.get(0);
            check(&lender).with_context(|| format!("on PostgreSQL {version}"))
        };
        std::thread::scope(|scope| {
            let started: Vec<_> =
                self.0.iter().map(|server| scope.spawn(|| check(server))).collect();
            started.into_iter().try_for_each(|one| {
                one.join().map_err(|_| anyhow::anyhow!("a check has panicked"))?
            })
        })
    }
}

/// A lender's database, with the users of both functions.
struct Lender<'s> {
    server: &'s TlsPostgres,
    grants: Project,
    policy: Policy,
}

/// What became of everybody.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    /// The decision on each customer who was eligible.
    decided: BTreeMap<String, Decision>,
    stale: Vec<String>,
}

impl<'s> Lender<'s> {
    fn connect(server: &'s TlsPostgres) -> Result<Self> {
        Ok(Self { server, grants: Project::discover()?, policy: Policy::default() })
    }

    fn admin(&self) -> &Client {
        self.server.admin()
    }

    fn sql(&self, statements: &str) -> Result<()> {
        self.server
            .block_on(self.admin().batch_execute(statements))
            .with_context(|| statements.to_owned())
    }

    fn rows(&self, query: &str) -> Result<Vec<Row>> {
        self.server.block_on(self.admin().query(query, &[])).with_context(|| query.to_owned())
    }

    /// The tables as the migrations make them, with three customers and one feature, changed by
    /// these statements. Then the rights of `docs/grants.sql`.
    fn table(&self, change: &str) -> Result<()> {
        self.empty_schema()?;
        self.server.block_on(async {
            let url = self.url("limit_increase", "");
            migrate(&mut connect(&url).await?).await?;
            anyhow::Ok(())
        })?;
        self.sql(
            "ALTER TABLE customer_features ADD COLUMN income DOUBLE PRECISION;
             INSERT INTO batch_scores (customer_id, current_score, current_limit, application_date)
             VALUES ('1001', 700, 4000, '2026-01-31'), ('1002', 650, 5000, '2026-02-01'),
                    ('1003', 599, 5000, '2026-02-01');
             INSERT INTO customer_features SELECT customer_id, 1 FROM batch_scores",
        )?;
        self.sql(change)?;
        self.grant()
    }

    fn grant(&self) -> Result<()> {
        self.server.block_on(roles::grant(self.admin(), &self.grants))?;
        // A time zone that is not UTC shows when a time is written or read in it.
        self.sql(
            "ALTER ROLE scores_query SET timezone = 'Asia/Tokyo';
             ALTER ROLE scores_update SET timezone = 'America/New_York'",
        )
    }

    fn empty_schema(&self) -> Result<()> {
        self.sql(
            "DROP SCHEMA IF EXISTS public, lender CASCADE; CREATE SCHEMA public;
             GRANT ALL ON SCHEMA public TO PUBLIC; SET search_path = public",
        )
    }

    fn url(&self, user: &str, parameters: &str) -> DatabaseUrl {
        DatabaseUrl::new(format!(
            "postgresql://{user}@127.0.0.1:{}/limit_increase?sslmode=disable{parameters}",
            self.server.port()
        ))
    }

    /// The customers of the query step, in the file of the first stage.
    async fn read(&self) -> Result<Result<Customers, Failure>> {
        let mut client = connect(&self.url("scores_query", "")).await?;
        let transaction = begin(&mut client, "reading").await?;
        let features = [SourceColumn::number("income")];
        let selection = Selection {
            policy: &self.policy,
            limit: None,
            features: &features,
            longest_reason: 400,
        };
        let mut rows = match open_eligible(transaction.client(), &selection).await {
            Ok(rows) => rows,
            Err(failure) => return Ok(Err(failure)),
        };
        let mut writer = CustomersWriter::new(&features);
        while let Some(row) = rows.next().await? {
            writer.push(&row.customer()?, row.features()?)?;
        }

        let count = u32::try_from(writer.rows())?;
        Ok(Ok(Customers::read(writer.finish()?, count)?))
    }

    /// The files of the two stages in between, as their steps make them. Everybody has a score of
    /// 700 points.
    fn evaluate(&self, customers: &Customers) -> Result<Evaluations> {
        let count = u32::try_from(customers.rows())?;
        let mut writer = ScoredWriter::new(Vec::new());
        for _ in 0..count {
            let row = ScoreRow {
                raw_value: -3.0,
                probability: 0.05,
                score: CreditScore::new(700),
                base_value: -3.0,
                shap_values: &[],
            };
            writer.push_scored::<&str>(&row, &[])?;
        }

        let scored = Scored::read_for_decisions(writer.finish(customers)?, count)?;
        let columns = scored.columns()?;
        let mut writer = EvaluationsWriter::default();
        for row in 0..scored.rows() {
            let facts = Facts {
                current_score: columns.current_score(row),
                current_limit: columns.limit(row),
                unreadable: columns.unreadable(row),
                annual_income: None,
                new_score: columns.score(row).ok(),
                driver: None,
            };
            let decision = match (facts.current_limit, facts.unreadable) {
                (Some(limit), None) => decided(&self.policy, limit),
                (_, unreadable) => refer(unreadable.context("no limit, and no reason")?),
            };
            writer.push(columns.ids.value(row), &facts, &decision)?;
        }

        Ok(Evaluations::read(writer.finish()?, count)?)
    }

    /// Applies the decisions of one shard, as the last step does.
    async fn write(&self, evaluations: &Evaluations) -> Result<Result<Vec<String>, Failure>> {
        let run = run_context(&self.policy)?;
        self.admin()
            .execute(
                "INSERT INTO limit_increase_runs (run_id, status, context, eligible, started_at)
                 VALUES ($1, 'RUNNING', $2, 3, now())",
                &[&run.run_id.as_str(), &serde_json::to_value(&run)?],
            )
            .await?;
        let rows: Vec<Evaluation<'_>> = evaluations.iter()?.collect::<Result<_, _>>()?;
        let mut client = connect(&self.url("scores_update", "")).await?;
        let ShardLock::Held(held) = ShardLock::hold(&mut client, &run, ShardIndex(0)).await? else {
            anyhow::bail!("the shard is applied already")
        };
        let stale = match held.apply(&rows, |_| None::<()>).await {
            Ok((_, stale)) => stale,
            Err(failure) => return Ok(Err(failure)),
        };
        held.commit(&ShardFiles {
            evaluations_sha256: "e".repeat(64),
            results_sha256: "f".repeat(64),
        })
        .await?;
        let mut stale: Vec<String> = stale.into_iter().collect();
        stale.sort();
        Ok(Ok(stale))
    }

    /// A whole run, or the failure of its query.
    fn run(&self) -> Result<Result<Run, Failure>> {
        self.run_with("SELECT")
    }

    /// Like [`Lender::run`], with statements between the query and the update.
    fn run_with(&self, meanwhile: &str) -> Result<Result<Run, Failure>> {
        let customers = match self.server.block_on(self.read())? {
            Ok(customers) => customers,
            Err(failure) => return Ok(Err(failure)),
        };
        let evaluations = self.evaluate(&customers)?;
        self.sql(meanwhile)?;
        let stale = self.server.block_on(self.write(&evaluations))??;
        let decided = evaluations
            .iter()?
            .map(|row| {
                let row = row?;
                let new_limit = row.new_limit.map(TryInto::try_into).transpose()?;
                let reason = row.reason.to_owned();
                let decision = Decision { outcome: row.outcome, new_limit, reason };
                Ok((row.customer_id.to_owned(), decision))
            })
            .collect::<Result<_>>()?;
        Ok(Ok(Run { decided, stale }))
    }

    /// The decisions as the table has them. Every decision must have been made now.
    fn stored(&self) -> Result<BTreeMap<String, Decision>> {
        let rows = self.rows(
            "SELECT customer_id::text, rtrim(limit_increase_decision::text), new_limit::numeric,
                    decision_reason::text,
                    abs(extract(epoch FROM updated_at - CASE
                        WHEN pg_typeof(updated_at)::text LIKE '%with time zone' THEN now()
                        ELSE now() AT TIME ZONE 'UTC' END))::float8
             FROM batch_scores WHERE limit_increase_decision IS NOT NULL",
        )?;
        let mut stored = BTreeMap::new();
        for row in rows {
            let (id, outcome, reason): (String, &str, String) =
                (row.get(0), row.get(1), row.get(3));
            let (new_limit, age): (Option<Decimal>, f64) = (row.get(2), row.get(4));
            ensure!(age < 60.0, "{id}: updated_at is {age} seconds away from now in UTC");
            let outcome = limit_increase_domain::Outcome::parse(outcome).context("no outcome")?;
            let new_limit = new_limit.map(TryInto::try_into).transpose()?;
            stored.insert(id, Decision { outcome, new_limit, reason });
        }

        Ok(stored)
    }

    /// A run that must work: every eligible customer is decided, and each as the text of the table
    /// says, which is read here without PostgreSQL's casts.
    fn works(&self, case: &str) -> Result<()> {
        let rows = self.rows(
            "SELECT customer_id::text, current_score::text, current_limit::text FROM batch_scores
             WHERE current_score >= 600 AND current_limit < 10000
               AND limit_increase_decision IS NULL",
        )?;
        let expected: BTreeMap<String, Decision> = rows
            .iter()
            .map(|row| (row.get(0), expected(&self.policy, row.get(1), row.get(2))))
            .collect();
        ensure!(!expected.is_empty(), "{case}: somebody should be eligible");

        let run = self.run()?.map_err(|failure| anyhow::anyhow!("{case}: {failure}"))?;
        ensure!(run.stale.is_empty(), "promise 1: {case}: nobody changed, and stale are {run:?}");
        ensure!(run.decided == expected, "{case}: expected {expected:?}, decided {run:?}");
        let stored = self.stored()?;
        ensure!(stored == expected, "promise 1: {case}: expected {expected:?}, stored {stored:?}");
        Ok(())
    }

    /// A run that the query must refuse with all of these words, and that decides nobody.
    fn refused(&self, case: &str, words: &[&str]) -> Result<String> {
        let failure = match self.run().with_context(|| case.to_owned())? {
            Err(failure) => failure,
            Ok(run) => anyhow::bail!("{case}: it should be refused, and decided {run:?}"),
        };
        ensure!(
            failure.kind == FailureKind::DatabaseSchema
                && words.iter().all(|word| failure.message.contains(word)),
            "{case}: expected Permanent.DatabaseSchema with {words:?}, got {failure}"
        );
        Ok(failure.message)
    }
}

/// The run's context of the event in `events/`, with this policy.
fn run_context(policy: &Policy) -> Result<RunContext> {
    let event: Value =
        serde_json::from_str(include_str!("../../events/update-database-apply-shard.json"))?;
    let context: RunContext = serde_json::from_value(event["run"].clone())?;
    Ok(RunContext {
        policy: policy.clone(),
        policy_sha256: policy.sha256(),
        dry_run: false,
        ..context
    })
}

fn decided(policy: &Policy, limit: Decimal) -> Decision {
    let score = CreditScore::new(700);
    decide(policy, limit, None, Scoring::Scored { score, reasons: &[] })
}

/// The right decision for a score and a limit as PostgreSQL prints them.
fn expected(policy: &Policy, score: &str, limit: &str) -> Decision {
    let points = Decimal::from_scientific(score).or_else(|_| score.parse()).ok();
    // A REAL with an exponent may have more digits than it shows.
    let most = Decimal::from(if score.contains('e') { 16_777_216 } else { i32::MAX });
    let points = points.filter(|points| points.fract().is_zero() && points.abs() <= most);
    let cents: Option<Decimal> = Decimal::from_scientific(limit).or_else(|_| limit.parse()).ok();
    let cents = cents.filter(|amount| {
        amount.normalize().scale() <= 2 && amount.abs() <= Decimal::new(9_999_999_999, 2)
    });
    let problems: Vec<String> = [
        points
            .is_none()
            .then(|| format!("the current score {score} is not a whole number of points")),
        cents.is_none().then(|| format!("the current limit {limit} is not a valid amount")),
    ]
    .into_iter()
    .flatten()
    .collect();
    match cents {
        Some(mut amount) if problems.is_empty() => {
            amount.rescale(2);
            decided(policy, amount)
        }
        _ => refer(&problems.join(" and ")),
    }
}

/// The types of the matrix, as PostgreSQL shows them.
const TYPES: [&str; 26] = [
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "numeric(3,0)",
    "numeric(7,2)",
    "numeric(10,2)",
    "numeric(12,2)",
    "numeric(14,4)",
    "numeric(20,0)",
    "real",
    "double precision",
    "money",
    "text",
    "character varying",
    "character varying(7)",
    "character varying(50)",
    "character varying(2000)",
    "character(20)",
    "date",
    "timestamp without time zone",
    "timestamp with time zone",
    "boolean",
    "jsonb",
    "whole",
    "cents",
];

/// Which of the types work for a column. All others are refused.
fn working(column: &str) -> &'static [&'static str] {
    match column {
        "current_score" => &[
            "smallint",
            "integer",
            "bigint",
            "numeric",
            "numeric(3,0)",
            "numeric(7,2)",
            "numeric(10,2)",
            "numeric(12,2)",
            "numeric(14,4)",
            "numeric(20,0)",
            "real",
            "double precision",
            "whole",
            "cents",
        ],
        "current_limit" => &[
            "smallint",
            "integer",
            "bigint",
            "numeric",
            "numeric(3,0)",
            "numeric(7,2)",
            "numeric(10,2)",
            "numeric(12,2)",
            "numeric(14,4)",
            "numeric(20,0)",
            "double precision",
            "whole",
            "cents",
        ],
        "application_date" => &["date", "timestamp without time zone", "timestamp with time zone"],
        "limit_increase_decision" => &[
            "text",
            "character varying",
            "character varying(50)",
            "character varying(2000)",
            "character(20)",
        ],
        // The policy's limits go up to 20,000 in whole units.
        "new_limit" => &[
            "smallint",
            "integer",
            "bigint",
            "numeric",
            "numeric(7,2)",
            "numeric(10,2)",
            "numeric(12,2)",
            "numeric(14,4)",
            "numeric(20,0)",
            "double precision",
            "whole",
            "cents",
        ],
        "decision_reason" => &["text", "character varying", "character varying(2000)"],
        "updated_at" => &["timestamp without time zone", "timestamp with time zone"],
        _ => &[],
    }
}

/// Values for a column that is read. A type takes those that it can hold.
fn values(column: &str) -> &'static [&'static str] {
    match column {
        "current_score" => &[
            "600",
            "601",
            "32767",
            "700.5",
            "650.0000001",
            "2147483647",
            "2147483648",
            "1e15",
            "NaN",
            "Infinity",
        ],
        "current_limit" => &[
            "0",
            "1",
            "4000",
            "4000.1",
            "4999.99",
            "9999.99",
            "9999.999",
            "4700.1234",
            "-0.01",
            "-1",
            "-99999999.99",
            "-100000000",
            "-1e15",
            "4000.0000000001",
            "0.1",
            "1e-10",
            "NaN",
            "-Infinity",
            "2999.95",
        ],
        "application_date" => &["2026-01-31", "infinity", "-infinity", "0001-01-01", "9999-12-31"],
        _ => &[],
    }
}

/// The matrix: column, type, and every value that fits, through query, hand-off and update.
fn every_type_of_every_column_works_exactly_or_is_refused(servers: &Servers) -> Result<()> {
    const COLUMNS: [&str; 7] = [
        "current_score",
        "current_limit",
        "application_date",
        "limit_increase_decision",
        "new_limit",
        "decision_reason",
        "updated_at",
    ];
    servers.each(|lender| {
        lender.table("")?;
        lender.sql(
            "CREATE DOMAIN whole AS integer;
             CREATE DOMAIN cents AS numeric(10,2) CHECK (VALUE IS NULL OR VALUE <> 666);
             CREATE TABLE pristine AS SELECT * FROM batch_scores",
        )?;
        for column in COLUMNS {
            for wanted in TYPES {
                let case = format!("{column} {wanted}");
                lender.set_type(column, wanted).with_context(|| case.clone())?;
                if working(column).contains(&wanted) {
                    lender.works(&case)?;
                } else {
                    lender.refused(&case, &[column, &format!("found {wanted}, wanted ")])?;
                }
            }
        }

        Ok(())
    })
}

impl Lender<'_> {
    /// A fresh table whose column has this type and every value that fits.
    fn set_type(&self, column: &str, wanted: &str) -> Result<()> {
        let mut sql = format!(
            "DELETE FROM limit_increase_runs; TRUNCATE customer_features, batch_scores;
             ALTER TABLE customer_features DROP CONSTRAINT IF EXISTS customer_features_customer_id_fkey;
             DROP TABLE batch_scores; CREATE TABLE batch_scores (LIKE pristine);
             ALTER TABLE batch_scores ADD PRIMARY KEY (customer_id);
             ALTER TABLE batch_scores DROP COLUMN {column};
             ALTER TABLE batch_scores ADD COLUMN {column} {wanted};"
        );
        let others: String = [
            ("current_score", "700"),
            ("current_limit", "4000"),
            ("application_date", "'2026-01-31'"),
        ]
        .iter()
        .filter(|(name, _)| *name != column)
        .map(|(name, value)| {
            format!("ALTER TABLE batch_scores ALTER COLUMN {name} SET DEFAULT {value};")
        })
        .collect();
        sql.push_str(&others);
        self.sql(&sql)?;

        let read: &[&str] = if working(column).contains(&wanted) { values(column) } else { &[] };
        for (number, value) in read.iter().enumerate() {
            // What the type cannot hold is left out, and so is what it would round.
            self.sql(&format!(
                "DO $$ BEGIN
                     INSERT INTO batch_scores (customer_id, {column})
                     SELECT 'v{number}', '{value}'::text::{wanted};
                 EXCEPTION WHEN data_exception OR cannot_coerce THEN NULL; END $$"
            ))?;
        }

        if read.is_empty() {
            self.sql("INSERT INTO batch_scores (customer_id) VALUES ('a'), ('b')")?;
        }

        self.sql("INSERT INTO customer_features SELECT customer_id, 1 FROM batch_scores")?;
        self.grant()
    }
}

/// An `AFTER` trigger for the statement notes how the table was read in the transaction.
const NOTE_SCANS: &str = "
    CREATE TABLE scans (sequential BIGINT, by_index BIGINT);
    CREATE FUNCTION note_scans() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO public.scans SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables
        WHERE relname = 'batch_scores';
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_scans AFTER UPDATE ON batch_scores
        FOR EACH STATEMENT EXECUTE FUNCTION note_scans();";

fn a_key_of_every_type_is_found_by_its_index_or_refused(servers: &Servers) -> Result<()> {
    const WORK: [&str; 13] = [
        "character varying(50)",
        "character varying",
        "text",
        "character(12)",
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "numeric(10,0)",
        "uuid",
        "key_of_text",
        "key_of_number",
        "text COLLATE \"POSIX\"",
    ];
    const REFUSED: [&str; 5] = ["double precision", "date", "jsonb", "bytea", "inet"];
    servers.each(|lender| {
        // The servers that are Python packages have no extensions; those of an operating system do.
        let found = lender.rows("SELECT FROM pg_available_extensions WHERE name = 'citext'")?;
        let extensions: &[&str] = if found.is_empty() { &[] } else { &["citext"] };
        for key in WORK.iter().chain(extensions).chain(&REFUSED).copied() {
            let extension =
                if key == "citext" { "CREATE EXTENSION IF NOT EXISTS citext;" } else { "" };
            let value = match key {
                "uuid" => "lpad(to_hex(n), 32, '0')::uuid",
                "date" => "'2020-01-01'::date + n",
                "jsonb" => "to_jsonb(n)",
                "bytea" => "int4send(n)",
                "inet" => "'10.0.0.0'::inet + n",
                _ => "n",
            };
            lender.table(&format!(
                "{extension}
                 CREATE DOMAIN key_of_text AS varchar(20);
                 CREATE DOMAIN key_of_number AS bigint;
                 DROP TABLE customer_features; TRUNCATE batch_scores;
                 ALTER TABLE batch_scores DROP COLUMN customer_id;
                 ALTER TABLE batch_scores ADD COLUMN customer_id {key} PRIMARY KEY;
                 CREATE TABLE customer_features (customer_id {key} PRIMARY KEY, income REAL);
                 INSERT INTO batch_scores
                     (customer_id, current_score, current_limit, application_date)
                 SELECT {value}, 600 + n % 2, 4000, '2026-01-01'
                 FROM generate_series(1, 2000) n;
                 -- Only some of them are eligible.
                 UPDATE batch_scores SET current_score = 1 WHERE random() < 0.8;
                 INSERT INTO customer_features SELECT customer_id, 1 FROM batch_scores;
                 ANALYZE batch_scores; ANALYZE customer_features;{NOTE_SCANS}"
            ))?;
            if REFUSED.contains(&key) {
                lender
                    .refused(key, &["customer_id", &format!("found {key}, wanted VARCHAR(50)")])?;
                continue;
            }

            lender.works(key)?;
            let rows = lender.rows("SELECT sequential, by_index FROM scans")?;
            let scans: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            ensure!(
                matches!(scans.as_slice(), [(0, by_index)] if *by_index > 100),
                "{key}: each customer should be looked up by the index, and no time was the table \
                 read as a whole; found {scans:?}"
            );
        }

        Ok(())
    })
}

/// Promise 1 rests on the key.
fn a_customer_with_two_rows_is_refused(servers: &Servers) -> Result<()> {
    const NO_KEY: &str =
        "ALTER TABLE customer_features DROP CONSTRAINT customer_features_customer_id_fkey;
                          ALTER TABLE batch_scores DROP CONSTRAINT batch_scores_pkey;";
    let cases = [
        ("no key", ""),
        (
            "a key with the date",
            "ALTER TABLE batch_scores ADD PRIMARY KEY (customer_id, application_date);",
        ),
        (
            "a partial index",
            "CREATE UNIQUE INDEX ON batch_scores (customer_id) WHERE current_score > 0;",
        ),
        ("an index of an expression", "CREATE UNIQUE INDEX ON batch_scores (lower(customer_id));"),
        ("an index that is not unique", "CREATE INDEX ON batch_scores (customer_id);"),
        (
            "an index in another collation",
            "CREATE UNIQUE INDEX ON batch_scores (customer_id COLLATE \"POSIX\");",
        ),
        (
            "a key that may be NULL",
            "ALTER TABLE batch_scores ALTER COLUMN customer_id DROP NOT NULL;
             CREATE UNIQUE INDEX ON batch_scores (customer_id);",
        ),
    ];
    servers.each(|lender| {
        for (case, key) in cases {
            lender.table(&format!("{NO_KEY}{key}"))?;
            lender
                .refused(case, &["batch_scores", "customer_id", "ADD PRIMARY KEY (customer_id)"])?;
        }

        for (case, key) in [
            ("a unique index", "CREATE UNIQUE INDEX ON batch_scores (customer_id);"),
            (
                "an index that includes",
                "CREATE UNIQUE INDEX ON batch_scores (customer_id) INCLUDE (current_score);",
            ),
            ("a deferrable key", "ALTER TABLE batch_scores ADD UNIQUE (customer_id) DEFERRABLE;"),
        ] {
            lender.table(&format!("{NO_KEY}{key}"))?;
            lender.works(case)?;
        }

        lender.table("ALTER TABLE customer_features DROP CONSTRAINT customer_features_pkey")?;
        lender.refused("features", &["customer_features", "a customer could appear twice"])?;
        Ok(())
    })
}

/// Replaces the table by another relation of its name.
const MOVE: &str =
    "ALTER TABLE customer_features DROP CONSTRAINT customer_features_customer_id_fkey;
                    ALTER TABLE batch_scores RENAME TO moved;";

fn a_relation_that_cannot_be_used_is_refused_in_one_sentence(servers: &Servers) -> Result<()> {
    let cases: [(&str, String, &[&str]); 13] = [
        (
            "a foreign table",
            format!(
                "{MOVE} DROP FOREIGN DATA WRAPPER IF EXISTS elsewhere CASCADE;
                 CREATE FOREIGN DATA WRAPPER elsewhere;
                 CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere;
                 CREATE FOREIGN TABLE batch_scores (
                     customer_id VARCHAR(50), current_score INTEGER, current_limit NUMERIC(12, 2),
                     application_date DATE, limit_increase_decision VARCHAR(20),
                     new_limit NUMERIC(12, 2), decision_reason TEXT, updated_at TIMESTAMP
                 ) SERVER elsewhere"
            ),
            &["is a foreign table"],
        ),
        ("a view", format!("{MOVE} CREATE VIEW batch_scores AS SELECT * FROM moved"), &["is a view"]),
        (
            "a materialized view",
            format!("{MOVE} CREATE MATERIALIZED VIEW batch_scores AS SELECT * FROM moved"),
            &["is a materialized view"],
        ),
        (
            "a partitioned table without the key alone",
            format!(
                "{MOVE} CREATE TABLE batch_scores (LIKE moved, PRIMARY KEY (customer_id, application_date))
                     PARTITION BY RANGE (application_date);
                 CREATE TABLE part PARTITION OF batch_scores DEFAULT;
                 INSERT INTO batch_scores SELECT * FROM moved"
            ),
            &["no primary key on customer_id alone"],
        ),
        (
            "a table with heirs",
            "CREATE TABLE heir () INHERITS (batch_scores)".to_owned(),
            &["inherit from public.batch_scores"],
        ),
        (
            "row-level security",
            "ALTER TABLE batch_scores ENABLE ROW LEVEL SECURITY;
             CREATE POLICY mine ON batch_scores USING (customer_id = '1001')".to_owned(),
            &["row-level security", "BYPASSRLS"],
        ),
        (
            "row-level security of the features",
            "ALTER TABLE customer_features ENABLE ROW LEVEL SECURITY".to_owned(),
            &["row-level security of public.customer_features"],
        ),
        (
            "a rule",
            "CREATE RULE keep AS ON UPDATE TO batch_scores DO INSTEAD NOTHING".to_owned(),
            &["rule keep", "DROP RULE keep"],
        ),
        (
            "a generated column",
            "ALTER TABLE batch_scores DROP COLUMN decision_reason;
             ALTER TABLE batch_scores ADD COLUMN decision_reason TEXT
                 GENERATED ALWAYS AS ('because') STORED".to_owned(),
            &["column decision_reason", "generated", "DROP EXPRESSION"],
        ),
        (
            "a column in upper case",
            "ALTER TABLE batch_scores RENAME COLUMN current_score TO \"CURRENT_SCORE\"".to_owned(),
            &["\"CURRENT_SCORE\"", "RENAME COLUMN \"CURRENT_SCORE\" TO current_score"],
        ),
        (
            "no column",
            "ALTER TABLE batch_scores DROP COLUMN updated_at".to_owned(),
            &["column updated_at", "found none, wanted TIMESTAMP", "ADD COLUMN updated_at TIMESTAMP"],
        ),
        (
            "NOT NULL",
            "UPDATE batch_scores SET new_limit = 0;
             ALTER TABLE batch_scores ALTER COLUMN new_limit SET NOT NULL".to_owned(),
            &["column new_limit", "NOT NULL", "DROP NOT NULL"],
        ),
        (
            "keys of two types",
            "ALTER TABLE customer_features DROP CONSTRAINT customer_features_customer_id_fkey;
             ALTER TABLE customer_features ALTER COLUMN customer_id TYPE bigint USING customer_id::bigint".to_owned(),
            &["column customer_id of public.customer_features: found bigint"],
        ),
    ];
    servers.each(|lender| {
        for (case, change, words) in &cases {
            // The catalogue can be read without any right on the table.
            lender.table("")?;
            lender.sql(change)?;
            lender.refused(case, words)?;
        }

        // In a schema that is not on the search path, and in two that are.
        lender.table("")?;
        lender.sql("CREATE SCHEMA lender; ALTER TABLE batch_scores SET SCHEMA lender")?;
        lender.refused("another schema", &["no table batch_scores on the search path", "lender.batch_scores", "SET search_path = lender"])?;
        lender.table("CREATE SCHEMA lender; CREATE TABLE lender.batch_scores (LIKE batch_scores INCLUDING ALL)")?;
        lender.sql(
            "GRANT USAGE ON SCHEMA lender TO PUBLIC;
             ALTER ROLE scores_query SET search_path = lender, public",
        )?;
        let twice = lender.refused("two tables", &["two tables batch_scores on the search path"]);
        lender.sql("ALTER ROLE scores_query RESET search_path")?;
        twice?;
        Ok(())
    })
}

fn a_relation_that_can_be_used_is_used(servers: &Servers) -> Result<()> {
    let cases: [(&str, String); 7] = [
        (
            "partitioned by the key",
            format!(
                "{MOVE} CREATE TABLE batch_scores (LIKE moved, PRIMARY KEY (customer_id))
                     PARTITION BY HASH (customer_id);
                 CREATE TABLE part_0 PARTITION OF batch_scores FOR VALUES WITH (MODULUS 2, REMAINDER 0);
                 CREATE TABLE part_1 PARTITION OF batch_scores FOR VALUES WITH (MODULUS 2, REMAINDER 1);
                 INSERT INTO batch_scores SELECT * FROM moved"
            ),
        ),
        ("unlogged", "ALTER TABLE customer_features SET UNLOGGED; ALTER TABLE batch_scores SET UNLOGGED".to_owned()),
        (
            "generated columns that are read",
            "ALTER TABLE batch_scores DROP COLUMN current_limit;
             ALTER TABLE batch_scores ADD COLUMN cents BIGINT DEFAULT 400050;
             ALTER TABLE batch_scores ADD COLUMN current_limit NUMERIC(12, 2)
                 GENERATED ALWAYS AS (cents / 100.0) STORED".to_owned(),
        ),
        (
            "a column of the same name in upper case",
            "ALTER TABLE batch_scores ADD COLUMN \"CURRENT_SCORE\" TEXT DEFAULT 'x'".to_owned(),
        ),
        (
            "row-level security that hides nothing from the users",
            "ALTER TABLE batch_scores ENABLE ROW LEVEL SECURITY".to_owned(),
        ),
        ("other columns and constraints", "ALTER TABLE batch_scores ADD COLUMN branch TEXT NOT NULL DEFAULT 'x' CHECK (branch <> '')".to_owned()),
        (
            "as pandas makes it, with a key",
            "ALTER TABLE customer_features DROP CONSTRAINT customer_features_customer_id_fkey;
             ALTER TABLE batch_scores RENAME TO before;
             CREATE TABLE batch_scores AS
             SELECT customer_id::text, current_score::bigint, current_limit::float8,
                    application_date::timestamp, NULL::text AS limit_increase_decision,
                    NULL::float8 AS new_limit, NULL::text AS decision_reason,
                    NULL::timestamp AS updated_at FROM before;
             ALTER TABLE batch_scores ADD PRIMARY KEY (customer_id)".to_owned(),
        ),
    ];
    servers.each(|lender| {
        for (case, change) in &cases {
            lender.table(change).with_context(|| (*case).to_owned())?;
            let bypass = if case.starts_with("row-level") { "BYPASSRLS" } else { "NOBYPASSRLS" };
            lender.sql(&format!(
                "ALTER ROLE scores_query {bypass}; ALTER ROLE scores_update {bypass}"
            ))?;
            let outcome = lender.works(case);
            lender
                .sql("ALTER ROLE scores_query NOBYPASSRLS; ALTER ROLE scores_update NOBYPASSRLS")?;
            outcome?;
        }

        Ok(())
    })
}

fn a_trigger_that_can_change_a_decision_is_refused_and_every_other_is_not(
    servers: &Servers,
) -> Result<()> {
    let trigger = |when: &str, body: &str| {
        format!(
            "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$;
             CREATE TRIGGER meddling {when} EXECUTE FUNCTION meddle()"
        )
    };
    let refused = [
        ("BEFORE UPDATE ON batch_scores FOR EACH ROW", "BEGIN RETURN NULL; END"),
        ("BEFORE UPDATE ON batch_scores FOR EACH ROW", "BEGIN NEW.new_limit = 1; RETURN NEW; END"),
        (
            "BEFORE INSERT OR UPDATE OF new_limit ON batch_scores FOR EACH ROW",
            "BEGIN NEW.decision_reason = ''; RETURN NEW; END",
        ),
    ];
    let used = [
        (
            "BEFORE UPDATE ON batch_scores FOR EACH ROW",
            "BEGIN NEW.updated_at = now() AT TIME ZONE 'UTC'; RETURN NEW; END;",
        ),
        ("BEFORE UPDATE OF current_limit ON batch_scores FOR EACH ROW", "BEGIN RETURN NULL; END"),
        ("BEFORE UPDATE ON batch_scores FOR EACH STATEMENT", "BEGIN RETURN NULL; END"),
        ("AFTER UPDATE ON batch_scores FOR EACH ROW", "BEGIN RETURN NULL; END"),
        ("BEFORE INSERT ON batch_scores FOR EACH ROW", "BEGIN RETURN NULL; END"),
    ];
    servers.each(|lender| {
        for (when, body) in refused {
            lender.table(&trigger(when, body))?;
            lender.refused(when, &["trigger meddling of public.batch_scores", "AFTER trigger"])?;
        }

        for (when, body) in used {
            lender.table(&trigger(when, body))?;
            lender.works(when)?;
        }

        // A trigger that is switched off does not fire.
        let (when, body) = refused[0];
        lender.table(&format!(
            "{}; ALTER TABLE batch_scores DISABLE TRIGGER meddling",
            trigger(when, body)
        ))?;
        lender.works("a trigger that is switched off")
    })
}

fn everything_that_is_wrong_is_in_one_message(servers: &Servers) -> Result<()> {
    servers.each(|lender| {
        lender.table(
            "ALTER TABLE batch_scores ALTER COLUMN current_score TYPE TEXT;
             ALTER TABLE batch_scores ALTER COLUMN current_limit TYPE MONEY;
             ALTER TABLE batch_scores ALTER COLUMN updated_at TYPE DATE;
             ALTER TABLE customer_features ALTER COLUMN income TYPE TEXT",
        )?;
        let message = lender.refused(
            "all",
            &[
                "4 things to change",
                "1) column current_score of public.batch_scores: found text, wanted INTEGER: ALTER \
                 TABLE public.batch_scores ALTER COLUMN current_score TYPE INTEGER USING \
                 current_score::INTEGER",
                "2) column current_limit of public.batch_scores: found money",
                "3) column updated_at",
                "4) column \"income\" of customer_features",
            ],
        )?;
        // Each of its statements mends the table.
        let statements: Vec<&str> = message
            .split("; ")
            .filter_map(|part| part.split_once(": ALTER").map(|(_, statement)| statement))
            .collect();
        ensure!(statements.len() == 3, "three statements: {message}");
        for statement in statements {
            lender.sql(&format!("ALTER{statement}"))?;
        }
        lender.sql("ALTER TABLE customer_features ALTER COLUMN income TYPE REAL USING 1")?;
        lender.works("mended")
    })
}

/// The guard of promise 1, by the types that have an expression of their own.
fn a_row_that_changed_since_the_query_is_stale_whatever_its_types(servers: &Servers) -> Result<()> {
    let types = [
        ("INTEGER", "NUMERIC(10, 2)"),
        ("BIGINT", "BIGINT"),
        ("NUMERIC", "NUMERIC(14, 4)"),
        ("DOUBLE PRECISION", "DOUBLE PRECISION"),
    ];
    servers.each(|lender| {
        for (score, limit) in types {
            let case = format!("{score}, {limit}");
            lender.table(&format!(
                "ALTER TABLE batch_scores ALTER COLUMN current_score TYPE {score};
                 ALTER TABLE batch_scores ALTER COLUMN current_limit TYPE {limit};
                 INSERT INTO batch_scores VALUES
                     ('more', 700, 4000, '2026-01-01'), ('less', 700, 4000, '2026-01-01'),
                     ('gone', 700, 4000, '2026-01-01'), ('same', 700, 4000, '2026-01-01'),
                     ('taken', 700, 4000, '2026-01-01'),
                     ('odd', 700, 4000.125, '2026-01-01'), ('odder', 700, 4000.125, '2026-01-01'),
                     ('oddest', 700, 4000.125, '2026-01-01')"
            ))?;
            let meanwhile = "UPDATE batch_scores SET current_limit = 4001 WHERE customer_id = 'more';
                             UPDATE batch_scores SET current_score = 699 WHERE customer_id = 'less';
                             DELETE FROM batch_scores WHERE customer_id = 'gone';
                             UPDATE batch_scores SET limit_increase_decision = 'REFERRED',
                                 decision_reason = 'By hand.', updated_at = now() AT TIME ZONE 'UTC'
                             WHERE customer_id = 'taken';
                             UPDATE batch_scores SET current_limit = 4000.625 WHERE customer_id = 'oddest';
                             UPDATE batch_scores SET current_limit = 4002 WHERE customer_id = 'odder'";
            let run = lender.run_with(meanwhile)?.map_err(|failure| anyhow::anyhow!("{case}: {failure}"))?;
            ensure!(
                run.stale == ["gone", "less", "more", "odder", "oddest", "taken"],
                "promise 1: {case}: the changed ones should be stale, found {:?}",
                run.stale
            );
            let stored = lender.stored()?;
            let written: Vec<&str> = stored.keys().map(String::as_str).collect();
            ensure!(
                written == ["1001", "1002", "odd", "same", "taken"],
                "promise 1: {case}: the others should be decided, found {written:?}"
            );
            ensure!(
                stored["taken"].reason == "By hand.",
                "promise 1: {case}: who was decided meanwhile keeps that decision: {stored:?}"
            );
        }

        // A table that is altered between the two steps is refused by the second.
        lender.table("")?;
        let altered = lender.run_with("ALTER TABLE batch_scores ALTER COLUMN current_limit TYPE MONEY");
        let failure = altered.err().context("it should be refused")?;
        let failure = failure.downcast_ref::<Failure>().context("not a failure")?.clone();
        ensure!(
            failure.kind == FailureKind::DatabaseSchema && failure.message.contains("found money"),
            "expected Permanent.DatabaseSchema, got {failure}"
        );
        ensure!(lender.stored()?.is_empty(), "nobody should be decided");
        Ok(())
    })
}

fn a_table_that_was_dropped_is_told_from_one_that_was_never_made(servers: &Servers) -> Result<()> {
    servers.each(|lender| {
        for table in ["batch_scores", "customer_features", "limit_increase_runs"] {
            lender.table("")?;
            lender.sql(&format!("DROP TABLE {table} CASCADE"))?;
            if table != "limit_increase_runs" {
                lender.refused(table, &[&format!("no table {table}"), "dropped or renamed"])?;
            }

            let url = lender.url("limit_increase", "");
            let migrating = async { migrate(&mut connect(&url).await?).await };
            let failure = lender.server.block_on(migrating).err().context("it is not told")?;
            ensure!(
                failure.kind == FailureKind::DatabaseSchema
                    && failure.message.contains(&format!("no table {table}"))
                    && failure.message.contains("DELETE FROM limit_increase_migrations"),
                "{table}: {failure}"
            );

            // The advice works.
            let advice = failure.message.split(", to begin with an empty one, ").nth(1);
            let advice = advice.or_else(|| failure.message.split("empty one, ").nth(1));
            let advice = advice.and_then(|text| text.split(", and run").next());
            lender.sql(advice.context("no advice")?)?;
            let migrating = async { migrate(&mut connect(&url).await?).await };
            lender.server.block_on(migrating)?;
        }

        lender.empty_schema()?;
        lender.refused("never made", &["run the migrations"])?;
        Ok(())
    })
}

fn a_table_with_a_key_of_its_own_is_migrated(servers: &Servers) -> Result<()> {
    let own = |key: &str| {
        format!(
            "CREATE TABLE batch_scores (customer_id {key}, current_score SMALLINT,
                 current_limit NUMERIC(14, 4), application_date TIMESTAMPTZ,
                 limit_increase_decision TEXT, new_limit INTEGER, decision_reason TEXT,
                 updated_at TIMESTAMPTZ);
             INSERT INTO batch_scores VALUES (17, 700, 4000.5, now()), (18, 700, 4000.5001, now())"
        )
    };
    servers.each(|lender| {
        let url = lender.url("limit_increase", "");
        let migrating =
            || lender.server.block_on(async { migrate(&mut connect(&url).await?).await });
        for key in ["BIGINT PRIMARY KEY", "CHAR(9) PRIMARY KEY", "VARCHAR(9) PRIMARY KEY"] {
            lender.empty_schema()?;
            lender.sql(&own(key))?;
            migrating().with_context(|| key.to_owned())?;
            lender.sql(
                "ALTER TABLE customer_features ADD COLUMN income REAL;
                 INSERT INTO customer_features SELECT customer_id, 1 FROM batch_scores",
            )?;
            lender.grant()?;
            lender.works(key)?;
        }

        lender.empty_schema()?;
        lender.sql(&own("BIGINT"))?;
        let failure = migrating().err().context("a table without a key was migrated")?;
        ensure!(
            failure.kind == FailureKind::DatabaseSchema
                && failure.message.contains("ADD PRIMARY KEY (customer_id)"),
            "{failure}"
        );
        Ok(())
    })
}

/// Promise 3, whatever a program would write.
fn the_ledger_refuses_counts_that_do_not_add_up(servers: &Servers) -> Result<()> {
    const RUN: &str = "INSERT INTO limit_increase_runs
        (run_id, status, context, eligible, approved, declined, referred, stale, started_at)";
    const SHARD: &str = "INSERT INTO limit_increase_shards
        (run_id, shard_index, approved, declined, referred, stale, total_increase, applied_at, rows)";
    servers.each(|lender| {
        lender.table("")?;
        lender.sql(&format!("{RUN} VALUES ('r', 'SUCCEEDED', '{{}}', 10, 4, 3, 2, 1, now())"))?;
        lender.sql(&format!("{SHARD} VALUES ('r', 0, 4, 3, 2, 1, 0, now(), 10)"))?;
        for statement in [
            format!("{RUN} VALUES ('s', 'SUCCEEDED', '{{}}', 11, 4, 3, 2, 1, now())"),
            format!("{SHARD} VALUES ('r', 1, 4, 3, 2, 1, 0, now(), 11)"),
        ] {
            let refused = lender.sql(&statement).err().context("promise 3: it was accepted")?;
            let refused = format!("{refused:?}");
            ensure!(refused.contains("violates check constraint"), "{statement}: {refused}");
        }
        Ok(())
    })
}

/// Opens runs without customers, which only have to be closed.
fn open_runs(lender: &Lender<'_>, count: usize) -> Result<Vec<RunToFinish>> {
    let mut runs = Vec::new();
    for number in 0..count {
        let run_id = RunId::try_from(format!("night-{number}"))?;
        let run = RunContext { run_id, ..run_context(&Policy::default())? };
        lender.server.block_on(lender.admin().execute(
            "INSERT INTO limit_increase_runs
                 (run_id, status, context, eligible, shard_count, started_at)
             VALUES ($1, 'RUNNING', $2, 0, 0, now())",
            &[&run.run_id.as_str(), &serde_json::to_value(&run)?],
        ))?;
        let execution = Execution::default();
        runs.push(RunToFinish { run, eligible: 0, shard_count: 0, execution });
    }

    Ok(runs)
}

/// Promise 15: an attempt that waits for the lock of the one that closes the run has to see its seal.
/// Otherwise it would write a report of its own over the sealed one.
fn an_attempt_that_waited_for_a_closing_sees_its_seal(servers: &Servers) -> Result<()> {
    servers.each(|lender| {
        lender.table("")?;
        let runs = open_runs(lender, 1)?;
        let url = lender.url("scores_update", "");
        lender.server.block_on(async {
            let (mut first, mut second) = (connect(&url).await?, connect(&url).await?);
            let closing = ClosingRun::hold(&mut first, &runs[0]).await?;
            let commit = async {
                while waiting(lender.admin()).await? == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }

                anyhow::Ok(closing.commit(BTreeMap::new()).await?.seal)
            };
            let hold = async { anyhow::Ok(ClosingRun::hold(&mut second, &runs[0]).await?) };
            let (seal, again) = tokio::try_join!(commit, hold)?;
            ensure!(again.is_sealed(), "promise 15: the second attempt does not see the seal");
            ensure!(again.commit(BTreeMap::new()).await?.seal == seal, "promise 15: another seal");
            Ok(())
        })
    })
}

/// How many statements wait for a lock.
async fn waiting(admin: &Client) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    Ok(admin.query_one(sql, &[]).await?.get(0))
}

/// Promise 15: whoever closes second is sealed over whoever closed first, and a run that is closed
/// again keeps its seal.
fn runs_that_close_together_form_one_chain(servers: &Servers) -> Result<()> {
    const RUNS: usize = 6;
    servers.each(|lender| {
        lender.table("")?;
        let runs = open_runs(lender, RUNS)?;
        let all_hold = tokio::sync::Barrier::new(RUNS);
        let close = async |to_finish: &RunToFinish, wait: bool| {
            let mut client = connect(&lender.url("scores_update", "")).await?;
            let closing = ClosingRun::hold(&mut client, to_finish).await?;
            if wait {
                all_hold.wait().await;
            }
            let objects = BTreeMap::from([("key".to_owned(), "hash".to_owned())]);
            anyhow::Ok(closing.commit(objects).await?.seal)
        };
        let together = runs.iter().map(|run| close(run, true));
        let closed =
            lender.server.block_on(async { futures_util::future::try_join_all(together).await })?;
        let again = lender.server.block_on(close(&runs[0], false))?;
        ensure!(again == closed[0], "promise 15: a run that is closed again keeps its seal");

        // As when the answer of the closing was lost: the execution fails, and is redriven.
        lender.sql(
            "UPDATE limit_increase_runs SET status = 'FAILED', error = 'x', cause = 'y',
                 failed_at_redrive = 0, finished_at = now() + interval '1 hour'
             WHERE run_id = 'night-1'",
        )?;
        let mut redriven = runs[1].clone();
        redriven.execution.redrive_count = 1;
        let again = lender.server.block_on(close(&redriven, false))?;
        let kept = lender.rows(
            "SELECT run.finished_at = (seal.document::jsonb ->> 'finished_at')::timestamptz
             FROM limit_increase_runs run JOIN limit_increase_seals seal USING (run_id)
             WHERE run_id = 'night-1'",
        )?;
        ensure!(
            again == closed[1] && kept.len() == 1 && kept[0].get::<_, bool>(0),
            "promise 15: a run that failed after it was closed is closed again as it was sealed"
        );

        let rows =
            lender.rows("SELECT seal, document FROM limit_increase_seals ORDER BY number")?;
        ensure!(rows.len() == RUNS, "promise 15: {} seals for {RUNS} runs", rows.len());
        let mut previous: Option<String> = None;
        for (at, row) in rows.iter().enumerate() {
            let (seal, document): (String, String) = (row.get(0), row.get(1));
            let sealed: Sealed = serde_json::from_str(&document)?;
            ensure!(
                sealed.number == at as u64 + 1 && sealed.previous == previous,
                "promise 15: seal {} is over {:?} and not over {previous:?}",
                sealed.number,
                sealed.previous
            );
            ensure!(closed.contains(&seal) && seal == seal_of(&document), "promise 15: {seal}");
            previous = Some(seal);
        }
        Ok(())
    })
}

/// The statements of the ordinary table are those of a table that nobody has to cast. The server
/// notes them.
fn the_statements_of_the_ordinary_table_have_no_cast(servers: &Servers) -> Result<()> {
    servers.each(|lender| {
        lender.table(
            "CREATE TABLE statements (query TEXT);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN INSERT INTO public.statements VALUES (current_query()); RETURN NULL; END $$;
             CREATE TRIGGER note AFTER UPDATE ON batch_scores
                 FOR EACH STATEMENT EXECUTE FUNCTION note()",
        )?;
        lender.works("the ordinary table")?;
        let rows = lender.rows("SELECT query FROM statements")?;
        let query: String = rows.first().context("no statement was noted")?.get(0);
        let words: Vec<&str> = query.split_whitespace().collect();
        let query = words.join(" ");
        ensure!(
            query.contains(
                "FROM shard_decisions d WHERE b.customer_id = d.customer_id AND \
                 b.limit_increase_decision IS NULL AND b.current_score = d.current_score AND \
                 b.current_limit = d.current_limit RETURNING d.customer_id"
            ) && !query.contains("::"),
            "the ordinary guard should have no cast: {query}"
        );
        Ok(())
    })
}
