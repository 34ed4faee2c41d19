//! `pipeline/evaluations`: the decision on each customer of a shard, before it is written to the
//! database.

use arrow_array::builder::StringBuilder;
use arrow_array::{Decimal128Array, Int32Array, StringArray};
use arrow_schema::DataType;
use bytes::Bytes;
use limit_increase_domain::{CreditScore, Decision, Outcome};
use limit_increase_workflow::rows::Evaluation;
use rust_decimal::Decimal;

use crate::parquet_file::{Columns, HandoffError, MONEY, Table, amount_at, amounts, cents};

/// Collects the decisions of a shard and makes the file.
#[derive(Default)]
pub struct EvaluationsWriter {
    ids: StringBuilder,
    scores: Vec<i32>,
    limits: Vec<Option<i128>>,
    new_scores: Vec<Option<i32>>,
    outcomes: StringBuilder,
    new_limits: Vec<Option<i128>>,
    reasons: StringBuilder,
}

impl EvaluationsWriter {
    /// Adds the decision on a customer. `current` is the score and the limit at the time of the
    /// query;
    /// `new_score` is `None` if the customer could not be scored.
    ///
    /// # Errors
    /// When the current limit is finer than a cent.
    pub fn push(
        &mut self,
        customer_id: &str,
        current: (i32, Decimal),
        new_score: Option<CreditScore>,
        decision: &Decision,
    ) -> Result<(), HandoffError> {
        let (current_score, current_limit) = current;
        let limit = cents(current_limit).ok_or_else(|| HandoffError::Value {
            column: "current_limit".to_owned(),
            row: self.scores.len(),
            problem: "is finer than a cent".to_owned(),
        })?;

        self.ids.append_value(customer_id);
        self.scores.push(current_score);
        self.limits.push(Some(limit));
        self.new_scores.push(new_score.map(CreditScore::value));
        self.outcomes.append_value(decision.outcome.as_str());
        self.new_limits.push(decision.new_limit.map(|limit| limit.amount().mantissa()));
        self.reasons.append_value(&decision.reason);
        Ok(())
    }

    /// Makes the file.
    ///
    /// # Errors
    /// When the columns do not fit together.
    pub fn finish(mut self) -> Result<Bytes, HandoffError> {
        let rows = self.scores.len();
        let mut columns = Columns::new();
        columns.push_distinct("customer_id", false, self.ids.finish());
        columns.push("current_score", false, Int32Array::from(self.scores));
        columns.push("current_limit", false, amounts(self.limits, &MONEY));
        columns.push("new_score", true, Int32Array::from(self.new_scores));
        columns.push("decision", false, self.outcomes.finish());
        columns.push("new_limit", true, amounts(self.new_limits, &MONEY));
        columns.push_distinct("decision_reason", false, self.reasons.finish());
        columns.into_parquet(rows)
    }
}

/// The decisions of a shard, as the update step reads them. Each row was checked.
#[derive(Debug, Clone)]
pub struct Evaluations {
    table: Table,
}

impl Evaluations {
    /// Reads a file of exactly `rows` decisions.
    ///
    /// # Errors
    /// When the bytes are not such a file, or when a row is inconsistent: an unknown outcome, an
    /// approval without a raised limit, or another outcome with a new limit.
    pub fn read(bytes: Bytes, rows: u32) -> Result<Self, HandoffError> {
        let evaluations = Self { table: Table::from_parquet(bytes, rows)? };
        for evaluation in evaluations.iter()? {
            evaluation?;
        }

        Ok(evaluations)
    }

    /// The decisions, in the file's order.
    ///
    /// # Errors
    /// When a column is missing or of another type. An item is an error when its row is
    /// inconsistent.
    pub fn iter(
        &self,
    ) -> Result<impl Iterator<Item = Result<Evaluation<'_>, HandoffError>>, HandoffError> {
        let table = &self.table;
        let ids: &StringArray = table.filled("customer_id", &DataType::Utf8)?;
        let scores: &Int32Array = table.filled("current_score", &DataType::Int32)?;
        let limits: &Decimal128Array = table.filled("current_limit", &MONEY)?;
        let outcomes: &StringArray = table.filled("decision", &DataType::Utf8)?;
        let new_limits: &Decimal128Array = table.column("new_limit", &MONEY)?;
        let reasons: &StringArray = table.filled("decision_reason", &DataType::Utf8)?;
        Ok((0..table.rows()).map(move |row| {
            let value_error = |column: &str, problem: String| HandoffError::Value {
                column: column.to_owned(),
                row,
                problem,
            };

            let outcome = Outcome::parse(outcomes.value(row)).ok_or_else(|| {
                value_error("decision", format!("{:?} is no decision", outcomes.value(row)))
            })?;

            let current_limit = Decimal::from_i128_with_scale(limits.value(row), 2);
            let new_limit = amount_at(new_limits, row);
            let consistent = match (outcome, new_limit) {
                (Outcome::Approved, Some(new)) => new > current_limit,
                (Outcome::Approved, None) => false,
                (_, new) => new.is_none(),
            };

            if !consistent {
                return Err(value_error(
                    "new_limit",
                    format!("{new_limit:?} does not go with {outcome} from {current_limit}"),
                ));
            }

            Ok(Evaluation {
                customer_id: ids.value(row),
                current_score: scores.value(row),
                current_limit,
                outcome,
                new_limit,
                reason: reasons.value(row),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use limit_increase_domain::CreditLimit;

    fn file(decision: &Decision) -> Bytes {
        let mut writer = EvaluationsWriter::default();
        writer
            .push("a", (640, Decimal::new(400_000, 2)), Some(CreditScore::new(700)), decision)
            .unwrap();
        writer.finish().unwrap()
    }

    fn decision(outcome: Outcome, new_limit: Option<i64>) -> Decision {
        let new_limit =
            new_limit.map(|cents| CreditLimit::try_from(Decimal::new(cents, 2)).unwrap());
        Decision { outcome, new_limit, reason: "because".to_owned() }
    }

    #[test]
    fn decisions_come_back_as_they_went_in() {
        let evaluations =
            Evaluations::read(file(&decision(Outcome::Approved, Some(600_000))), 1).unwrap();
        let row = evaluations.iter().unwrap().next().unwrap().unwrap();
        assert_eq!((row.customer_id, row.outcome, row.reason), ("a", Outcome::Approved, "because"));
        assert_eq!(row.new_limit.unwrap().to_string(), "6000.00");
    }

    #[test]
    fn a_decision_that_contradicts_itself_is_refused() {
        for bad in [
            decision(Outcome::Approved, None),
            decision(Outcome::Approved, Some(400_000)),
            decision(Outcome::Approved, Some(399_999)),
            decision(Outcome::Declined, Some(600_000)),
            decision(Outcome::Referred, Some(600_000)),
        ] {
            assert!(Evaluations::read(file(&bad), 1).is_err(), "{bad:?}");
        }
    }
}
