//! `pipeline/evaluations`: the decision on each customer of a shard, before it is written to the
//! database.

use arrow_array::builder::StringBuilder;
use arrow_array::{Array as _, Decimal128Array, Int32Array, StringArray};
use arrow_schema::DataType;
use bytes::Bytes;
use limit_increase_domain::{CreditScore, Decision, Outcome};
use limit_increase_workflow::rows::Evaluation;
use rust_decimal::Decimal;

use crate::parquet_file::{
    Columns, HandoffError, INCOME, MONEY, PROFILE, Table, amount_at, amounts, cents, metadata,
};

/// What is known of a customer when the policy is applied: score and limit at the time of the
/// query, the income under an affordability cap, and the new score, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Score at the time of the query, if it could be read.
    pub current_score: Option<i32>,
    /// Limit at the time of the query, if it could be read.
    pub current_limit: Option<Decimal>,
    /// Why the score or the limit could not be read.
    pub unreadable: Option<&'a str>,
    /// Gross annual income, if the policy asks for it and it is known.
    pub annual_income: Option<Decimal>,
    /// The new score; `None` if the customer could not be scored.
    pub new_score: Option<CreditScore>,
    /// Of a decline for the score, the source column that took most points.
    pub driver: Option<&'a str>,
}

/// The key of the hash of the scores among the file's metadata.
const SCORED_SHA256: &str = "limit_increase_scored_sha256";

/// The SHA-256 of the file of scores that these decisions were made from; `None` in a file of an older
/// release.
///
/// # Errors
/// When the bytes are not a Parquet file.
pub fn scored_sha256(bytes: &Bytes) -> Result<Option<String>, HandoffError> {
    metadata(bytes, SCORED_SHA256)
}

/// Collects the decisions of a shard and makes the file.
#[derive(Default)]
pub struct EvaluationsWriter {
    ids: StringBuilder,
    scores: Vec<Option<i32>>,
    limits: Vec<Option<i128>>,
    unreadable: StringBuilder,
    incomes: Vec<Option<i128>>,
    new_scores: Vec<Option<i32>>,
    outcomes: StringBuilder,
    new_limits: Vec<Option<i128>>,
    reasons: StringBuilder,
    drivers: StringBuilder,
    scored_sha256: Option<String>,
    profile: Option<String>,
}

impl EvaluationsWriter {
    /// Names the file of scores that the decisions are made from. So whoever trusts the file of
    /// decisions can check the scores too.
    pub fn set_scored_sha256(&mut self, sha256: String) {
        self.scored_sha256 = Some(sha256);
    }

    /// Puts the shard's counters, as JSON, beside the decisions.
    pub fn set_profile(&mut self, profile: String) {
        self.profile = Some(profile);
    }

