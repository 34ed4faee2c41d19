//! A shard scored and decided again, from its stored inputs by the pinned model and the policy of
//! its run, and compared with the record bit for bit.
//!
//! What scores and decides here is what the functions run: [`limit_increase_scoring_step`] and
//! [`limit_increase_evaluation_step`]. What became of
//! a decision when it met the database is the one thing that can't be repeated: the table has
//! changed since. The effects are taken from the record, and their counts are checked against the
//! ledger by `verify`.

use bytes::Bytes;
use limit_increase_domain::{Policy, sha256_hex};
use limit_increase_evaluation_step::evaluate;
use limit_increase_handoff::comparison::{Difference, Differences, compare};
use limit_increase_handoff::customers::Customers;
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_handoff::results::{self, Effect, ResultsWriter};
use limit_increase_handoff::scored::Scored;
use limit_increase_handoff::{HandoffError, row_count};
use limit_increase_scoring::{Model, ScoringError};
use limit_increase_scoring_step::{frame, write_scores};
use limit_increase_workflow::keys::Stage;
use limit_increase_workflow::rows::Evaluation;
use serde::Serialize;

/// Differences of a shard that are described. All of them are counted.
const DESCRIBED: usize = 10;

/// The recorded files of a shard, one for each stage.
#[derive(Debug, Clone)]
pub struct RecordedShard {
    /// `pipeline/customers`.
    pub customers: Bytes,
    /// `pipeline/scored_customers`.
    pub scored: Bytes,
    /// `pipeline/evaluations`.
    pub evaluations: Bytes,
    /// `pipeline/results`.
    pub results: Bytes,
}

/// How a replay of customers compares with the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// Customers that were scored and decided again.
    pub customers: u64,
    /// Cells that came out differently.
    pub differences: u64,
    /// The first of them.
    pub first: Vec<ReplayDifference>,
}

/// A cell that came out differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayDifference {
    /// The stage whose file differs: the name of its folder.
    pub stage: &'static str,
    /// The column.
    pub column: String,
    /// The row in the shard, from 0; absent where a whole column differs.
    pub row: Option<u32>,
    /// What was recorded.
    pub recorded: String,
    /// What came out now.
    pub replayed: String,
}

/// Why a shard can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file of the record can't be read.
    #[error("pipeline/{}: {error}", stage.folder())]
    File {
        /// The file's stage.
        stage: Stage,
        /// What is wrong with it.
        error: HandoffError,
    },
    /// The model can't score the inputs.
    #[error(transparent)]
    Scoring(#[from] ScoringError),
}

impl Replay {
    /// Adds another shard's replay.
    pub fn add(&mut self, other: Self) {
        self.customers += other.customers;
        self.differences += other.differences;
        let room = DESCRIBED.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }

    fn add_differences(&mut self, stage: Stage, differences: Differences) {
        self.differences += differences.count;
        let described = |difference: Difference| ReplayDifference {
            stage: stage.folder(),
            column: difference.column,
            row: difference.row,
            recorded: difference.recorded,
            replayed: difference.repeated,
        };
        let room = DESCRIBED.saturating_sub(self.first.len());
        self.first.extend(differences.first.into_iter().map(described).take(room));
    }
}

/// Replays a shard, or only `rows` of it.
///
/// # Errors
/// When a file can't be read, or the model can't score the inputs.
pub fn replay_shard(
    model: &Model,
    policy: &Policy,
    recorded: &RecordedShard,
    rows: Option<&[u32]>,
) -> Result<Replay, ReplayError> {
    let of = |stage: Stage| move |error: HandoffError| ReplayError::File { stage, error };
    let all = Customers::read(
        recorded.customers.clone(),
        row_count(&recorded.customers).map_err(of(Stage::Customers))?,
    )
    .map_err(of(Stage::Customers))?;
    let customers = match rows {
        Some(rows) => all.take(rows).map_err(of(Stage::Customers))?,
        None => all,
    };

    let scored = score(model, &customers)?;
    let evaluations = decide(policy, &scored, customers.rows()).map_err(of(Stage::Evaluations))?;
    let results = record(&evaluations, &recorded.results, rows).map_err(of(Stage::Results))?;

    let mut replay = Replay { customers: customers.rows() as u64, ..Replay::default() };
    for (stage, recorded, replayed) in [
        (Stage::ScoredCustomers, &recorded.scored, &scored),
        (Stage::Evaluations, &recorded.evaluations, &evaluations),
        (Stage::Results, &recorded.results, &results),
    ] {
        replay.add_differences(stage, compare(recorded, replayed, rows).map_err(of(stage))?);
    }

    Ok(replay)
}

fn score(model: &Model, customers: &Customers) -> Result<Bytes, ReplayError> {
    let file = |error| ReplayError::File { stage: Stage::Customers, error };
    let frame = frame(model.inputs(), customers).map_err(file)?;
    let batch = model.score(&frame)?;
    let (writer, _) = write_scores(model.inputs(), &batch).map_err(file)?;
    writer.finish(customers).map_err(file)
}

fn decide(policy: &Policy, scored: &Bytes, rows: usize) -> Result<Bytes, HandoffError> {
    let sha256 = sha256_hex(scored);
    let scored = Scored::read_for_decisions(scored.clone(), rows as u32)?;
    let (mut writer, _) = evaluate(policy, &scored)?;
    writer.set_scored_sha256(sha256);
    writer.finish()
}

/// The record that these decisions make with the effects of the recorded one.
fn record(
    evaluations: &Bytes,
    recorded: &Bytes,
    rows: Option<&[u32]>,
) -> Result<Bytes, HandoffError> {
    let effects = results::read(recorded.clone(), row_count(recorded)?)?;
    let evaluations = Evaluations::read(evaluations.clone(), row_count(evaluations)?)?;
    let mut writer = ResultsWriter::default();
    for (position, evaluation) in evaluations.iter()?.enumerate() {
        let evaluation: Evaluation<'_> = evaluation?;
        let row = rows.map_or(position, |rows| rows[position] as usize);
        let effect = effects.get(row).map(|[_, _, effect]| effect.as_str()).unwrap_or_default();
        let effect = Effect::parse(effect).ok_or_else(|| HandoffError::Value {
            column: "effect".to_owned(),
            row,
            problem: format!("{effect:?} is no effect"),
        })?;
        writer.push(&evaluation, effect);
    }

    writer.finish()
}

/// The rows of a systematic sample: `count` of all `total` rows, at equal distances, or all of them if
/// there are fewer. The same question gives the same rows.
pub fn sample(count: u64, total: u64) -> impl Iterator<Item = u64> {
    let count = count.min(total);
    // The middle of each of `count` equal parts: (2 i + 1) total / (2 count).
    let row = move |part: u64| {
        let middle = (2 * u128::from(part) + 1) * u128::from(total) / (2 * u128::from(count));
        u64::try_from(middle).unwrap_or(u64::MAX)
    };
    (0..count).map(row)
}

#[cfg(test)]
mod tests;
