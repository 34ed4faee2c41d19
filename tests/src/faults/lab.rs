//! Prepares an [`Environment`] for faults: proxies before its services, functions that know only
//! the proxies, two models and two policies, and tables that note every decision.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use limit_increase::aws::storage;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::local::state::{PostgresState, State};
use limit_increase::model::{BUCKET, KEY};
use limit_increase::runs::RunEnvironment;
use limit_increase_database::DatabaseUrl;
use limit_increase_domain::Policy;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_postgres::Client;

use crate::simulator::database_proxy::DatabaseProxy;
use crate::simulator::function::Launch;
use crate::simulator::machine::Machine;
use crate::simulator::pool::Pool;
use crate::simulator::storage_proxy::StorageProxy;
use crate::{Environment, programs, roles};

/// The key of the policy document.
pub const POLICY_KEY: &str = "policies/limit-increase-policy.json";

/// Short enough that a time-out happens within a schedule, and long enough that a busy machine
/// alone does not cause one.
const TIMEOUTS: &str = "-c lock_timeout=400ms -c statement_timeout=1500ms -c \
                        idle_in_transaction_session_timeout=800ms";

/// An environment whose services can be broken.
pub struct Lab {
    /// The command line's context of the environment.
    pub context: Context,
    /// The services, without the proxies.
    pub ready: RunEnvironment,
    /// The functions.
    pub pool: Pool,
    /// The proxy between the functions and PostgreSQL.
    pub database: DatabaseProxy,
    /// The proxy between the functions and S3.
    pub storage: StorageProxy,
    /// The current artifact, and another one.
    pub models: [Bytes; 2],
    /// The current policy (the default, because the bucket has none), and another one.
    pub policies: [Policy; 2],
    definition: String,
    /// Held while the server restarts or its disk is full. A second restart would find the server
    /// halfway up. A server that crashes on the full disk could not recover, because that disk
    /// cannot be synchronised.
    pub server: Mutex<()>,
}

impl Lab {
    /// Prepares everything, with a fresh table of the sample's customers.
    ///
    /// # Errors
    /// When a part cannot be prepared.
    pub fn open(environment: &Environment) -> Result<Arc<Self>> {
        Self::open_with(environment, &programs::functions(&environment.context)?, &[])
    }

    /// Like [`Lab::open`], with other programs for the functions, and the command that runs them.
    ///
    /// # Errors
    /// When a part cannot be prepared.
    pub fn open_with(
        environment: &Environment,
        programs: &HashMap<&'static str, PathBuf>,
        runner: &[String],
    ) -> Result<Arc<Self>> {
        environment.reset()?;
        let url = &environment.ready.services.database_url;
        let config: tokio_postgres::Config = url.parse()?;
        let port = *config.get_ports().first().context("the database's URL has no port")?;

        environment.block_on(async {
            let database = DatabaseProxy::start(port).await?;
            let storage = StorageProxy::start(environment.ready.services.localstack_port).await?;
            let through_proxy =
                url.replace(&format!(":{port}/"), &format!(":{}/", database.port()));
            ensure!(through_proxy != *url, "the database's URL should contain its port");

            let options = TIMEOUTS.replace(' ', "%20").replace('=', "%3D");
            let through_proxy = format!("{through_proxy}?options={options}");

            let log = environment.context.home.logs().join("functions-under-faults.log");
            let launch = |(name, program): (&&'static str, &PathBuf)| {
                // Each function has its own rights only, as docs/grants.sql gives them.
                let url = roles::login(name)
                    .map_or(Ok(through_proxy.clone()), |user| roles::as_user(&through_proxy, user));
                let mut launch = Launch::new(program, name, &storage.endpoint())
                    .env("DATABASE_URL", &url?)
                    .env("BUCKET", BUCKET)
                    .timeout(Duration::from_secs(60))
                    .log(&log);
                launch.runner = runner.to_vec();
                anyhow::Ok(((*name).to_owned(), launch))
            };

            let pool = Pool::new(programs.iter().map(launch).collect::<Result<HashMap<_, _>>>()?);
            let model = environment_object(environment, KEY).await?;
            let other = another_model(&model)?;

            let definition =
                environment.context.project.root().join("statemachine/limit-increase.asl.json");
            let lab = Self {
                context: environment.context.clone(),
                ready: environment.ready.clone(),
                pool,
                database,
                storage,
                models: [model, other],
                policies: [Policy::default(), another_policy()?],
                definition: std::fs::read_to_string(definition)?,
                server: Mutex::new(()),
            };

            lab.prepare_table().await?;
            Ok(Arc::new(lab))
        })
    }

