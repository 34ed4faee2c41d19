//! Inputs out of public bug reports and public credit files, each in a folder with a README that
//! says what the right outcome is. Every one goes through the commands as a user would type them,
//! on PostgreSQL, LocalStack and the deployed functions.
//!
//! The folders are not a part of this project. They are looked for beside it, in `../shared/trials`,
//! or where `LIMIT_INCREASE_TRIALS` says:
//!
//! ```sh
//! LIMIT_INCREASE_TRIALS=/data/trials cargo test --workspace --test trials
//! ```
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use limit_increase_database::{DatabaseUrl, driver_config};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::{cases, suite};

fn main() -> ExitCode {
    suite::run_in(
        Trials::start,
        &cases![
            trial_23_a_table_of_other_types_is_decided_or_refused,
            trial_31_a_limit_finer_than_a_cent_is_referred_alone,
            trial_32_a_pooler_that_refuses_options_is_connected_to,
            trial_45_two_rows_of_one_customer_are_refused,
            trial_47_an_unbalanced_quote_refuses_the_file_with_its_line,
            trial_01_a_text_for_missing_is_read_as_missing,
            trial_02_a_count_with_na_stays_a_number,
            trial_04_a_row_number_is_left_out,
            trial_06_a_month_is_left_out_and_the_next_month_is_decided,
            trial_16_a_column_is_chosen_by_the_name_it_has,
            trial_29_a_category_is_found_however_it_is_spelt,
        ],
        |trials| trials.environment.keep_logs(),
    )
}

/// The environment, and the folders of the trials.
struct Trials {
    environment: Environment,
    folder: PathBuf,
}

/// What a command answered: its exit code, and both of its outputs.
struct Answer {
    exit: Option<i32>,
    said: String,
}

impl Trials {
    fn start() -> Result<Self> {
        let folder = match std::env::var_os("LIMIT_INCREASE_TRIALS") {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/trials"),
        };
        let folder = folder.canonicalize().with_context(|| {
            format!("there is no {}: set LIMIT_INCREASE_TRIALS to the folder", folder.display())
        })?;
        Ok(Self { environment: Environment::start("trials")?, folder })
    }

    /// A file of a trial.
    fn file(&self, name: &str) -> Result<String> {
        let file = self.folder.join(name);
        ensure!(file.is_file(), "there is no {}", file.display());
        file.into_os_string().into_string().map_err(|name| anyhow::anyhow!("{name:?} is no UTF-8"))
    }

    fn command(&self, arguments: &[&str]) -> Result<Answer> {
        let Output { status, stdout, stderr } = self.environment.command(arguments)?;
        let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(Answer { exit: status.code(), said: said.concat() })
    }

    /// Like [`Trials::command`], for a command that must end well. Returns what it said.
    fn succeed(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.command(arguments)?;
        ensure!(answer.exit == Some(0), "{arguments:?} ended with {answer:?}");
        Ok(answer.said)
    }

    fn sql(&self, statements: &str) -> Result<()> {
        let client = self.environment.database()?;
        self.environment.block_on(client.batch_execute(statements)).context("a trial's SQL")
    }

    fn sql_file(&self, name: &str) -> Result<()> {
        self.sql(&fs::read_to_string(self.file(name)?)?)
    }

    /// Leaves a database as nobody has used it. A trial changes the types and keys of tables.
    fn without_tables(&self) -> Result<()> {
        self.sql(
            "DROP TABLE IF EXISTS customer_features, batch_scores, batch_scores_before,
                 limit_increase_runs, limit_increase_shards, limit_increase_decisions,
                 limit_increase_shard_files, limit_increase_seals, limit_increase_migrations CASCADE",
        )
    }

    /// The sample's customers in new tables, as `setup-db` makes them.
    fn sample(&self) -> Result<()> {
        self.without_tables()?;
        self.succeed(&["setup-db", "--reset"]).map(drop)
    }

    /// Trains a small model on a trial's file. Returns what the trainer said.
    fn train(&self, file: &str, target: &str, options: &[&str]) -> Result<String> {
        let file = self.file(file)?;
        let own = ["train", "--force", "--data", &file, "--target", target, "--positive", "1"];
        let trainer = ["--", "--iterations", "20", "--depth", "3"];
        self.succeed(&[own.as_slice(), options, &trainer].concat())
    }

    /// Loads a trial's customers into new tables.
    fn load(&self, file: &str, options: &[&str]) -> Result<Answer> {
        self.without_tables()?;
        let file = self.file(file)?;
        let own = ["setup-db", "--reset", "--data", &file, "--id-column", "id"];
        let columns = ["--score-column", "score", "--limit-column", "limit"];
        self.command(&[own.as_slice(), &columns, options].concat())
    }

    /// The number of customers with each decision. The undecided are counted under "".
    fn decisions(&self) -> Result<BTreeMap<String, i64>> {
        let client = self.environment.database()?;
        let rows = self.environment.block_on(client.query(
            "SELECT coalesce(limit_increase_decision, ''), count(*) FROM batch_scores GROUP BY 1",
            &[],
        ))?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Decides everybody with `run --limit all`, which must end well.
    fn decide_all(&self) -> Result<BTreeMap<String, i64>> {
        self.succeed(&["run", "--limit", "all"])?;
        self.decisions()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}:\n{}", self.exit, self.said)
    }
}

