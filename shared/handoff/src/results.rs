//! `pipeline/results`: what became of each decision of a shard when it met the database.

use arrow_array::StringArray;
use arrow_array::builder::StringBuilder;
use arrow_schema::DataType;
use bytes::Bytes;

use crate::parquet_file::{Columns, HandoffError, MONEY, Table, amounts, cents};
use limit_increase_workflow::rows::Evaluation;

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Written to `batch_scores`.
    Applied,
    /// Not written: the customer had changed, or was decided by another run, since the query.
    Stale,
    /// Not written: the run is a dry run.
    DryRun,
}

impl Applied {
    /// The text in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "APPLIED",
            Self::Stale => "STALE",
            Self::DryRun => "DRY_RUN",
        }
    }
}

/// Collects a shard's results and makes the file.
#[derive(Default)]
pub struct ResultsWriter {
    ids: StringBuilder,
    outcomes: StringBuilder,
    new_limits: Vec<Option<i128>>,
    reasons: StringBuilder,
    applied: StringBuilder,
}

impl ResultsWriter {
    /// Adds a decision and what became of it.
    pub fn push(&mut self, evaluation: &Evaluation<'_>, applied: Applied) {
        self.ids.append_value(evaluation.customer_id);
        self.outcomes.append_value(evaluation.outcome.as_str());
        self.new_limits.push(evaluation.new_limit.and_then(cents));
        self.reasons.append_value(evaluation.reason);
        self.applied.append_value(applied.as_str());
    }

    /// The file.
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
        columns.push("outcome", false, self.applied.finish());
        columns.into_parquet(rows)
    }
}

/// Keys, decisions and outcomes of a results file; for audits and tests.
///
/// # Errors
/// When the bytes are no such file of `rows` rows.
pub fn read(bytes: Bytes, rows: u32) -> Result<Vec<[String; 3]>, HandoffError> {
    let table = Table::from_parquet(bytes, rows)?;
    let text = |name: &str| table.filled::<StringArray>(name, &DataType::Utf8);
    let (ids, decisions, outcomes) = (text("customer_id")?, text("decision")?, text("outcome")?);
    Ok((0..table.rows())
        .map(|row| [ids, decisions, outcomes].map(|column| column.value(row).to_owned()))
        .collect())
}
