//! `compare` and `backtest`: what a run's scores say about other policies, and how they turned out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::records::{RunRecord, decisions};
use limit_increase_workflow::{RunId, RunRequest};
use serde_json::Value;

use super::text;

/// A run of 300 customers in several shards, and its records.
fn decided(environment: &Environment) -> Result<(RunId, RunRecord)> {
    environment.reset_to(300)?;
    let request = RunRequest { limit: None, shard_size: 100, ..RunRequest::default() };
    let run = environment.run_well(&request)?;
    let record = RunRecord::read(environment, &run)?;
    ensure!(record.summary.shard_count > 1, "several shards expected: {:?}", record.summary);
    Ok((run, record))
}

/// Writes a file into the home, and returns its path.
fn file(environment: &Environment, name: &str, content: &str) -> Result<PathBuf> {
    let path = environment.context.home.root().join(name);
    std::fs::write(&path, content)?;
    Ok(path)
}

/// Against a policy that approves nobody, the list of the swapped customers has everybody whom the
/// run approved. So it can be held against the run's own decisions, customer by customer.
pub(super) fn the_run_s_own_policy_decides_everybody_as_the_run_did(
    environment: &Environment,
) -> Result<()> {
    let (run, record) = decided(environment)?;
    let table = decisions(environment)?;
    let nobody = file(environment, "nobody.json", r#"{"minimum_score": 100000}"#)?;
    let list = environment.context.home.root().join("swapped.csv");
    let page = environment.context.home.root().join("compare.html");
    let paths = [&nobody, &list, &page].map(|path| path.display().to_string());
    let answer = environment.command_json(&[
        "compare",
        run.as_str(),
        "--policy",
        &paths[0],
        "--csv",
        &paths[1],
        "--html",
        &paths[2],
    ])?;

    let own = &answer["arms"][0];
    let counts = record.summary.counts;
    ensure!(
        own["approved"] == counts.approved
            && own["declined"] == counts.declined
            && own["referred"] == counts.referred
            && own["raised"] == record.summary.total_increase.to_string(),
        "the run's own policy should give the run's figures {:?}: {own}",
        record.summary
    );
    ensure!(answer["notices"] == serde_json::json!([]), "no notice expected: {answer}");

    let mut listed = BTreeMap::new();
    for line in std::fs::read_to_string(&list)?.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [id, _, _, decision, new_limit, ..] = fields.as_slice() else { continue };
        listed.insert((*id).to_owned(), ((*decision).to_owned(), (*new_limit).to_owned()));
    }
    let approved: BTreeMap<_, _> = record
        .evaluated
        .iter()
        .filter_map(|(id, stored)| {
            let limit = stored.new_limit?.to_string();
            Some((id.clone(), (stored.decision.clone(), limit)))
        })
        .collect();
    ensure!(approved.len() > 50, "more than 50 approvals expected: {}", approved.len());
    ensure!(listed == approved, "each decision should be the run's own");

    let page = std::fs::read_to_string(&page)?;
    ensure!(!page.contains("CUST_"), "no customer should be on the page");
    ensure!(decisions(environment)? == table, "a comparison should change nothing");
    Ok(())
}

/// The run's own model as its challenger scores each customer as the run did, so nothing is swapped.
pub(super) fn a_challenger_scores_the_stored_inputs_again(environment: &Environment) -> Result<()> {
    let (run, record) = decided(environment)?;
    let mut outcomes = "customer_id,bad\n".to_owned();
    for (position, id) in record.evaluated.keys().enumerate() {
        writeln!(outcomes, "{id},{}", u8::from(position % 3 == 0))?;
    }
    let outcomes = file(environment, "outcomes.csv", &outcomes)?.display().to_string();
    let model = environment.context.home.model().display().to_string();
    let compare = ["compare", run.as_str(), "--model", &model, "--outcomes", &outcomes];
    let answer = environment.command_json(&compare)?;

    let arms = answer["arms"].as_array().context("arms")?;
    let figures = |arm: &Value, name: &str| arm[name].clone();
    ensure!(arms.len() == 2 && arms[1]["challenger"] == true, "two arms: {answer}");
    for name in ["approved", "declined", "referred", "raised", "approved_bad_rate"] {
        let (own, again) = (figures(&arms[0], name), figures(&arms[1], name));
        ensure!(own == again, "{name} should be the same: {own} and {again}");
    }
    let swaps = &answer["swap_sets"][0];
    ensure!(swaps["unchanged"] == record.evaluated.len(), "nobody is swapped: {swaps}");
    ensure!(
        answer["models"][0]["gini"] == answer["models"][1]["gini"]
            && answer["gini_difference"]["interval"]["value"] == 0.0,
        "both models should rank alike: {answer}"
    );

    let other =
        environment.context.project.root().join("shared/scoring/tests/golden/one_hot.tar.gz");
    let output =
        environment.command(&["compare", run.as_str(), "--model", &other.display().to_string()])?;
    let said = text(&output.stderr);
    ensure!(
        output.status.code() == Some(2) && said.contains("reads the column \"x0\""),
        "a column that the run did not store should be named: {said}"
    );
    Ok(())
}

