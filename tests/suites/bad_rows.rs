//! Promise 9: a bad row is decided or referred with its reason, and does not stop the others.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use limit_increase_domain::policy::{Affordability, Policy};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::records::{LedgerRow, RunRecord, StoredDecision, decisions};
use limit_increase_tests::{cases, suite};
use limit_increase_workflow::{RunId, RunRequest};
use rust_decimal::Decimal;

fn main() -> ExitCode {
    suite::run(
        "bad-rows",
        &cases![
            a_bad_feature_is_decided_or_referred_with_its_reason_and_stops_nobody,
            a_bad_limit_score_or_date_is_decided_or_referred_and_stops_nobody,
            any_text_can_be_the_id_of_a_customer,
            a_bad_income_is_referred_under_a_policy_that_reads_it,
            numbers_of_other_sql_types_are_read_or_referred,
            a_customer_with_two_rows_of_features_fails_the_run_before_it_writes,
            a_table_of_other_types_is_decided_as_the_ordinary_one,
            a_customer_with_two_rows_fails_the_run_before_it_writes,
            a_dropped_table_is_told_by_the_run_and_by_the_command_line,
        ],
    )
}

/// What must become of a row.
#[derive(Debug, Clone, Copy)]
enum Expectation {
    /// Approved or declined: the model accepts the value.
    Scored,
    /// Declined with these words.
    Declined(&'static str),
    /// Referred with these words.
    Referred(&'static str),
    /// The customer is not eligible.
    NotEligible,
}

use Expectation::{Declined, NotEligible, Referred, Scored};

/// A bad row: the customer of the sample, the statement that spoils the row, and what must become
/// of it.
type BadRow = (&'static str, &'static str, Expectation);

fn all() -> RunRequest {
    RunRequest { limit: None, shard_size: 9, ..RunRequest::default() }
}

fn execute(environment: &Environment, sql: &str) -> Result<()> {
    let client = environment.database()?;
    environment.block_on(client.batch_execute(sql)).with_context(|| sql.to_owned())
}

/// The decisions of a run without bad rows. Customers 1 to 30 are made eligible, so that each can
/// be spoilt.
fn good_table(environment: &Environment) -> Result<BTreeMap<String, StoredDecision>> {
    fresh(environment)?;
    environment.run_well(&all())?;
    let table = decisions(environment)?;
    fresh(environment)?;
    Ok(table)
}

fn fresh(environment: &Environment) -> Result<()> {
    environment.reset()?;
    execute(
        environment,
        "UPDATE batch_scores SET current_score = 700, current_limit = 4000 WHERE \
         customer_id <= 'CUST_0030'",
    )
}

/// Spoils the rows, starts a run, and checks these rows and all others.
fn check(environment: &Environment, rows: &[BadRow], request: &RunRequest) -> Result<()> {
    let good = good_table(environment)?;
    for (id, sql, _) in rows {
        execute(environment, &sql.replace("$id", &format!("'{id}'")))?;
    }

    let record = RunRecord::read(environment, &environment.run_well(request)?)?;
    let table = decisions(environment)?;
    record.check_table(&table)?;
    for (id, sql, expected) in rows {
        let found = table.get(*id);
        let decision = found.map_or("", |stored| stored.decision.as_str());
        let reason = found.map_or("", |stored| stored.reason.as_str());
        let right = match expected {
            Scored => matches!(decision, "APPROVED" | "DECLINED") && reason.starts_with("Score "),
            Declined(words) => decision == "DECLINED" && reason.contains(words),
            Referred(words) => decision == "REFERRED" && reason.contains(words),
            NotEligible => found.is_none(),
        };

        ensure!(right, "promise 9: {sql}: expected {expected:?}, found {found:?}");
    }

    if request.policy.is_none() {
        for (id, stored) in &good {
            let spoilt = rows.iter().any(|(bad, ..)| bad == id);
            ensure!(
                spoilt || table.get(id) == Some(stored),
                "promise 9: {id} is a good row and should be decided {stored:?}, as \
                 without the bad ones; found {:?}",
                table.get(id)
            );
        }
    }

    Ok(())
}

fn a_bad_feature_is_decided_or_referred_with_its_reason_and_stops_nobody(
    environment: &Environment,
) -> Result<()> {
    const ROWS: [BadRow; 19] = [
        (
            "CUST_0001",
            "DELETE FROM customer_features WHERE customer_id = $id",
            Referred("features"),
        ),
        (
            "CUST_0002",
            "UPDATE customer_features SET utilisation = NULL WHERE customer_id = $id",
            Referred("missing"),
        ),
        (
            "CUST_0003",
            "UPDATE customer_features SET utilisation = 'NaN' WHERE customer_id = $id",
            Referred("missing"),
        ),
        (
            "CUST_0004",
            "UPDATE customer_features SET bureau_score = 'Infinity' WHERE customer_id = $id",
            Referred("infinite"),
        ),
        (
            "CUST_0005",
            "UPDATE customer_features SET bureau_score = '-Infinity' WHERE customer_id = $id",
            Referred("infinite"),
        ),
        (
            "CUST_0006",
            "UPDATE customer_features SET utilisation = 1e300 WHERE customer_id = $id",
            Referred("outside the range"),
        ),
        (
            "CUST_0007",
            "UPDATE customer_features SET utilisation = -1e300 WHERE customer_id = $id",
            Referred("outside the range"),
        ),
        (
            "CUST_0008",
            "UPDATE customer_features SET utilisation = 1e-320 WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0009",
            "UPDATE customer_features SET bureau_score = -300 WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0010",
            "UPDATE customer_features SET bureau_score = 0, utilisation = 0 WHERE \
             customer_id = $id",
            Scored,
        ),
        (
            "CUST_0011",
            "UPDATE customer_features SET bureau_score = -9999998 WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0012",
            "UPDATE customer_features SET utilisation = '-0' WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0013",
            "UPDATE customer_features SET utilisation = 3.4e38 WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0014",
            "UPDATE customer_features SET employment_status = 'astronaut' WHERE customer_id = $id",
            Referred("'astronaut', which the model does not know"),
        ),
        (
            "CUST_0015",
            "UPDATE customer_features SET employment_status = E'\\'; DROP TABLE x; \
             --\\n\\\\N' WHERE customer_id = $id",
            Referred("DROP TABLE x"),
        ),
        (
            "CUST_0016",
            "UPDATE customer_features SET residential_status = repeat('ü', 100000) \
             WHERE customer_id = $id",
            Referred("...'"),
        ),
        (
            "CUST_0017",
            "UPDATE customer_features SET residential_status = ' owner' WHERE customer_id = $id",
            Referred("does not know"),
        ),
        (
            "CUST_0018",
            "UPDATE customer_features SET residential_status = '' WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0019",
            "UPDATE customer_features SET residential_status = NULL WHERE customer_id = $id",
            Scored,
        ),
    ];

    check(environment, &ROWS, &all())
}

fn a_bad_limit_score_or_date_is_decided_or_referred_and_stops_nobody(
    environment: &Environment,
) -> Result<()> {
    const ROWS: [BadRow; 13] = [
        (
            "CUST_0001",
            "UPDATE batch_scores SET current_limit = -0.01 WHERE customer_id = $id",
            Referred("-0.01"),
        ),
        (
            "CUST_0002",
            "UPDATE batch_scores SET current_limit = -99999999.99 WHERE customer_id = $id",
            Referred("not a valid amount"),
        ),
        ("CUST_0003", "UPDATE batch_scores SET current_limit = 0 WHERE customer_id = $id", Scored),
        (
            "CUST_0004",
            "UPDATE batch_scores SET current_limit = 0.01 WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0005",
            "UPDATE batch_scores SET current_limit = 'NaN' WHERE customer_id = $id",
            NotEligible,
        ),
        (
            "CUST_0006",
            "UPDATE batch_scores SET current_limit = 99999999.99 WHERE customer_id = $id",
            NotEligible,
        ),
        (
            "CUST_0007",
            "UPDATE batch_scores SET current_score = 2147483647 WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0008",
            "UPDATE batch_scores SET current_score = -2147483648 WHERE customer_id = $id",
            NotEligible,
        ),
        (
            "CUST_0009",
            "UPDATE batch_scores SET application_date = 'infinity' WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0010",
            "UPDATE batch_scores SET application_date = '-infinity' WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0011",
            "UPDATE batch_scores SET application_date = '4713-01-01 BC' WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0012",
            "UPDATE batch_scores SET application_date = '5874897-12-31' WHERE customer_id = $id",
            Scored,
        ),
        (
            "CUST_0013",
            "UPDATE batch_scores SET updated_at = 'infinity', new_limit = 'NaN', \
             decision_reason = '' WHERE customer_id = $id",
            Scored,
        ),
    ];

    check(environment, &ROWS, &all())
}

/// Each id gets a copy of a good customer's score, limit and features, so it must get the same
/// decision.
fn any_text_can_be_the_id_of_a_customer(environment: &Environment) -> Result<()> {
    let ids = [
        "".to_owned(),
        " ".to_owned(),
        "O'Brien \"x\", Ann".to_owned(),
        "line\nfeed\r\nand\ttab".to_owned(),
        "'); DROP TABLE batch_scores; --".to_owned(),
        "\\N".to_owned(),
        "\\.".to_owned(),
        "NULL".to_owned(),
        "../../run=other/part-00000.parquet".to_owned(),
        "Ümlaut-Ж-漢字-עברית-👩‍👩‍👧".to_owned(),
        "e\u{301} is not \u{e9}".to_owned(),
        "\u{e9} is not e\u{301}".to_owned(),
        "\u{feff}\u{200b}\u{202e}".to_owned(),
        "\u{1}\u{7f}\u{10ffff}".to_owned(),
        "漢".repeat(50),
        "👍".repeat(50),
        "x".repeat(50),
        "cust_0001".to_owned(),
    ];

    let good = good_table(environment)?;
    let client = environment.database()?;
    environment.block_on(async {
        let columns: Vec<String> = client
            .query(
                "SELECT format('%I', attname) FROM pg_attribute
                 WHERE attrelid = 'customer_features'::regclass
                 AND attnum > 0 AND NOT attisdropped AND attname <> 'customer_id'",
                &[],
            )
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let columns = columns.join(", ");
        for id in &ids {
            client
                .execute(
                    "INSERT INTO batch_scores (customer_id, current_score, current_limit,
                     application_date)
                     SELECT $1, current_score, current_limit, application_date
                     FROM batch_scores WHERE customer_id = 'CUST_0001'",
                    &[id],
                )
                .await
                .with_context(|| format!("{id:?}"))?;
            let copy = format!(
                "INSERT INTO customer_features (customer_id, {columns})
                 SELECT $1, {columns} FROM customer_features WHERE customer_id = 'CUST_0001'"
            );

            client.execute(&copy, &[id]).await?;
        }

        Ok::<_, anyhow::Error>(())
    })?;

    let record = RunRecord::read(environment, &environment.run_well(&all())?)?;
    let table = decisions(environment)?;
    record.check_table(&table)?;
    for id in &ids {
        ensure!(
            table.get(id) == good.get("CUST_0001"),
            "promise 9: {id:?} should get the decision of CUST_0001, found {:?}",
            table.get(id)
        );
        ensure!(
            record.effects.get(id).map(String::as_str) == Some("WRITTEN"),
            "promise 8: {id:?} should have its record in S3"
        );
    }

    for (id, stored) in &good {
        ensure!(
            table.get(id) == Some(stored),
            "promise 9: {id} should be decided {stored:?}, as without the strange ids; found {:?}",
            table.get(id)
        );
    }

    Ok(())
}

fn a_bad_income_is_referred_under_a_policy_that_reads_it(environment: &Environment) -> Result<()> {
    const SET: &str = "UPDATE customer_features SET gross_annual_income = ";
    // Everybody passes the minimum score, so that only the income counts.
    let policy = Policy {
        minimum_score: limit_increase_domain::CreditScore::new(-10_000),
        affordability: Some(Affordability {
            income_column: "gross_annual_income".to_owned(),
            maximum_share: Decimal::new(5, 1),
        }),
        ..Policy::default()
    };

    let request = RunRequest { policy: Some(policy), ..all() };
    let cases: [(&str, &str, Expectation); 6] = [
        ("CUST_0001", "'NaN'", Referred("income")),
        ("CUST_0002", "'-Infinity'", Referred("income")),
        ("CUST_0003", "-1", Referred("negative")),
        ("CUST_0004", "0", Declined("no limit above")),
        ("CUST_0005", "0.004", Declined("no limit above")),
        ("CUST_0006", "1e10", Scored),
    ];

    let rows: Vec<BadRow> = cases
        .into_iter()
        .map(|(id, income, expected)| {
            let sql: &'static str =
                Box::leak(format!("{SET}{income} WHERE customer_id = $id").into_boxed_str());
            (id, sql, expected)
        })
        .collect();
    check(environment, &rows, &request)
}

/// A column may have any numeric SQL type, also NUMERIC with its NaN and its 130,000 digits.
fn numbers_of_other_sql_types_are_read_or_referred(environment: &Environment) -> Result<()> {
    let good = good_table(environment)?;
    let to = |sql_type: &str| {
        format!("ALTER TABLE customer_features ALTER COLUMN bureau_score TYPE {sql_type};")
    };

    execute(environment, &to("numeric"))?;
    let spoil = "UPDATE customer_features SET bureau_score = 'NaN' WHERE customer_id = 'CUST_0001';
                 UPDATE customer_features SET bureau_score = ('1' || repeat('0', 5000))::numeric
                 WHERE customer_id = 'CUST_0002';
                 UPDATE customer_features SET bureau_score = ('-1' || repeat('0', 5000))::numeric
                 WHERE customer_id = 'CUST_0003';
                 UPDATE customer_features SET bureau_score = ('0.' || repeat('0', 5000) || '1')::numeric
                 WHERE customer_id = 'CUST_0004';";
    execute(environment, spoil)?;
    let outcome = environment.run_well(&all());
    let table = decisions(environment)?;
    execute(
        environment,
        "UPDATE customer_features SET bureau_score = 0 WHERE customer_id <= 'CUST_0004'",
    )?;

    // The next run finds a text column, and must refuse it.
    execute(environment, &to("text"))?;
    execute(
        environment,
        "UPDATE batch_scores SET limit_increase_decision = NULL WHERE customer_id = 'CUST_0030'",
    )?;

    let as_text = environment.execute("bureau-score-as-text", r#"{"limit": null}"#);
    execute(environment, &format!("{} {}", to("float8 USING bureau_score::float8"), ""))?;
    outcome?;
    for id in ["CUST_0002", "CUST_0003"] {
        let found = table.get(id);
        ensure!(
            found.is_some_and(|stored| stored.decision == "REFERRED"),
            "promise 9: {id} has a number out of range and should be REFERRED, found {found:?}"
        );
    }

    // NaN is a missing value, which the model knows for this column. The other number is almost
    // zero.
    for id in ["CUST_0001", "CUST_0004"] {
        let found = table.get(id);
        ensure!(
            found.is_some_and(|stored| stored.reason.starts_with("Score ")),
            "promise 9: {id} should be scored, found {found:?}"
        );
    }

    for (id, stored) in good.iter().filter(|(id, _)| id.as_str() > "CUST_0004") {
        ensure!(
            table.get(id) == Some(stored),
            "{id} should be decided {stored:?}, as with float8; found {:?}",
            table.get(id)
        );
    }

    let failure = as_text?.failure.context("a text was read as a number")?;
    ensure!(
        failure.error == "Permanent.DatabaseSchema" && failure.cause.contains("bureau_score"),
        "a text column should be refused as Permanent.DatabaseSchema that names \
         bureau_score, got {failure:?}"
    );

    Ok(())
}

fn a_customer_with_two_rows_of_features_fails_the_run_before_it_writes(
    environment: &Environment,
) -> Result<()> {
    fresh(environment)?;
    let name = "customer_features_pkey";
    execute(
        environment,
        &format!(
            "ALTER TABLE customer_features DROP CONSTRAINT {name};
             INSERT INTO customer_features SELECT * FROM customer_features
             WHERE customer_id = 'CUST_0001'"
        ),
    )?;

    let finished = environment.execute("two-rows-of-features", r#"{"limit": null}"#);
    let decided = decisions(environment)?;
    execute(
        environment,
        &format!(
            "DELETE FROM customer_features WHERE customer_id = 'CUST_0001';
             ALTER TABLE customer_features ADD CONSTRAINT {name} PRIMARY KEY (customer_id)"
        ),
    )?;

    let finished = finished?;
    let failure = finished.failure.as_ref().with_context(|| finished.status.clone())?;
    ensure!(
        finished.status == "FAILED" && failure.error == "Permanent.DatabaseSchema",
        "expected a FAILED run with Permanent.DatabaseSchema, got {finished:?}"
    );

    ensure!(
        failure.cause.contains("customer could appear twice"),
        "the cause should say that a customer could appear twice: {failure:?}"
    );
    ensure!(decided.is_empty(), "nobody should be decided, found {decided:?}");

    let ledger =
        LedgerRow::read(environment, &RunId::try_from("two-rows-of-features".to_owned())?)?;
    ensure!(
        ledger.status == "FAILED" && ledger.error.as_deref() == Some("Permanent.DatabaseSchema"),
        "promise 5: the ledger should have the run FAILED with \
         Permanent.DatabaseSchema, it has {ledger:?}"
    );

    Ok(())
}

/// As pandas makes a table, but with a key. One amount is finer than a cent, and its customer is
/// referred alone.
fn a_table_of_other_types_is_decided_as_the_ordinary_one(environment: &Environment) -> Result<()> {
    const OWN: &str = "
        ALTER TABLE batch_scores ALTER COLUMN current_score TYPE BIGINT,
            ALTER COLUMN application_date TYPE TIMESTAMP, ALTER COLUMN new_limit TYPE FLOAT8,
            ALTER COLUMN limit_increase_decision TYPE TEXT;";
    const ORDINARY: &str = "
        ALTER TABLE batch_scores ALTER COLUMN current_score TYPE INTEGER,
            ALTER COLUMN application_date TYPE DATE, ALTER COLUMN new_limit TYPE DECIMAL(10, 2),
            ALTER COLUMN limit_increase_decision TYPE VARCHAR(20),
            ALTER COLUMN current_limit TYPE DECIMAL(10, 2);";
    let good = good_table(environment)?;
    for limit in ["BIGINT", "DOUBLE PRECISION", "NUMERIC(14, 4)"] {
        fresh(environment)?;
        let finer = limit != "BIGINT";
        let spoil =
            "UPDATE batch_scores SET current_limit = 4700.1234 WHERE customer_id = 'CUST_0001';";
        execute(
            environment,
            &format!(
                "{OWN} ALTER TABLE batch_scores ALTER COLUMN current_limit TYPE {limit};{}",
                if finer { spoil } else { "" }
            ),
        )?;
        let outcome = environment.run_well(&all()).and_then(|run| {
            let record = RunRecord::read(environment, &run)?;
            let shown = environment.command(&["results"])?;
            execute(environment, ORDINARY)?;
            Ok((record, decisions(environment)?, shown))
        });
        execute(environment, ORDINARY)?;
        let (record, table, shown) = outcome?;
        ensure!(record.summary.counts.stale == 0, "{limit}: nobody is stale: {record:?}");
        ensure!(shown.status.success(), "{limit}: results should show the table: {shown:?}");

        let referred = table.get("CUST_0001").filter(|_| finer);
        ensure!(
            !finer
                || referred.is_some_and(|stored| {
                    stored.decision == "REFERRED"
                        && stored
                            .reason
                            .contains("the current limit 4700.1234 is not a valid amount")
                }),
            "promise 9: {limit}: an amount finer than a cent should be REFERRED, found {referred:?}"
        );
        // The sample has limits in whole units, so all three types hold them.
        for (id, stored) in good.iter().filter(|(id, _)| !finer || id.as_str() != "CUST_0001") {
            ensure!(
                table.get(id) == Some(stored),
                "promise 9: {limit}: {id} should be decided {stored:?}, found {:?}",
                table.get(id)
            );
        }
    }

    Ok(())
}

/// Promise 1 rests on the key: one person got two raises in a run.
fn a_customer_with_two_rows_fails_the_run_before_it_writes(
    environment: &Environment,
) -> Result<()> {
    const REFERENCE: &str = "customer_features_customer_id_fkey";
    fresh(environment)?;
    execute(
        environment,
        &format!(
            "ALTER TABLE customer_features DROP CONSTRAINT {REFERENCE};
             ALTER TABLE batch_scores DROP CONSTRAINT batch_scores_pkey,
                 ADD PRIMARY KEY (customer_id, application_date);
             INSERT INTO batch_scores
             SELECT customer_id, current_score, current_limit, application_date - 30
             FROM batch_scores"
        ),
    )?;
    let finished = environment.execute("two-rows", r#"{"limit": null}"#);
    let decided = decisions(environment)?;
    execute(
        environment,
        &format!(
            "TRUNCATE customer_features, batch_scores;
             ALTER TABLE batch_scores DROP CONSTRAINT batch_scores_pkey,
                 ADD PRIMARY KEY (customer_id);
             ALTER TABLE customer_features ADD CONSTRAINT {REFERENCE}
                 FOREIGN KEY (customer_id) REFERENCES batch_scores ON DELETE CASCADE"
        ),
    )?;

    let failure = finished?.failure.context("promise 1: two rows of a customer were decided")?;
    ensure!(
        failure.error == "Permanent.DatabaseSchema"
            && failure.cause.contains("no primary key on customer_id alone"),
        "expected Permanent.DatabaseSchema with what to change, got {failure:?}"
    );
    ensure!(decided.is_empty(), "promise 1: nobody should be decided, found {decided:?}");
    Ok(())
}

fn a_dropped_table_is_told_by_the_run_and_by_the_command_line(
    environment: &Environment,
) -> Result<()> {
    fresh(environment)?;
    execute(environment, "ALTER TABLE batch_scores RENAME TO mislaid")?;
    let finished = environment.execute("dropped", r#"{"limit": null}"#);
    let loaded = environment.command(&["setup-db"]);
    execute(environment, "ALTER TABLE mislaid RENAME TO batch_scores")?;

    let failure = finished?.failure.context("a run without a table should fail")?;
    let words = "though the migrations are recorded, so it was dropped or renamed";
    ensure!(
        failure.error == "Permanent.DatabaseSchema" && failure.cause.contains(words),
        "expected Permanent.DatabaseSchema with {words:?}, got {failure:?}"
    );

    let loaded = loaded?;
    let said =
        String::from_utf8_lossy(&loaded.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(
        !loaded.status.success() && said.contains(words) && !said.contains("db error"),
        "setup-db should say {words:?}, it said {said}"
    );
    Ok(())
}
