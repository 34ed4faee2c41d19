//! PgBouncer before PostgreSQL, in session mode and in transaction mode: six processes that apply
//! shards, and whole runs of the deployed stack.
//!
//! PgBouncer comes from the operating system. So this suite is not a part of `cargo test`, and
//! `make test-all` runs it only where there is one:
//!
//! ```sh
//! PGBOUNCER=/usr/sbin/pgbouncer cargo test --workspace --test pgbouncer
//! ```
//!
//! Version 1.18 keeps no prepared statements in transaction mode. So what works with it works with
//! every newer version.
#![allow(missing_docs)]

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use limit_increase::deployment::{self, Deployment};
use limit_increase_database::{
    Credentials, Database, DatabaseUrl, FailedPart, Selection, ShardFiles, ShardLock, begin,
    migrate, open_eligible, record_failure,
};
use limit_increase_domain::{Outcome, Policy, SourceColumn};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::records::{LedgerRow, RunRecord, decisions};
use limit_increase_tests::{cases, suite};
use limit_increase_workflow::contract::RecordedFailure;
use limit_increase_workflow::rows::Evaluation;
use limit_increase_workflow::{RunContext, RunId, RunRequest, ShardIndex};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Set for a process that works as a function. Two processes give their prepared statements the
/// same names, which is what a pooler can confuse.
const WORKER: &str = "PGBOUNCER_TEST_WORKER";
const WORKERS: usize = 6;
const SHARDS_OF_A_WORKER: usize = 10;
const CUSTOMERS_OF_A_SHARD: usize = 5;
const RUN: &str = "through-pgbouncer";

fn main() -> ExitCode {
    if let Ok(worker) = std::env::var(WORKER) {
        return match work(&worker) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("worker {worker}: {error:?}");
                ExitCode::FAILURE
            }
        };
    }

    suite::run(
        "pgbouncer",
        &cases![
            every_shard_is_applied_once_in_session_mode,
            every_shard_is_applied_once_in_transaction_mode,
            a_whole_run_works_in_session_mode,
            a_whole_run_works_in_transaction_mode,
        ],
    )
}

fn every_shard_is_applied_once_in_session_mode(environment: &Environment) -> Result<()> {
    apply_shards(environment, "session", WORKERS)
}

/// All workers share two connections to the server. So each meets what another has left behind.
fn every_shard_is_applied_once_in_transaction_mode(environment: &Environment) -> Result<()> {
    apply_shards(environment, "transaction", 2)
}

/// The functions of a run need no more connections than this: four shards at a time, and the other
/// states.
fn a_whole_run_works_in_session_mode(environment: &Environment) -> Result<()> {
    run_through(environment, "session", 6)
}

/// All functions share two connections to the server.
fn a_whole_run_works_in_transaction_mode(environment: &Environment) -> Result<()> {
    run_through(environment, "transaction", 2)
}

