//! `pipeline/scored_customers`: score, log-odds, SHAP values and reasons of each customer of a
//! shard.

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::{Array, BooleanArray, Decimal128Array, Float64Array, Int32Array, StringArray};
use arrow_schema::DataType;
use bytes::Bytes;
use limit_increase_domain::CreditScore;
use limit_increase_domain::decision::MAX_REASONS;
use rust_decimal::Decimal;

use crate::customers::Customers;
use crate::parquet_file::{Columns, HandoffError, INCOME, MONEY, PROFILE, Table, amount_at};

/// The score of one customer, and the numbers that explain it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow<'a> {
    /// The raw value: log-odds of the bad class.
    pub raw_value: f64,
    /// Probability of the bad class.
    pub probability: f64,
    /// The score in points.
    pub score: CreditScore,
    /// The base value in log-odds. The base value and the SHAP values add up to the raw value
    /// (promise 13).
    pub base_value: f64,
    /// One SHAP value for each source column, in log-odds.
    pub shap_values: &'a [f64],
}

/// Collects the scores of a shard and makes the file.
pub struct ScoredWriter {
    sources: Vec<String>,
    scored: Vec<bool>,
    referral: StringBuilder,
    scores: Vec<Option<i32>>,
    raw: Float64Builder,
    probability: Float64Builder,
    base: Float64Builder,
    shap: Vec<Float64Builder>,
    reasons: [StringBuilder; MAX_REASONS],
    points: [Float64Builder; MAX_REASONS],
    drivers: StringBuilder,
    profile: Option<String>,
}

impl ScoredWriter {
    /// A writer for a model that reads these source columns.
    #[must_use]
    pub fn new(sources: Vec<String>) -> Self {
        Self {
            scored: Vec::new(),
            referral: StringBuilder::new(),
            scores: Vec::new(),
            raw: Float64Builder::new(),
            probability: Float64Builder::new(),
            base: Float64Builder::new(),
            shap: sources.iter().map(|_| Float64Builder::new()).collect(),
            reasons: std::array::from_fn(|_| StringBuilder::new()),
            points: std::array::from_fn(|_| Float64Builder::new()),
            drivers: StringBuilder::new(),
            profile: None,
            sources,
        }
    }

    /// Puts the shard's counters, as JSON, beside the scores.
    pub fn set_profile(&mut self, profile: String) {
        self.profile = Some(profile);
    }

    /// Adds a customer with a score. A reason is a text and the points that it took; the worst
    /// comes first, and at most [`MAX_REASONS`] are kept.
    ///
    /// # Errors
    /// When there is not exactly one SHAP value for each source column.
    pub fn push_scored<S: AsRef<str>>(
        &mut self,
        row: &ScoreRow<'_>,
        reasons: &[(S, f64)],
    ) -> Result<(), HandoffError> {
        if row.shap_values.len() != self.sources.len() {
            return Err(HandoffError::Value {
                column: "shap".to_owned(),
                row: self.scored.len(),
                problem: format!(
                    "{} SHAP values for {} source columns",
                    row.shap_values.len(),
                    self.sources.len()
                ),
            });
        }

        self.scored.push(true);
        self.referral.append_null();
        self.scores.push(Some(row.score.value()));
        self.raw.append_value(row.raw_value);
        self.probability.append_value(row.probability);
        self.base.append_value(row.base_value);
        for (builder, value) in self.shap.iter_mut().zip(row.shap_values) {
            builder.append_value(*value);
        }

        let driver = driver(row.shap_values);
        self.drivers.append_option(driver.map(|source| &self.sources[source]));
        for position in 0..MAX_REASONS {
            let reason = reasons.get(position);
            self.reasons[position].append_option(reason.map(|(text, _)| text.as_ref()));
            self.points[position].append_option(reason.map(|(_, points)| *points));
        }

        Ok(())
    }

    /// Adds a customer who could not be scored, with the reason.
    pub fn push_referred(&mut self, reason: &str) {
        self.scored.push(false);
        self.referral.append_value(reason);
        self.scores.push(None);
        self.raw.append_null();
        self.probability.append_null();
        self.base.append_null();
        self.shap.iter_mut().for_each(Float64Builder::append_null);
        self.drivers.append_null();
        self.reasons.iter_mut().for_each(StringBuilder::append_null);
        self.points.iter_mut().for_each(Float64Builder::append_null);
    }

