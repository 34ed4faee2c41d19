//! Replays a run shard by shard. While one shard is scored, the next one is fetched, so two shards
//! are in memory.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use limit_increase_evidence::replay::{Replay, replay_shard, sample};
use limit_increase_scoring::Model;
use limit_increase_workflow::ShardIndex;

use super::run_files::RunFiles;
use crate::terminal::{Task, thousands};

/// Shards that are fetched ahead of the one that is scored.
const AHEAD: usize = 1;

/// Rows of one shard to replay; `None` for all of them.
type Rows = Option<Vec<u32>>;

/// Replays all customers of a run, or a systematic sample of them.
///
/// # Errors
/// When a file is missing or damaged, or the model can't score the inputs.
pub async fn replay(files: &RunFiles, size: Option<u64>, task: &Task) -> Result<Replay> {
    let artifact = files.artifact().await?;
    let model = Arc::new(Model::load(&artifact)?);
    let policy = Arc::new(files.facts.policy.clone());
    let total = size.map_or(files.customers(), |size| size.min(files.customers()));

    let fetch = async |(shard, rows): (ShardIndex, Rows)| {
        anyhow::Ok((shard, rows, files.recorded(shard).await?))
    };
    let mut fetched = stream::iter(chosen(files, size)).map(fetch).buffered(AHEAD + 1);
    let mut replay = Replay::default();
    while let Some((shard, rows, recorded)) = fetched.try_next().await? {
        let (model, policy) = (model.clone(), policy.clone());
        // Scoring takes a processor for as long as it lasts, so it gets a thread of its own.
        let repeated = tokio::task::spawn_blocking(move || {
            replay_shard(&model, &policy, &recorded, rows.as_deref())
        });
        let repeated =
            repeated.await?.with_context(|| format!("shard {shard} of run {}", files.run()))?;

        replay.add(repeated);
        let done = thousands(replay.customers);
        task.tick(format!(
            "{done} of {} customers, {} cells differ",
            thousands(total),
            thousands(replay.differences)
        ));
    }

    Ok(replay)
}

/// The shards to replay, each with its rows. A shard of which nobody is in the sample is left out.
fn chosen(files: &RunFiles, size: Option<u64>) -> Vec<(ShardIndex, Rows)> {
    let Some(size) = size else {
        return files.shards.iter().map(|shard| (shard.index, None)).collect();
    };

    let mut rows = sample(size, files.customers()).peekable();
    let mut start = 0;
    let mut chosen = Vec::new();
    for shard in &files.shards {
        let end = start + u64::from(shard.rows);
        let mut own = Vec::new();
        while let Some(row) = rows.next_if(|row| *row < end) {
            // A row of a shard is below its number of rows, which is a u32.
            own.push((row - start) as u32);
        }
        if !own.is_empty() {
            chosen.push((shard.index, Some(own)));
        }
        start = end;
    }

    chosen
}
