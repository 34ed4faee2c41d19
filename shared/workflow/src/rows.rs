//! The rows that travel between the steps, independent of what carries them: a table, a Parquet
//! file, a test.

use chrono::NaiveDate;
use limit_increase_domain::{CreditScore, Outcome};
use rust_decimal::Decimal;

/// One eligible customer, as the query gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerRow<'a> {
    /// Key in `batch_scores`.
    pub customer_id: &'a str,
    /// Current score; `None` if it is not a whole number of points.
    pub current_score: Option<i32>,
    /// Current limit; `None` if it is not an amount in cents.
    pub current_limit: Option<Decimal>,
    /// Why the score or the limit is missing, as words that end "cannot be decided automatically:".
    pub unreadable: Option<&'a str>,
    /// Application date; `None` when it is outside the years 1 to 9999.
    pub application_date: Option<NaiveDate>,
    /// Gross annual income, read only under an affordability cap.
    pub annual_income: Option<Decimal>,
    /// Whether the customer has a row in `customer_features`.
    pub has_features: bool,
}

/// The value of one source column for one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CellValue<'a> {
    /// A number, or missing.
    Number(Option<f64>),
    /// A category, or missing.
    Text(Option<&'a str>),
}

/// One customer's evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation<'a> {
    /// Key in `batch_scores`.
    pub customer_id: &'a str,
    /// Score at the time of the query; `None` if it could not be read.
    pub current_score: Option<i32>,
    /// Limit at the time of the query; `None` if it could not be read.
    pub current_limit: Option<Decimal>,
    /// Why the score or the limit could not be read. Such a customer is referred.
    pub unreadable: Option<&'a str>,
    /// Gross annual income, read only under an affordability cap.
    pub annual_income: Option<Decimal>,
    /// The new score; `None` if the customer could not be scored.
    pub new_score: Option<CreditScore>,
    /// How the case ended.
    pub outcome: Outcome,
    /// The raised limit of an approval.
    pub new_limit: Option<Decimal>,
    /// The sentence for `decision_reason`.
    pub reason: &'a str,
    /// Of a decline for the score, the source column that took most points. It counts for the
    /// report alone.
    pub driver: Option<&'a str>,
}