    /// Makes the file from the customers' own columns and what was added for each, in the order of
    /// the customers.
    ///
    /// # Errors
    /// When the number of added rows is not the number of customers.
    pub fn finish(mut self, customers: &Customers) -> Result<Bytes, HandoffError> {
        let mut columns = Columns::new();
        columns.push_distinct("customer_id", false, customers.ids()?.clone());
        columns.push("current_score", true, customers.scores()?.clone());
        columns.push("current_limit", true, customers.limits()?.clone());
        columns.push("unreadable", true, customers.unreadable()?.clone());
        columns.push("annual_income", true, customers.incomes()?.clone());
        columns.push("scored", false, BooleanArray::from(self.scored));
        columns.push("referral_reason", true, self.referral.finish());
        columns.push("new_score", true, Int32Array::from(self.scores));
        columns.push_distinct("raw_value", true, self.raw.finish());
        columns.push_distinct("probability", true, self.probability.finish());
        columns.push("base_value", true, self.base.finish());
        for (source, builder) in self.sources.iter().zip(&mut self.shap) {
            columns.push_distinct(&format!("shap_{source}"), true, builder.finish());
        }

        columns.push("reason_1_source", true, self.drivers.finish());
        for position in 0..MAX_REASONS {
            columns.push(
                &format!("reason_{}", position + 1),
                true,
                self.reasons[position].finish(),
            );

            columns.push_distinct(
                &format!("reason_{}_points", position + 1),
                true,
                self.points[position].finish(),
            );
        }

        columns.with_metadata(PROFILE, self.profile).into_parquet(customers.rows())
    }
}

/// The source column of the first reason: the one that took most points, and the earlier one of
/// two that took the same. A positive SHAP value takes points.
fn driver(shap_values: &[f64]) -> Option<usize> {
    let mut worst = None;
    let mut most = 0.0;
    for (source, &value) in shap_values.iter().enumerate() {
        if value > most {
            (worst, most) = (Some(source), value);
        }
    }

    worst
}

/// The scores of a shard, as the evaluation step reads them.
#[derive(Debug, Clone)]
pub struct Scored {
    table: Table,
}

/// The columns of [`Scored`] that a decision needs.
#[derive(Debug)]
pub struct ScoredColumns<'a> {
    /// The keys of the customers.
    pub ids: &'a StringArray,
    current_scores: &'a Int32Array,
    limits: &'a Decimal128Array,
    unreadable: &'a StringArray,
    incomes: &'a Decimal128Array,
    scored: &'a BooleanArray,
    referral: &'a StringArray,
    scores: &'a Int32Array,
    drivers: &'a StringArray,
    reasons: [&'a StringArray; MAX_REASONS],
}

/// The columns that a decision needs. The numbers of the explanation, most of the file, are not
/// read.
const DECISIVE: [&str; 13] = [
    "customer_id",
    "current_score",
    "current_limit",
    "unreadable",
    "annual_income",
    "scored",
    "referral_reason",
    "new_score",
    "reason_1_source",
    "reason_1",
    "reason_2",
    "reason_3",
    "reason_4",
];

impl Scored {
    /// Reads only what a decision needs from a file of exactly `rows` customers.
    /// [`Scored::columns`] works afterwards, [`Scored::numbers`] does not.
    ///
    /// # Errors
    /// When the bytes are not such a file.
    pub fn read_for_decisions(bytes: Bytes, rows: u32) -> Result<Self, HandoffError> {
        Ok(Self { table: Table::columns_from_parquet(bytes, rows, &DECISIVE)? })
    }

    /// Reads what a decision needs, and these columns of numbers: see [`Scored::numbers`].
    ///
    /// # Errors
    /// When the bytes are not such a file. A column that is missing is an error when it is asked
    /// for.
    pub fn read_with_numbers(
        bytes: Bytes,
        rows: u32,
        numbers: &[&str],
    ) -> Result<Self, HandoffError> {
        let columns = [DECISIVE.as_slice(), numbers].concat();
        Ok(Self { table: Table::columns_from_parquet(bytes, rows, &columns)? })
    }

    /// Reads a file of exactly `rows` customers.
    ///
    /// # Errors
    /// When the bytes are not such a file.
    pub fn read(bytes: Bytes, rows: u32) -> Result<Self, HandoffError> {
        Ok(Self { table: Table::from_parquet(bytes, rows)? })
    }