/// A run of the deployed stack: queried, scored, evaluated, written and closed. And one that fails,
/// which the ledger records.
fn run_through(environment: &Environment, mode: &str, connections: usize) -> Result<()> {
    environment.reset()?;
    let pooler = PgBouncer::start(environment, mode, connections)?;
    let deploy = |url: &str| {
        let mut deployment = Deployment::local(&environment.ready.services)?;
        deployment.parameters.insert("DatabaseUrl".to_owned(), url.to_owned());
        deployment.parameters.insert("MaxConcurrency".to_owned(), "4".to_owned());
        let deployed =
            deployment::deploy(&environment.context, &environment.ready.aws, &deployment);
        environment.block_on(deployed).map(|_| ())
    };
    deploy(&pooler.url)?;

    let request = RunRequest { limit: None, shard_size: 4, ..RunRequest::default() };
    let record = RunRecord::read(environment, &environment.run_well(&request)?)?;
    ensure!(
        record.summary.shard_count >= 6 && record.summary.counts.stale == 0,
        "promise 3: in {mode} mode many shards should be applied: {:?}",
        record.summary
    );
    record.check_table(&decisions(environment)?)?;

    let failed = environment.execute(&format!("failed-in-{mode}-mode"), r#"{"limit": 0}"#)?;
    let row = LedgerRow::read(environment, &RunId::try_from(failed.name.clone())?)?;
    ensure!(
        row.status == "FAILED" && row.error.as_deref() == Some("Permanent.InvalidRequest"),
        "promise 5: in {mode} mode the failure should be in the ledger: {row:?}"
    );
    ensure!(
        pooler.has_served()?,
        "the functions should connect through PgBouncer, whose log has no session of theirs"
    );

    deploy(&environment.ready.services.functions_database_url)
}

fn apply_shards(environment: &Environment, mode: &str, connections: usize) -> Result<()> {
    environment.reset()?;
    let pooler = PgBouncer::start(environment, mode, connections)?;
    let database = Database::new(Credentials::fixed(DatabaseUrl::new(&pooler.url)));
    let customers = WORKERS * SHARDS_OF_A_WORKER * CUSTOMERS_OF_A_SHARD;
    let admin = environment.database()?;
    environment.block_on(async {
        migrate(&mut *database.client().await?).await?;
        admin
            .batch_execute(&format!(
                "TRUNCATE limit_increase_runs, limit_increase_shards, limit_increase_shard_files,
                 limit_increase_seals, batch_scores,
                     customer_features;
                 ALTER TABLE customer_features ADD COLUMN IF NOT EXISTS income FLOAT8;
                 INSERT INTO batch_scores
                 SELECT 'C' || n, 700, 5000, '2026-01-01' FROM generate_series(0, {customers} - 1) n;
                 INSERT INTO customer_features SELECT customer_id, 1 FROM batch_scores;
                 INSERT INTO limit_increase_runs (run_id, status, context, eligible, started_at)
                 VALUES ('{RUN}', 'RUNNING', '{context}', {customers}, now())",
                context = serde_json::to_string(&run_context()?)?
            ))
            .await?;
        anyhow::Ok(())
    })?;

    let workers: Vec<Child> = (0..WORKERS)
        .map(|worker| {
            Command::new(std::env::current_exe()?)
                .env(WORKER, format!("{worker} {}", pooler.url))
                .stdin(Stdio::null())
                .spawn()
        })
        .collect::<Result<_, _>>()?;
    for mut worker in workers {
        ensure!(worker.wait()?.success(), "in {mode} mode a worker failed; its error is above");
    }

    let row = environment.block_on(admin.query_one(
        "SELECT (SELECT count(*) FROM batch_scores WHERE new_limit = 7500),
                (SELECT coalesce(sum(approved), 0)::bigint FROM limit_increase_shards)",
        &[],
    ))?;
    let (decided, counted): (i64, i64) = (row.get(0), row.get(1));
    ensure!(
        (decided, counted) == (customers as i64, customers as i64),
        "promise 6: {mode}: {customers} customers should be decided, {decided} are; {counted} counted"
    );
    Ok(())
}

/// What the run was opened with.
fn run_context() -> Result<RunContext> {
    let mut event: Value =
        serde_json::from_str(include_str!("../../events/update-database-apply-shard.json"))?;
    event["run"]["run_id"] = json!(RUN);
    Ok(serde_json::from_value(event["run"].take())?)
}

/// Reads the customers and applies shards, as the functions do it.
fn work(worker: &str) -> Result<()> {
    let (number, url) = worker.split_once(' ').context("no worker")?;
    let number: usize = number.parse()?;
    let database = Database::new(Credentials::fixed(DatabaseUrl::new(url)));
    let run = run_context()?;
    let policy = Policy::default();
    let features = [SourceColumn::number("income")];
    let selection =
        Selection { policy: &policy, limit: Some(100), features: &features, longest_reason: 0 };

    tokio::runtime::Runtime::new()?.block_on(async {
        for shard in 0..SHARDS_OF_A_WORKER {
            let mut client = database.client().await?;
            let transaction = begin(&mut client, "reading").await?;
            let mut rows = open_eligible(transaction.client(), &selection).await?;
            while let Some(row) = rows.next().await? {
                ensure!(row.customer()?.current_score == Some(700), "another statement's row");
            }

            drop(rows);
            transaction.commit().await?;

            let index = number * SHARDS_OF_A_WORKER + shard;
            let ids: Vec<String> = (0..CUSTOMERS_OF_A_SHARD)
                .map(|customer| format!("C{}", index * CUSTOMERS_OF_A_SHARD + customer))
                .collect();
            let evaluations: Vec<Evaluation<'_>> = ids.iter().map(|id| evaluation(id)).collect();
            // Twice, as after a lost answer: the second time the shard is found applied.
            for attempt in 0..2 {
                let shard = ShardIndex(u32::try_from(index)?);
                match ShardLock::hold(&mut client, &run, shard).await? {
                    ShardLock::AlreadyApplied(outcome) => {
                        ensure!(attempt == 1 && outcome.counts.approved == 5, "{outcome:?}");
                    }
                    ShardLock::Held(held) => {
                        ensure!(attempt == 0, "promise 6: shard {index} is applied twice");
                        held.apply(&evaluations, |_| None::<()>).await?;
                        held.commit(&ShardFiles {
                            evaluations_sha256: "e".repeat(64),
                            results_sha256: "f".repeat(64),
                        })
                        .await?;
                    }
                }
            }
        }

        // Outside a transaction: each message may go to another connection.
        for attempt in 0..20 {
            let run = RunId::try_from(format!("failed-{number}-{attempt}"))?;
            let failure: RecordedFailure =
                serde_json::from_value(json!({ "error": run.as_str(), "cause": "c" }))?;
            let client = database.client().await?;
            let first = record_failure(&client, &run, FailedPart::Shard, &failure).await?;
            ensure!(
                first.as_ref().is_some_and(|first| first.error == run.as_str()),
                "promise 5: {run} should have its own failure, found {first:?}"
            );
        }

        Ok(())
    })
}

fn evaluation(customer_id: &str) -> Evaluation<'_> {
    Evaluation {
        customer_id,
        current_score: Some(700),
        current_limit: Some(Decimal::from(5_000)),
        unreadable: None,
        annual_income: None,
        new_score: None,
        outcome: Outcome::Approved,
        new_limit: Some(Decimal::from(7_500)),
        reason: "Score 700.",
        driver: None,
    }
}

