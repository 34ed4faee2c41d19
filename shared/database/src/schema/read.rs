//! The columns that are read: score, limit and date. What can be read exactly is read, and a single
//! value that cannot is NULL with its reason.

use super::catalogue::{Column, Table};
use super::{required, type_problem};

/// How a column is read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// The value, or NULL if it cannot be read exactly.
    pub(super) value: String,
    /// The reason why a value cannot be read; `None` if every value of the type can be.
    pub(super) problem: Option<String>,
}

impl Reading {
    /// Every value of the column can be read.
    fn always(value: &str) -> Self {
        Self { value: value.to_owned(), problem: None }
    }

    /// `value` where the condition holds.
    fn when(condition: &str, value: &str, column: &str, what: &str, wanted: &str) -> Self {
        let value = format!("CASE WHEN {condition} THEN {value} END");
        // A NUMERIC can have 130,000 digits.
        let problem = format!(
            "CASE WHEN ({value}) IS NULL THEN 'the current {what} ' || left({column}::text, 60) \
             || ' is not {wanted}' END"
        );
        Self { value, problem: Some(problem) }
    }
}

/// A whole number of points, as an INTEGER.
pub(super) fn score(table: &Table, problems: &mut Vec<String>) -> Option<Reading> {
    const WANTED: &str = "INTEGER";
    const COLUMN: &str = "b.current_score";
    let column = required(table, "current_score", WANTED, problems)?;
    let whole = |range: &str| {
        let condition = format!("{COLUMN} BETWEEN {range}");
        let value = format!("{COLUMN}::integer");
        Reading::when(&condition, &value, COLUMN, "score", "a whole number of points")
    };
    let is_whole = "AND b.current_score = trunc(b.current_score)";

    match column.base.as_str() {
        "int4" => Some(Reading::always(COLUMN)),
        "int2" => Some(Reading::always("b.current_score::integer")),
        "int8" => Some(whole("-2147483648 AND 2147483647")),
        "numeric" | "float8" => Some(whole(&format!("-2147483648 AND 2147483647 {is_whole}"))),
        // Above 2^24 a REAL does not hold every whole number.
        "float4" => Some(whole(&format!("-16777216 AND 16777216 {is_whole}"))),
        _ => {
            problems.push(type_problem(table, column, WANTED, ""));
            None
        }
    }
}

/// An amount in cents that `DECIMAL(10, 2)` holds, as a NUMERIC.
///
/// A DOUBLE PRECISION is exact if it is the double nearest to an amount in cents. The 15 digits of
/// the cast to NUMERIC are enough for the ten of such an amount. A REAL has only seven digits. The
/// value of a MONEY depends on the session's `lc_monetary`.
pub(super) fn limit(table: &Table, problems: &mut Vec<String>) -> Option<Reading> {
    const WANTED: &str = "NUMERIC(10,2)";
    const COLUMN: &str = "b.current_limit";
    let column = required(table, "current_limit", WANTED, problems)?;
    let amount = |condition: &str, value: &str| {
        Reading::when(condition, value, COLUMN, "limit", "a valid amount")
    };

    match column.base.as_str() {
        "numeric" if holds_only_amounts(column) => Some(Reading::always(COLUMN)),
        "numeric" => Some(amount(
            "abs(b.current_limit) <= 99999999.99 AND b.current_limit = round(b.current_limit, 2)",
            "round(b.current_limit, 2)",
        )),
        "int2" => Some(Reading::always("b.current_limit::numeric")),
        "int4" | "int8" => Some(amount(
            "b.current_limit BETWEEN -99999999 AND 99999999",
            "b.current_limit::numeric",
        )),
        "float8" => Some(amount(
            "abs(b.current_limit) <= 99999999.99 \
             AND round(b.current_limit::numeric, 2)::float8 = b.current_limit",
            "round(b.current_limit::numeric, 2)",
        )),
        base => {
            let why = match base {
                "money" => "an amount of MONEY depends on lc_monetary",
                "float4" => "a REAL has seven digits",
                _ => "",
            };
            problems.push(type_problem(table, column, WANTED, why));
            None
        }
    }
}

/// Whether `DECIMAL(10, 2)` holds every value of the column.
fn holds_only_amounts(column: &Column) -> bool {
    column
        .precision()
        .is_some_and(|(precision, scale)| (0..=2).contains(&scale) && precision - scale <= 8)
}

/// A date in the years 1 to 9999. Another one, such as infinity, becomes NULL: an error would stop
/// the run. A time is read as its day, and a time with a zone as its day in UTC.
pub(super) fn date(table: &Table, problems: &mut Vec<String>) -> Option<String> {
    const WANTED: &str = "DATE";
    let column = required(table, "application_date", WANTED, problems)?;
    let day = |time: &str| {
        format!(
            "CASE WHEN {time} >= '0001-01-01' AND {time} < '10000-01-01' THEN ({time})::date END"
        )
    };

    match column.base.as_str() {
        "date" => Some(
            "CASE WHEN b.application_date BETWEEN '0001-01-01' AND '9999-12-31'
                         THEN b.application_date END"
                .to_owned(),
        ),
        "timestamp" => Some(day("b.application_date")),
        "timestamptz" => Some(day("(b.application_date AT TIME ZONE 'UTC')")),
        _ => {
            problems.push(type_problem(table, column, WANTED, ""));
            None
        }
    }
}
