//! Where the record of a customer is: the run, the shard and the row.

use anyhow::Result;
use futures_util::{StreamExt as _, stream};
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

/// The last decision on a customer in the history, or the one of a given run; `None` if the history
/// has none. A database of an older release has no history, and then it is `None` too.
///
/// # Errors
/// When the history can't be read.
pub async fn in_history(
    client: &Client,
    customer_id: &str,
    run: Option<&RunId>,
) -> Result<Option<Place>> {
    let known = client
        .query_one("SELECT to_regclass('limit_increase_decisions') IS NOT NULL AS known", &[])
        .await?;
    if !known.try_get::<_, bool>("known")? {
        return Ok(None);
    }

    let row = client
        .query_opt(
            "SELECT run_id, shard_index, row_index FROM limit_increase_decisions
             WHERE customer_id = $1 AND ($2::text IS NULL OR run_id = $2)
             ORDER BY decided_at DESC LIMIT 1",
            &[&customer_id, &run.map(RunId::as_str)],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };

    let shard: i32 = row.try_get("shard_index")?;
    let position: i32 = row.try_get("row_index")?;
    Ok(Some(Place {
        run: RunId::try_from(row.try_get::<_, String>("run_id")?)?,
        shard: ShardIndex(u32::try_from(shard)?),
        row: usize::try_from(position)?,
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