    /// Adds the decision on a customer, with all that it was decided by.
    ///
    /// # Errors
    /// When the current limit or the income is finer than a cent.
    pub fn push(
        &mut self,
        customer_id: &str,
        facts: &Facts<'_>,
        decision: &Decision,
    ) -> Result<(), HandoffError> {
        let row = self.scores.len();
        let cents_of = |column: &str, amount: Option<Decimal>| {
            let too_fine = || HandoffError::Value {
                column: column.to_owned(),
                row,
                problem: "is finer than a cent".to_owned(),
            };
            amount.map(|amount| cents(amount).ok_or_else(too_fine)).transpose()
        };

        let Facts { current_score, current_limit, unreadable, annual_income, new_score, driver } =
            *facts;
        let limit = cents_of("current_limit", current_limit)?;
        let income = cents_of("annual_income", annual_income)?;

        self.ids.append_value(customer_id);
        self.scores.push(current_score);
        self.limits.push(limit);
        self.unreadable.append_option(unreadable);
        self.incomes.push(income);
        self.new_scores.push(new_score.map(CreditScore::value));
        self.outcomes.append_value(decision.outcome.as_str());
        self.new_limits.push(decision.new_limit.map(|limit| limit.amount().mantissa()));
        self.reasons.append_value(&decision.reason);
        self.drivers.append_option(driver);
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
        columns.push("current_score", true, Int32Array::from(self.scores));
        columns.push("current_limit", true, amounts(self.limits, &MONEY));
        columns.push("unreadable", true, self.unreadable.finish());
        columns.push("annual_income", true, amounts(self.incomes, &INCOME));
        columns.push("new_score", true, Int32Array::from(self.new_scores));
        columns.push("decision", false, self.outcomes.finish());
        columns.push("new_limit", true, amounts(self.new_limits, &MONEY));
        columns.push_distinct("decision_reason", false, self.reasons.finish());
        columns.push("driver", true, self.drivers.finish());
        columns
            .with_metadata(SCORED_SHA256, self.scored_sha256)
            .with_metadata(PROFILE, self.profile)
            .into_parquet(rows)
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

    /// The shard's counters, as JSON; `None` when the model's training has counted nothing.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.table.profile()
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
        let scores: &Int32Array = table.column("current_score", &DataType::Int32)?;
        let limits: &Decimal128Array = table.column("current_limit", &MONEY)?;
        let unreadable: &StringArray = table.column("unreadable", &DataType::Utf8)?;
        let incomes: &Decimal128Array = table.column("annual_income", &INCOME)?;
        let new_scores: &Int32Array = table.column("new_score", &DataType::Int32)?;
        let outcomes: &StringArray = table.filled("decision", &DataType::Utf8)?;
        let new_limits: &Decimal128Array = table.column("new_limit", &MONEY)?;
        let reasons: &StringArray = table.filled("decision_reason", &DataType::Utf8)?;
        // A file of an older release has no drivers, and `results` still reads it.
        let drivers = table.column::<StringArray>("driver", &DataType::Utf8).ok();
        Ok((0..table.rows()).map(move |row| {
            let value_error = |column: &str, problem: String| HandoffError::Value {
                column: column.to_owned(),
                row,
                problem,
            };

            let outcome = Outcome::parse(outcomes.value(row)).ok_or_else(|| {
                value_error("decision", format!("{:?} is no decision", outcomes.value(row)))
            })?;

            let current_limit = amount_at(limits, row);
            let new_limit = amount_at(new_limits, row);
            let consistent = match (outcome, new_limit) {
                (Outcome::Approved, Some(new)) => current_limit.is_some_and(|limit| new > limit),
                (Outcome::Approved, None) => false,
                (_, new) => new.is_none(),
            };

            if !consistent {
                return Err(value_error(
                    "new_limit",
                    format!("{new_limit:?} does not go with {outcome} from {current_limit:?}"),
                ));
            }

            Ok(Evaluation {
                customer_id: ids.value(row),
                current_score: scores.is_valid(row).then(|| scores.value(row)),
                current_limit,
                unreadable: unreadable.is_valid(row).then(|| unreadable.value(row)),
                annual_income: amount_at(incomes, row),
                new_score: new_scores
                    .is_valid(row)
                    .then(|| CreditScore::new(new_scores.value(row))),
                outcome,
                new_limit,
                reason: reasons.value(row),
                driver: drivers
                    .filter(|drivers| drivers.is_valid(row))
                    .map(|drivers| drivers.value(row)),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::row_count;
    use limit_increase_domain::CreditLimit;

    fn file(decision: &Decision) -> Bytes {
        let mut writer = EvaluationsWriter::default();
        let facts = Facts {
            current_score: Some(640),
            current_limit: Some(Decimal::new(400_000, 2)),
            unreadable: None,
            annual_income: Some(Decimal::new(3_000_050, 2)),
            new_score: Some(CreditScore::new(700)),
            driver: Some("bureau_score"),
        };

        writer.push("a", &facts, decision).unwrap();
        writer.set_profile("{}".to_owned());
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
        assert_eq!(row_count(&file(&decision(Outcome::Declined, None))).unwrap(), 1);
        assert!(row_count(&Bytes::from_static(b"PAR1 and no footer")).is_err());
        let row = evaluations.iter().unwrap().next().unwrap().unwrap();
        assert_eq!((row.customer_id, row.outcome, row.reason), ("a", Outcome::Approved, "because"));
        assert_eq!(row.new_limit.unwrap().to_string(), "6000.00");
        assert_eq!((row.current_score, row.new_score), (Some(640), Some(CreditScore::new(700))));
        assert_eq!(row.annual_income.unwrap().to_string(), "30000.50");
        assert_eq!((row.driver, evaluations.profile()), (Some("bureau_score"), Some("{}")));
    }

    #[test]
    fn the_file_names_the_scores_that_it_was_made_from() {
        let mut writer = EvaluationsWriter::default();
        writer.set_scored_sha256("f00d".to_owned());
        assert_eq!(scored_sha256(&writer.finish().unwrap()).unwrap().as_deref(), Some("f00d"));

        let older = file(&decision(Outcome::Declined, None));
        assert_eq!(scored_sha256(&older).unwrap(), None);
        assert!(scored_sha256(&Bytes::from_static(b"PAR1")).is_err());
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