/// The decisions of the sample's 38 eligible customers.
fn of_sample(approved: i64, declined: i64, referred: i64) -> BTreeMap<String, i64> {
    [("", 12), ("APPROVED", approved), ("DECLINED", declined), ("REFERRED", referred)]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| (outcome.to_owned(), count))
        .collect()
}

/// Text on one line, so that a sentence is found wherever the terminal has broken it.
fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn trial_23_a_table_of_other_types_is_decided_or_refused(trials: &Trials) -> Result<()> {
    let ordinary = of_sample(20, 18, 0);
    for file in [
        "a-score-bigint",
        "b-score-smallint",
        "c-score-numeric",
        "d-limit-bigint",
        "e-limit-integer",
        "f-limit-double",
        "g-date-timestamp",
    ] {
        trials.sample()?;
        trials.sql_file(&format!("23-types-of-batch-scores/{file}.sql"))?;
        let decided = trials.decide_all().with_context(|| file)?;
        ensure!(decided == ordinary, "{file}: decided {decided:?}");
    }

    // A table that pandas made has no key.
    trials.sample()?;
    trials.sql_file("23-types-of-batch-scores/h-as-pandas-makes-it.sql")?;
    let refused = trials.command(&["run", "--limit", "all"])?;
    let said = on_one_line(&refused.said);
    ensure!(
        refused.exit == Some(3)
            && said.contains("Permanent.DatabaseSchema")
            && said.contains("ADD PRIMARY KEY (customer_id)")
            && said.matches("attempt 1 failed").count() == 1
            && !said.contains("attempt 2"),
        "a table without a key should be refused without a retry: {refused:?}"
    );
    ensure!(trials.decisions()?.len() == 1, "somebody was decided: {:?}", trials.decisions()?);

    trials.sql("ALTER TABLE batch_scores ADD PRIMARY KEY (customer_id)")?;
    let decided = trials.decide_all()?;
    ensure!(decided == ordinary, "with the key: {decided:?}");
    Ok(())
}

fn trial_31_a_limit_finer_than_a_cent_is_referred_alone(trials: &Trials) -> Result<()> {
    trials.sample()?;
    trials.sql_file("31-finer-than-a-cent/finer.sql")?;
    let decided = trials.decide_all()?;
    ensure!(decided == of_sample(20, 17, 1), "decided {decided:?}");

    let client = trials.environment.database()?;
    let referred = trials.environment.block_on(client.query_one(
        "SELECT customer_id, decision_reason FROM batch_scores
         WHERE limit_increase_decision = 'REFERRED'",
        &[],
    ))?;
    let (customer, reason): (&str, &str) = (referred.try_get(0)?, referred.try_get(1)?);
    ensure!(
        customer == "CUST_0001"
            && reason.contains("the current limit 4700.1234 is not a valid amount"),
        "referred: {customer}, {reason}"
    );
    Ok(())
}

/// The trial's stand-in for a pooler, which is stopped when dropped.
struct Pooler(Child);