pub(super) fn a_comparison_that_cannot_be_made_says_why_and_what_next(
    environment: &Environment,
) -> Result<()> {
    let (run, _) = decided(environment)?;
    let capped = r#"{"affordability": {"income_column": "income", "maximum_share": "0.5"}}"#;
    let capped = file(environment, "capped.json", capped)?.display().to_string();
    let cases: [(&[&str], &str); 5] = [
        (&["compare"], "there is nothing to compare"),
        (&["compare", "no-such-run", "--vary", "minimum_score=1..2:1"], "has no summary in S3"),
        (&["compare", run.as_str(), "--policy", &capped], "which the run did not read"),
        (&["compare", "--vary", "floor=1..2:1"], "the policy has no number \"floor\""),
        (&["backtest"], "a backtest needs what became"),
    ];
    for (arguments, words) in cases {
        let output = environment.command(arguments)?;
        let said = text(&output.stderr);
        ensure!(
            output.status.code() == Some(2) && said.contains(words) && said.contains("next:"),
            "{arguments:?} should end with 2 and say {words:?}: {said}"
        );
    }

    let missing = environment.context.home.root().join("nowhere/swapped.csv");
    let missing = missing.display().to_string();
    let vary = "minimum_score=640..660:10";
    let output =
        environment.command(&["compare", run.as_str(), "--vary", vary, "--csv", &missing])?;
    ensure!(text(&output.stderr).contains("cannot write the file"), "{output:?}");

    let grid = environment.command_json(&["compare", run.as_str(), "--vary", vary])?;
    let approved: Vec<u64> = grid["grid"]
        .as_array()
        .context("a grid")?
        .iter()
        .filter_map(|point| point["approved"].as_u64())
        .collect();
    ensure!(
        approved.len() == 3 && approved.is_sorted_by(|one, other| one >= other),
        "a higher cut-off should approve fewer: {approved:?}"
    );
    ensure!(grid["arms"][0]["approved"] == approved[1], "650 is the run's own cut-off: {grid}");
    Ok(())
}

pub(super) fn scores_are_held_against_what_became_of_the_customers(
    environment: &Environment,
) -> Result<()> {
    let (run, record) = decided(environment)?;
    // Whoever was declined for a low score went bad, so the scores rank perfectly.
    let mut outcomes = "customer_id,bad,date\n".to_owned();
    for (id, stored) in &record.evaluated {
        let bad = u8::from(stored.reason.contains("is below the minimum"));
        writeln!(outcomes, "{id},{bad},2099-01-01")?;
    }
    writeln!(outcomes, "stranger,1,2099-01-01")?;
    let outcomes = file(environment, "outcomes.csv", &outcomes)?.display().to_string();

    let answer = environment.command_json(&["backtest", "--outcomes", &outcomes])?;
    let known = record.evaluated.len();
    ensure!(answer["gini"] == 1.0 && answer["ks"] == 1.0, "a perfect ranking: {answer}");
    ensure!(answer["known"] == known && answer["without_score"] == 1, "{known}: {answer}");
    // The customer without a score makes it look through older runs too.
    ensure!(answer["runs"][0] == run.as_str(), "the newest run comes first: {answer}");
    let vintages = answer["vintages"].as_array().context("vintages")?;
    ensure!(
        vintages.len() == 1 && vintages[0]["approved_bad_rate"]["value"] == 0.0,
        "one month in which no approved customer went bad: {answer}"
    );

    // An outcome from before the run was not forecast by its score.
    let early = std::fs::read_to_string(&outcomes)?.replace("2099", "1999");
    let early = file(environment, "early.csv", &early)?.display().to_string();
    let output = environment.command(&["--json", "backtest", "--outcomes", &early])?;
    let problem: Value = serde_json::from_slice(&output.stdout)?;
    let what = problem["error"]["what"].as_str().unwrap_or_default();
    ensure!(what.contains("no customer of the outcomes has a stored score"), "{problem}");
    Ok(())
}
