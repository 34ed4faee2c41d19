//! Where the record of a customer is: the run, the shard and the row.

use anyhow::Result;
use futures_util::{StreamExt as _, stream};
use limit_increase_database::find_decisions;
use limit_increase_handoff::find_customer;
use limit_increase_workflow::keys::Stage;
use limit_increase_workflow::{RunId, ShardIndex};
use tokio_postgres::Client;

use super::run_files::RunFiles;
use crate::terminal::{Problem, Task};

/// Shards that are searched simultaneously.
const SEARCHES: usize = 4;

/// The place of a customer's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The run.
    pub run: RunId,
    /// The shard.
    pub shard: ShardIndex,
    /// The row in each of the shard's files, from 0.
    pub row: usize,
}

/// The last decision on a customer in the history, or the last one of a given run; `None` if the
/// history has none.
///
/// # Errors
/// When the history can't be read.
pub async fn in_history(
    client: &Client,
    customer_id: &str,
    run: Option<&RunId>,
) -> Result<Option<Place>> {
    let decisions = find_decisions(client, customer_id).await?;
    let found =
        decisions.into_iter().find(|decision| run.is_none_or(|run| decision.run_id == *run));
    Ok(found.map(|decision| Place {
        run: decision.run_id,
        shard: decision.shard,
        row: decision.row as usize,
    }))
}

/// Searches the decisions of a run, shard by shard.
///
/// # Errors
/// When a file is missing, or the run has no such customer.
pub async fn in_run(files: &RunFiles, customer_id: &str, task: &Task) -> Result<Place> {
    let count = files.shards.len();
    let search = async |shard: ShardIndex| {
        let file = files.stage(shard, Stage::Evaluations).await?;
        anyhow::Ok(find_customer(&file, customer_id)?.map(|row| (shard, row)))
    };
    let shards: Vec<ShardIndex> = files.shards.iter().map(|shard| shard.index).collect();
    let mut searched = stream::iter(shards).map(search).buffered(SEARCHES).enumerate();
    while let Some((number, found)) = searched.next().await {
        if let Some((shard, row)) = found? {
            return Ok(Place { run: files.run().clone(), shard, row });
        }
        task.tick(format!("shard {} of {count}", number + 1));
    }

    let what = format!("customer {customer_id} is not in run {}", files.run());
    Err(Problem::usage(what)
        .at(format!("{count} shards, {} customers", files.customers()))
        .next("check the id, which is compared exactly, or name another run")
        .into())
}
