//! Categories that the database spells otherwise than the training file.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use limit_increase::model::KEY;
use limit_increase::runs::timeline::explain_cause;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::records::{LedgerRow, StoredDecision, decisions};
use limit_increase_workflow::RunId;
use limit_increase_workflow::keys::shard_list_key;

use crate::all;

/// The types of a table, and the expressions of its columns for the customer number `n`.
struct Spelling {
    name: &'static str,
    types: [&'static str; 3],
    values: [&'static str; 3],
}

/// As the training file has it: pandas wrote it.
const EXACT: Spelling = Spelling {
    name: "as in the training file",
    types: ["TEXT", "TEXT", "TEXT"],
    values: [
        "CASE WHEN n % 2 = 0 THEN 'True' ELSE 'False' END",
        "CASE WHEN n % 4 > 0 THEN (n % 4)::text || '.0' END",
        "(ARRAY['gold', 'Silver', 'old-style'])[1 + n % 3]",
    ],
};

/// The same as databases have it.
const OTHERS: [Spelling; 2] = [
    Spelling {
        name: "boolean, integer, CHAR(n)",
        types: ["BOOLEAN", "INTEGER", "CHAR(12)"],
        values: [
            "n % 2 = 0",
            "nullif(n % 4, 0)",
            "upper((ARRAY['gold', 'Silver', 'old-style'])[1 + n % 3])",
        ],
    },
    Spelling {
        name: "flags, numeric, text with blanks",
        types: ["CHAR(1)", "NUMERIC(6, 2)", "TEXT"],
        values: [
            "CASE WHEN n % 2 = 0 THEN 'Y' ELSE 'N' END",
            "nullif(n % 4, 0)",
            "(ARRAY['Gold', 'silver', 'OLD-style'])[1 + n % 3] || '   '",
        ],
    },
];

/// A value that means a category is scored as that category, and only one that means none refers
/// its customer. If most values of a column are unknown, nobody is scored.
pub(crate) fn a_category_is_found_by_what_it_means_and_mostly_unknown_ones_end_the_run(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    // The local model and its record are put back too, because later commands upload that model.
    let home = &environment.context.home;
    let files = [home.model(), home.model().with_file_name("training.json")];
    let [model, record] = [std::fs::read(&files[0])?, std::fs::read(&files[1])?];
    execute(environment, "ALTER TABLE customer_features RENAME TO kept_features")?;
    let outcome = train(environment).and_then(|()| run_spellings(environment));

    execute(
        environment,
        "DROP TABLE IF EXISTS customer_features;
         ALTER TABLE kept_features RENAME TO customer_features",
    )?;
    std::fs::write(&files[0], &model)?;
    std::fs::write(&files[1], record)?;
    environment.put_object(KEY, model)?;
    outcome
}

fn run_spellings(environment: &Environment) -> Result<()> {
    let expected = decide(environment, &EXACT, "")?;
    ensure!(
        expected.len() == 50 && expected.values().all(|stored| stored.decision != "REFERRED"),
        "the model should know every value of its own training file: {expected:?}"
    );

    for spelling in &OTHERS {
        let found = decide(environment, spelling, "")?;
        ensure!(found.len() == expected.len(), "{}: {} decisions", spelling.name, found.len());
        for (id, stored) in &expected {
            let other = found.get(id).context("not decided")?;
            ensure!(
                alike(stored, other),
                "{}: {id} should be decided {stored:?}, found {other:?}",
                spelling.name
            );
        }

        few_unknown_values_refer_their_customers(environment, spelling, &expected)?;
    }

    most_unknown_values_end_the_run(environment, &OTHERS[1])
}

fn few_unknown_values_refer_their_customers(
    environment: &Environment,
    spelling: &Spelling,
    expected: &BTreeMap<String, StoredDecision>,
) -> Result<()> {
    let few = "UPDATE customer_features SET branch = 7 WHERE customer_id <= 'CUST_0005'";
    for (id, stored) in decide(environment, spelling, few)? {
        let right = if id.as_str() <= "CUST_0005" {
            stored.decision == "REFERRED" && stored.reason.contains("branch is '7")
        } else {
            alike(&expected[&id], &stored)
        };
        ensure!(right, "promise 9: {}: {id} is decided {stored:?}", spelling.name);
    }

    Ok(())
}

fn most_unknown_values_end_the_run(environment: &Environment, spelling: &Spelling) -> Result<()> {
    fill(environment, spelling)?;
    execute(
        environment,
        "UPDATE customer_features SET branch = 7 WHERE customer_id <= 'CUST_0030'",
    )?;

    let run = "mostly-unknown";
    let finished = environment.execute(run, r#"{"limit": null}"#)?;
    let failure = finished.failure.as_ref().with_context(|| finished.status.clone())?;
    ensure!(
        finished.status == "FAILED" && failure.error == "Permanent.UnknownCategories",
        "expected FAILED with Permanent.UnknownCategories, got {finished:?}"
    );
    let cause = explain_cause(&failure.cause);
    for words in [r#"column "branch", such as "7.00""#, r#"it knows "1.0", "2.0", "3.0""#] {
        ensure!(cause.contains(words), "the cause should say {words}: {cause}");
    }

    let run = RunId::try_from(run.to_owned())?;
    let ledger = LedgerRow::read(environment, &run)?;
    ensure!(
        ledger.status == "FAILED" && ledger.error.as_deref() == Some("Permanent.UnknownCategories"),
        "promise 5: the ledger should have the failure, it has {ledger:?}"
    );
    ensure!(decisions(environment)?.is_empty(), "nobody should be decided");
    let list = shard_list_key(&run);
    ensure!(environment.keys(&list)?.is_empty(), "{list} should not be written");
    Ok(())
}

/// Decides everybody on a table of this spelling, after a statement has changed it.
fn decide(
    environment: &Environment,
    spelling: &Spelling,
    change: &str,
) -> Result<BTreeMap<String, StoredDecision>> {
    fill(environment, spelling)?;
    execute(environment, change)?;
    environment.run_well(&all()).with_context(|| spelling.name)?;
    decisions(environment)
}

fn fill(environment: &Environment, spelling: &Spelling) -> Result<()> {
    let Spelling { types: [mortgage, branch, grade], values, .. } = spelling;
    execute(
        environment,
        &format!(
            "DROP TABLE IF EXISTS customer_features;
             CREATE TABLE customer_features (
                 customer_id VARCHAR(50) PRIMARY KEY REFERENCES batch_scores,
                 has_mortgage {mortgage}, branch {branch}, grade {grade}, util DOUBLE PRECISION
             );
             INSERT INTO customer_features SELECT customer_id, {}, n * 37 % 100 / 100.0
             FROM (SELECT customer_id, right(customer_id, 4)::int AS n FROM batch_scores) numbered;
             UPDATE batch_scores SET current_score = 700, current_limit = 4000,
                 limit_increase_decision = NULL, new_limit = NULL, decision_reason = NULL,
                 updated_at = NULL",
            values.join(", ")
        ),
    )
}

/// Whether two decisions differ only in what they quote from the table.
fn alike(left: &StoredDecision, right: &StoredDecision) -> bool {
    let words = |stored: &StoredDecision| -> Vec<String> {
        stored.reason.split('\'').step_by(2).map(str::to_owned).collect()
    };
    (&left.decision, left.new_limit, words(left))
        == (&right.decision, right.new_limit, words(right))
}

fn train(environment: &Environment) -> Result<()> {
    let file = environment.context.home.root().join("pandas.csv");
    std::fs::write(&file, training_file())?;
    let path = file.display().to_string();
    environment.command_json(&[
        "train",
        "--data",
        &path,
        "--target",
        "bad",
        "--positive",
        "1",
        "--categorical",
        "branch",
    ])?;
    Ok(())
}

/// Every column counts for the outcome, so that a category that is taken for another one, or for a
/// missing one, changes a score.
fn training_file() -> String {
    let mut text = "has_mortgage,branch,grade,util,bad\n".to_owned();
    for row in 0..2000_u64 {
        let mixed = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let (mortgage, branch, grade) = (mixed % 2, mixed / 2 % 4, mixed / 8 % 3);
        let (util, luck) = (mixed / 24 % 100, mixed / 2400 % 100);
        let risk = 5 + mortgage * 12 + branch * 6 + grade * 9 + util / 5;
        let written = ["", "1.0", "2.0", "3.0"][branch as usize];
        text += &format!(
            "{},{written},{},0.{util:02},{}\n",
            ["True", "False"][mortgage as usize],
            ["gold", "Silver", "old-style"][grade as usize],
            u8::from(luck < risk)
        );
    }

    text
}

fn execute(environment: &Environment, sql: &str) -> Result<()> {
    let client = environment.database()?;
    environment.block_on(client.batch_execute(sql)).with_context(|| sql.to_owned())
}