impl Pooler {
    /// Listens on `port`, and passes on to the server on `upstream`.
    fn start(script: &str, kind: &str, port: u16, upstream: u16) -> Result<Self> {
        let child = Command::new("python3")
            .args([script, kind, &port.to_string(), "127.0.0.1", &upstream.to_string()])
            // It tells of every connection that it serves, and of every one that only knocks.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start python3")?;
        let pooler = Self(child);

        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(10), "the {kind} does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }

        Ok(pooler)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn trial_32_a_pooler_that_refuses_options_is_connected_to(trials: &Trials) -> Result<()> {
    trials.without_tables()?;
    let script = trials.file("32-poolers-refuse-options/pooler.py")?;
    let direct = &trials.environment.ready.services.database_url;
    let config = driver_config(&DatabaseUrl::new(direct))?;
    let upstream = *config.get_ports().first().context("the address has no port")?;
    for kind in ["pgbouncer", "rdsproxy"] {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let _pooler = Pooler::start(&script, kind, port, upstream)?;
        let pooled = direct.replace(&format!(":{upstream}/"), &format!(":{port}/"));
        ensure!(pooled != *direct, "the port of {direct} was not found");

        let said = trials.succeed(&["--database-url", &pooled, "setup-db", "--schema-only"])?;
        ensure!(said.contains("The tables are"), "{kind}: {said}");
    }

    // They were made through the pooler, and the first of the two made them.
    ensure!(trials.decisions()?.is_empty(), "the new tables hold {:?}", trials.decisions()?);
    Ok(())
}

fn trial_45_two_rows_of_one_customer_are_refused(trials: &Trials) -> Result<()> {
    trials.sample()?;
    trials.sql_file("45-two-rows-of-one-customer/two-rows.sql")?;
    let refused = trials.command(&["run", "--limit", "all"])?;
    let said = on_one_line(&refused.said);
    ensure!(
        refused.exit == Some(3)
            && said.contains("Permanent.DatabaseSchema")
            && said.contains("has no primary key on customer_id alone"),
        "two rows of a customer should be refused: {refused:?}"
    );

    let decided = trials.decisions()?;
    ensure!(decided.keys().eq([""]), "somebody was decided: {decided:?}");
    Ok(())
}

fn trial_47_an_unbalanced_quote_refuses_the_file_with_its_line(trials: &Trials) -> Result<()> {
    for file in ["customers.csv", "customers-last-is-a-category.csv"] {
        let file = format!("47-unbalanced-quote/{file}");
        let refused = trials.load(&file, &["--features", "home", "--categorical", "home"])?;
        let said = on_one_line(&refused.said);
        ensure!(
            refused.exit == Some(2) && said.contains("is never closed") && said.contains("line 5"),
            "{file}: {refused:?}"
        );

        let loaded = trials.decisions()?;
        ensure!(loaded.is_empty(), "{file}: something was loaded: {loaded:?}");
    }

    Ok(())
}

fn trial_01_a_text_for_missing_is_read_as_missing(trials: &Trials) -> Result<()> {
    for (file, target, notice) in [
        ("train.csv", "SeriousDlqin2yrs", "MonthlyIncome is read as numbers; 'NA' (320 rows)"),
        ("train-question-mark.csv", "class", "Attr37 is read as numbers; '?' (613 rows)"),
    ] {
        let said = trials.train(&format!("01-na-20-percent/{file}"), target, &[])?;
        ensure!(
            on_one_line(&said).contains(&format!("{notice} are read as missing values")),
            "{file}: {said}"
        );
    }

    Ok(())
}

fn trial_02_a_count_with_na_stays_a_number(trials: &Trials) -> Result<()> {
    let said = trials.train("02-na-in-counts/train.csv", "SeriousDlqin2yrs", &[])?;
    ensure!(
        on_one_line(&said).contains("NumberOfDependents is read as numbers; 'NA'"),
        "the trainer says: {said}"
    );

    // Among the customers are values that no training row had: they are numbers, so all are scored.
    let loaded = trials.load("02-na-in-counts/customers.csv", &[])?;
    ensure!(loaded.exit == Some(0), "{loaded:?}");
    let decided = trials.decide_all()?;
    ensure!(decided.keys().eq(["DECLINED"]), "decided {decided:?}");
    Ok(())
}

fn trial_04_a_row_number_is_left_out(trials: &Trials) -> Result<()> {
    let said = trials.train("04-index-is-a-feature/train.csv", "Exited", &[])?;
    let said = on_one_line(&said);
    for column in ["Unnamed: 0", "CustomerId"] {
        ensure!(
            said.contains(&format!("{column} is left out: every row has a different value")),
            "{column}: {said}"
        );
    }

    ensure!(!said.contains("AUC 1.000"), "a row number still gives the outcome away: {said}");
    Ok(())
}

fn trial_06_a_month_is_left_out_and_the_next_month_is_decided(trials: &Trials) -> Result<()> {
    let said = trials.train("06-month-names/train.csv", "bad", &[])?;
    ensure!(on_one_line(&said).contains("issue_d is left out: it holds months"), "{said}");

    let loaded = trials.load("06-month-names/customers.csv", &[])?;
    ensure!(loaded.exit == Some(0), "{loaded:?}");
    let decided = trials.decide_all()?;
    ensure!(decided.keys().eq(["DECLINED"]), "decided {decided:?}");
    Ok(())
}

fn trial_16_a_column_is_chosen_by_the_name_it_has(trials: &Trials) -> Result<()> {
    let features =
        " ROA(C) before interest, Net Income to Stockholder's Equity,\" Income, annual\"";
    for chosen in [" ROA(C) before interest", features] {
        let options = ["--features", chosen];
        trials.train("16-odd-column-names/train.csv", "Bankrupt?", &options)?;
    }

    // `make` hands on a dollar sign and an apostrophe as they are.
    let output = Command::new("make")
        .args(["-n", "train-catboost", "DATA=x.csv", "TARGET=t", "POSITIVE=$60K - $80K"])
        .arg(format!("FEATURES={features}"))
        .current_dir(trials.environment.context.project.root())
        .output()?;
    let shown = String::from_utf8_lossy(&output.stdout);
    ensure!(shown.contains("--positive '$60K - $80K'"), "make shows: {shown}");
    ensure!(shown.contains("Stockholder'\\''s Equity"), "make shows: {shown}");
    Ok(())
}

fn trial_29_a_category_is_found_however_it_is_spelt(trials: &Trials) -> Result<()> {
    trials.train("29-category-spelling/train.csv", "bad", &["--categorical", "branch"])?;
    trials.sample()?;
    trials.sql_file("29-category-spelling/features-table.sql")?;
    let decided = trials.decide_all()?;
    let referred = decided.get("REFERRED").copied().unwrap_or_default();
    let undecided = decided.get("").copied().unwrap_or_default();
    ensure!(referred == 0 && undecided == 12, "decided {decided:?}");
    Ok(())
}