    /// The number of customers.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.table.rows()
    }

    /// The shard's counters, as JSON; `None` when the model's training has counted nothing.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.table.profile()
    }

    /// The columns that a decision needs.
    ///
    /// # Errors
    /// When a column is missing, has another type, or has a NULL where a value is needed.
    pub fn columns(&self) -> Result<ScoredColumns<'_>, HandoffError> {
        let table = &self.table;
        let text = |name: &str| table.column::<StringArray>(name, &DataType::Utf8);
        let columns = ScoredColumns {
            ids: table.filled("customer_id", &DataType::Utf8)?,
            current_scores: table.column("current_score", &DataType::Int32)?,
            limits: table.column("current_limit", &MONEY)?,
            unreadable: text("unreadable")?,
            incomes: table.column("annual_income", &INCOME)?,
            scored: table.filled("scored", &DataType::Boolean)?,
            referral: text("referral_reason")?,
            scores: table.column("new_score", &DataType::Int32)?,
            drivers: text("reason_1_source")?,
            reasons: [text("reason_1")?, text("reason_2")?, text("reason_3")?, text("reason_4")?],
        };

        // A decision must never rest on a missing score.
        for row in 0..table.rows() {
            let (column, filled) = if columns.scored.value(row) {
                ("new_score", columns.scores.is_valid(row))
            } else {
                ("referral_reason", columns.referral.is_valid(row))
            };

            if !filled {
                return Err(HandoffError::UnexpectedNull(column.to_owned()));
            }
        }

        Ok(columns)
    }

    /// A column of numbers, by name: `raw_value`, `probability`, `base_value`, `shap_<source>`,
    /// `reason_<n>_points`.
    ///
    /// # Errors
    /// When the file has no such column of numbers.
    pub fn numbers(&self, name: &str) -> Result<&Float64Array, HandoffError> {
        self.table.column(name, &DataType::Float64)
    }
}

impl<'a> ScoredColumns<'a> {
    /// The current score, in points, if it could be read.
    #[must_use]
    pub fn current_score(&self, row: usize) -> Option<i32> {
        self.current_scores.is_valid(row).then(|| self.current_scores.value(row))
    }

    /// The current limit, if it could be read.
    #[must_use]
    pub fn limit(&self, row: usize) -> Option<Decimal> {
        amount_at(self.limits, row)
    }

    /// Why the score or the limit could not be read.
    #[must_use]
    pub fn unreadable(&self, row: usize) -> Option<&'a str> {
        self.unreadable.is_valid(row).then(|| self.unreadable.value(row))
    }

    /// The annual income, if the policy asks for it and it is known.
    #[must_use]
    pub fn income(&self, row: usize) -> Option<Decimal> {
        amount_at(self.incomes, row)
    }

    /// The score in points.
    ///
    /// # Errors
    /// The reason why the customer could not be scored, as text.
    pub fn score(&self, row: usize) -> Result<CreditScore, &'a str> {
        if self.scored.value(row) {
            Ok(CreditScore::new(self.scores.value(row)))
        } else {
            Err(self.referral.value(row))
        }
    }

    /// The source column that took most points, which is that of the first reason.
    #[must_use]
    pub fn driver(&self, row: usize) -> Option<&'a str> {
        self.drivers.is_valid(row).then(|| self.drivers.value(row))
    }

    /// The adverse-action reasons, worst first.
    #[must_use]
    pub fn reasons(&self, row: usize) -> Vec<&'a str> {
        self.reasons
            .iter()
            .filter(|array| array.is_valid(row))
            .map(|array| array.value(row))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::customers::CustomersWriter;
    use limit_increase_workflow::rows::CustomerRow;

    fn file() -> Bytes {
        let mut customers = CustomersWriter::new(&[]);
        for customer_id in ["a", "b"] {
            let row = CustomerRow {
                customer_id,
                current_score: Some(640),
                current_limit: Some(Decimal::new(499_999, 2)),
                unreadable: None,
                application_date: None,
                annual_income: None,
                has_features: true,
            };

            customers.push(&row, []).unwrap();
        }

        let mut writer = ScoredWriter::new(vec!["bureau".to_owned()]);
        let row = ScoreRow {
            raw_value: -3.5,
            probability: 0.03,
            score: CreditScore::new(612),
            base_value: -3.0,
            shap_values: &[-0.5],
        };

        writer.push_scored(&row, &[("Bureau score is low", 14.4)]).unwrap();
        writer.push_referred("no features");
        writer.finish(&Customers::read(customers.finish().unwrap(), 2).unwrap()).unwrap()
    }

    #[test]
    fn a_decision_needs_no_explanation() {
        let (all, decisive) =
            (Scored::read(file(), 2).unwrap(), Scored::read_for_decisions(file(), 2).unwrap());
        for scored in [&all, &decisive] {
            let columns = scored.columns().unwrap();
            assert_eq!(
                (columns.ids.value(1), columns.limit(1)),
                ("b", Some(Decimal::new(499_999, 2)))
            );
            assert_eq!(
                (columns.score(0), columns.score(1)),
                (Ok(CreditScore::new(612)), Err("no features"))
            );

            assert_eq!(
                (columns.reasons(0), columns.reasons(1)),
                (vec!["Bureau score is low"], vec![])
            );
        }

        assert_eq!(all.numbers("shap_bureau").unwrap().value(0).to_bits(), (-0.5_f64).to_bits());
        assert!(matches!(decisive.numbers("shap_bureau"), Err(HandoffError::MissingColumn(_))));
    }

    #[test]
    fn a_file_of_other_rows_is_refused_however_little_is_read() {
        assert!(matches!(
            Scored::read_for_decisions(file(), 3),
            Err(HandoffError::Rows { found: 2, expected: 3 })
        ));
    }
}