    /// The state machine, with this many simultaneous shards in a run.
    ///
    /// # Errors
    /// When the definition cannot be read.
    pub fn machine(&self, concurrency: usize) -> Result<Machine> {
        let concurrency = format!("[{concurrency}]");
        let substitutions = BTreeMap::from([
            ("QueryBatchScoresArn", "query-batch-scores"),
            ("ScoreCustomersArn", "score-customers"),
            ("EvaluateLimitIncreaseArn", "evaluate-limit-increase"),
            ("UpdateDatabaseArn", "update-database"),
            ("MaxConcurrency", concurrency.as_str()),
        ]);

        Machine::new(&self.definition, &substitutions)
    }

    /// A connection that bypasses the proxy. Waits for a server that is just restarting.
    ///
    /// # Errors
    /// When the server does not come back.
    pub async fn admin(&self) -> Result<Client> {
        let url = DatabaseUrl::new(&self.ready.services.database_url);
        let mut attempts = 0;
        let client = loop {
            match limit_increase_database::connect(&url).await {
                Ok(client) => break client,
                Err(error) if attempts > 200 => return Err(error.into()),
                Err(_) => attempts += 1,
            }

            tokio::time::sleep(Duration::from_millis(100)).await;
        };

        // The administrator must be able to write while the server refuses other writes.
        client
            .batch_execute("SET default_transaction_read_only = off; SET lock_timeout = '20s'")
            .await?;
        Ok(client)
    }

    /// The status of a run in the ledger.
    ///
    /// # Errors
    /// When the database does not answer, or has no such run.
    pub async fn status(&self, run: &str) -> Result<String> {
        let sql = "SELECT status FROM limit_increase_runs WHERE run_id = $1";
        Ok(self.admin().await?.query_one(sql, &[&run]).await?.get(0))
    }

    /// Adds a copy of the customers' first state, a note of every decision ever written, and a
    /// brake for updates.
    async fn prepare_table(&self) -> Result<()> {
        let sql = "
            DROP TRIGGER IF EXISTS note_decision ON batch_scores;
            DROP TRIGGER IF EXISTS brake ON batch_scores;
            DROP TABLE IF EXISTS pristine, pristine_features, decisions_written, brake;
            CREATE TABLE pristine AS SELECT * FROM batch_scores;
            CREATE TABLE pristine_features AS SELECT * FROM customer_features;
            CREATE TABLE decisions_written (customer_id TEXT, decision TEXT);
            CREATE TABLE brake (seconds FLOAT8);
            INSERT INTO brake VALUES (0);
            CREATE OR REPLACE FUNCTION note_decision() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO decisions_written VALUES (new.customer_id, new.limit_increase_decision);
                RETURN NULL;
            END $$;
            GRANT INSERT ON decisions_written TO PUBLIC;
            GRANT SELECT ON brake TO PUBLIC;
            CREATE TRIGGER note_decision AFTER UPDATE OF limit_increase_decision ON batch_scores
                FOR EACH ROW EXECUTE FUNCTION note_decision();
            CREATE OR REPLACE FUNCTION brake() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_sleep(seconds) FROM brake WHERE seconds > 0;
                RETURN NULL;
            END $$;
            CREATE TRIGGER brake BEFORE UPDATE ON batch_scores FOR EACH STATEMENT
            EXECUTE FUNCTION brake();";
        let client = self.admin().await?;
        roles::grant(&client, &self.context.project).await?;
        client.batch_execute(sql).await?;
        Ok(())
    }

