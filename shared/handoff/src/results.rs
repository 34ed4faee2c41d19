//! `pipeline/results`: the effect of each decision of a shard when it met the database.

use arrow_array::StringArray;
use arrow_array::builder::StringBuilder;
use arrow_schema::DataType;
use bytes::Bytes;
use limit_increase_workflow::rows::Evaluation;

use crate::parquet_file::{Columns, HandoffError, MONEY, Table, amounts, cents};

/// What became of a decision when it met the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Written to `batch_scores`.
    Written,
    /// Not written: the customer was changed, or decided by another run, since the query.
    Stale,
    /// Not written: the run is a dry run.
    DryRun,
}

impl Effect {
    /// The text in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "WRITTEN",
            Self::Stale => "STALE",
            Self::DryRun => "DRY_RUN",
        }
    }

    /// The effect of this text in the file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Written, Self::Stale, Self::DryRun].into_iter().find(|one| one.as_str() == text)
    }
}

/// Collects the results of a shard and makes the file.
#[derive(Default)]
pub struct ResultsWriter {
    ids: StringBuilder,
    outcomes: StringBuilder,
    new_limits: Vec<Option<i128>>,
    reasons: StringBuilder,
    effects: StringBuilder,
}

impl ResultsWriter {
    /// Adds a decision and its effect.
    pub fn push(&mut self, evaluation: &Evaluation<'_>, effect: Effect) {
        self.ids.append_value(evaluation.customer_id);
        self.outcomes.append_value(evaluation.outcome.as_str());
        self.new_limits.push(evaluation.new_limit.and_then(cents));
        self.reasons.append_value(evaluation.reason);
        self.effects.append_value(effect.as_str());
    }

    /// Makes the file.
    ///
    /// # Errors
    /// When the columns do not fit together.
    pub fn finish(mut self) -> Result<Bytes, HandoffError> {
        let rows = self.new_limits.len();
        let mut columns = Columns::new();
        columns.push_distinct("customer_id", false, self.ids.finish());
        columns.push("decision", false, self.outcomes.finish());
        columns.push("new_limit", true, amounts(self.new_limits, &MONEY));
        columns.push_distinct("decision_reason", false, self.reasons.finish());
        columns.push("effect", false, self.effects.finish());
        columns.into_parquet(rows)
    }
}

/// The customer, the decision and the effect of each row of a results file, as texts. Audits and
/// tests read it; no step does.
///
/// # Errors
/// When the bytes are not a results file of exactly `rows` rows.
pub fn read(bytes: Bytes, rows: u32) -> Result<Vec<[String; 3]>, HandoffError> {
    let table = Table::from_parquet(bytes, rows)?;
    let text = |name: &str| table.filled::<StringArray>(name, &DataType::Utf8);
    let (ids, decisions, effects) = (text("customer_id")?, text("decision")?, text("effect")?);
    Ok((0..table.rows())
        .map(|row| [ids, decisions, effects].map(|column| column.value(row).to_owned()))
        .collect())
}