/// A PgBouncer before a server on this machine; it ends when dropped.
struct PgBouncer {
    child: Child,
    directory: PathBuf,
    url: String,
}

impl PgBouncer {
    fn start(environment: &Environment, mode: &str, connections: usize) -> Result<Self> {
        let url = &environment.ready.services.database_url;
        let config: tokio_postgres::Config = url.parse()?;
        let upstream = *config.get_ports().first().context("the database's URL has no port")?;
        let user = config.get_user().context("the database's URL has no user")?;
        let database = config.get_dbname().context("the database's URL has no database")?;
        let program = std::env::var("PGBOUNCER").context(
            "name the program: PGBOUNCER=/usr/sbin/pgbouncer (apt-get install pgbouncer)",
        )?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let directory = std::env::temp_dir().join(format!("limit-increase-pgbouncer-{port}"));
        std::fs::create_dir_all(&directory)?;
        let configuration = directory.join("pgbouncer.ini");
        let log = directory.join("log");
        std::fs::write(
            &configuration,
            format!(
                "[databases]\n{database} = host=127.0.0.1 port={upstream} user={user}\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = any\npool_mode = {mode}\ndefault_pool_size = {connections}\n"
            ),
        )?;

        let mut command = Command::new(&program);
        if rustix::process::geteuid().is_root() {
            // PgBouncer refuses to run as root.
            command.args(["-u", "nobody"]);
        }

        let child = command
            .arg(&configuration)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let url = format!("postgresql://{user}@127.0.0.1:{port}/{database}");
        let pooler = Self { child, directory, url };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(pooler);
            }

            std::thread::sleep(Duration::from_millis(50));
        }

        bail!("PgBouncer does not answer; it says: {}", std::fs::read_to_string(&log)?)
    }

    /// Whether somebody has logged in.
    fn has_served(&self) -> Result<bool> {
        Ok(std::fs::read_to_string(self.directory.join("log"))?.contains("login attempt"))
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
