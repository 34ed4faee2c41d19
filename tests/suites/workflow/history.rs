//! The history of decisions: found by customer, never changed.

use anyhow::{Result, ensure};
use limit_increase_database::{PastDecision, find_decisions};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::records::decisions;
use limit_increase_workflow::RunRequest;
use tokio_postgres::error::SqlState;

use crate::all;

/// Promise 14: every decision leads to its run and to its record, also when its customer is decided
/// again, and when the run is no longer in the ledger.
pub(crate) fn a_customer_s_decisions_are_found_in_the_history(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let dry = environment.run_well(&RunRequest { dry_run: true, ..all() })?;
    let client = environment.database()?;
    let find = |customer: &str| -> Result<Vec<PastDecision>> {
        Ok(environment.block_on(find_decisions(&client, customer))?)
    };

    // Earlier cases have decided the same customers.
    let table = environment.run_well(&all()).and_then(|first| {
        let table = decisions(environment)?;
        for (customer, stored) in &table {
            let found = find(customer)?;
            ensure!(
                found[0].run_id == first
                    && found[0].outcome == stored.decision
                    && found[0].new_limit == stored.new_limit
                    && found.iter().all(|decision| decision.run_id != dry),
                "the newest decision on {customer} should be that of {first}: {found:?}"
            );
        }

        Ok(table)
    })?;

    let (customer, stored) = table.iter().next().unwrap_or_else(|| unreachable!("50 customers"));
    let before = find(customer)?;
    environment.block_on(client.execute(
        "UPDATE batch_scores SET limit_increase_decision = NULL WHERE customer_id = $1",
        &[customer],
    ))?;
    let second = environment.run_well(&all())?;
    let after = find(customer)?;
    ensure!(
        after[1..] == before && after[0].run_id == second && after[0].outcome == stored.decision,
        "the second decision should come first: {after:?}"
    );

    environment.block_on(client.batch_execute("DELETE FROM limit_increase_runs"))?;
    ensure!(
        find(customer)?.starts_with(&after),
        "the history should be found without the ledger: {:?}",
        find(customer)?
    );
    ensure!(find("nobody")?.is_empty(), "nobody was never decided");
    Ok(())
}

/// Promise 14: not even the owner of the tables changes a decision in the history. A run makes the
/// table of a month that is missing.
pub(crate) fn the_history_is_only_added_to(environment: &Environment) -> Result<()> {
    environment.reset()?;
    environment.run_well(&RunRequest::default())?;
    let client = environment.database()?;
    for change in [
        "UPDATE limit_increase_decisions SET new_limit = 1",
        "DELETE FROM limit_increase_decisions",
        "TRUNCATE limit_increase_decisions",
    ] {
        let refused = environment.block_on(client.batch_execute(change)).err();
        let state = refused.as_ref().and_then(tokio_postgres::Error::code);
        ensure!(
            state == Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{change} should be refused: {refused:?}"
        );
    }

    let months = || -> Result<Vec<String>> {
        let rows = environment.block_on(client.query(
            "SELECT inhrelid::regclass::text FROM pg_inherits
             WHERE inhparent = 'limit_increase_decisions'::regclass ORDER BY 1",
            &[],
        ))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    let made = months()?;
    ensure!(made.len() >= 2, "this month and the next one should have a table: {made:?}");

    let next = &made[made.len() - 1];
    environment.block_on(client.batch_execute(&format!("DROP TABLE {next}")))?;
    environment.run_well(&RunRequest::default())?;
    ensure!(months()? == made, "the run should make {next} again: {:?}", months()?);
    Ok(())
}