    /// Restores the state before the first schedule: services without faults, no decisions, an
    /// empty ledger, the first model and policy.
    ///
    /// # Errors
    /// When a service fails.
    pub async fn reset(&self) -> Result<()> {
        self.database.calm();
        self.storage.calm();

        let client = self.admin().await?;
        self.take_writes(&client).await?;
        self.end_backends(&client).await?;
        client
            .batch_execute(
                "BEGIN;
                 SET LOCAL session_replication_role = replica;
                 TRUNCATE limit_increase_decisions;
                 COMMIT;
                 TRUNCATE limit_increase_runs, limit_increase_shards, limit_increase_shard_files,
                 limit_increase_seals, batch_scores,
                 customer_features, decisions_written;
                 INSERT INTO batch_scores SELECT * FROM pristine;
                 INSERT INTO customer_features SELECT * FROM pristine_features;
                 UPDATE brake SET seconds = 0 WHERE seconds <> 0;",
            )
            .await?;

        self.use_model(0).await?;
        self.use_policy(0).await
    }

    /// Makes the server refuse every write except the administrator's.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn refuse_writes(&self, client: &Client) -> Result<()> {
        client.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await?;
        client.batch_execute("SELECT pg_reload_conf()").await?;
        Ok(())
    }

    /// Ends [`Lab::refuse_writes`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_writes(&self, client: &Client) -> Result<()> {
        client.batch_execute("ALTER SYSTEM RESET default_transaction_read_only").await?;
        client.batch_execute("SELECT pg_reload_conf()").await?;
        Ok(())
    }

    /// Ends the functions' connections.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_backends(&self, client: &Client) -> Result<()> {
        client
            .execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                 WHERE application_name IN ('query-batch-scores', 'update-database')",
                &[],
            )
            .await?;
        Ok(())
    }

    /// Uploads one of the two models as the current one.
    ///
    /// # Errors
    /// When S3 refuses it.
    pub async fn use_model(&self, number: usize) -> Result<()> {
        storage::put(&self.ready.aws.s3, BUCKET, KEY, self.models[number % 2].clone()).await
    }

    /// Makes one of the two policies the current one. For the first one it deletes the document.
    ///
    /// # Errors
    /// When S3 refuses it.
    pub async fn use_policy(&self, number: usize) -> Result<()> {
        let s3 = &self.ready.aws.s3;
        if number.is_multiple_of(2) {
            s3.delete_object().bucket(BUCKET).key(POLICY_KEY).send().await?;
            return Ok(());
        }

        storage::put(s3, BUCKET, POLICY_KEY, serde_json::to_vec(&self.policies[1])?.into()).await
    }

    /// Kills PostgreSQL as a crash does, and starts it again on its data.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn restart_database(&self) -> Result<()> {
        let _alone = self.server.lock().await;
        let context = self.context.clone();
        let state = State::read(&context.home.state_file())?;
        let Some(PostgresState::Embedded { process: Some(process), .. }) = state.postgres else {
            anyhow::bail!("only the embedded PostgreSQL can be killed")
        };

        let pid = Pid::from_raw(process.pid.cast_signed()).context("no pid")?;
        if process.is_alive() {
            // What `pg_ctl stop -m immediate` sends.
            kill_process(pid, Signal::QUIT)?;
        }

        while process.is_alive() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }

        // `ensure` blocks its thread, and the runtime must serve the proxies meanwhile.
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || runtime.block_on(services::ensure(&context))).await??;
        Ok(())
    }
}

async fn environment_object(environment: &Environment, key: &str) -> Result<Bytes> {
    storage::get(&environment.ready.aws.s3, BUCKET, key)
        .await?
        .with_context(|| format!("there is no {key}"))
}

/// The same trees with another target score: a valid artifact that gives everybody another score.
///
/// # Errors
/// When the artifact cannot be read.
pub fn another_model(artifact: &[u8]) -> Result<Bytes> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(artifact));
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if name.as_os_str() == "manifest.json" {
            let mut manifest: Value = serde_json::from_slice(&content)?;
            let target = &mut manifest["scorecard"]["target_score"];
            let score = target.as_f64().context("the manifest has no scorecard.target_score")?;
            *target = json!(score + 25.0);
            content = serde_json::to_vec(&manifest)?;
        }

        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, &name, content.as_slice())?;
    }

    let mut encoder = builder.into_inner()?;
    encoder.flush()?;
    Ok(encoder.finish()?.into())
}

fn another_policy() -> Result<Policy> {
    Ok(serde_json::from_value(json!({
        "minimum_score": 630,
        "tiers": [{ "limit_below": "4000.00", "growth": "0.40" }, { "growth": "0.10" }],
        "maximum_limit": "9000.00"
    }))?)
}
