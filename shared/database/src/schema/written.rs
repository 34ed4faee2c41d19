//! The columns that are written. Each must hold everything that the run can write into it, without
//! rounding or cutting.

use limit_increase_domain::{Outcome, Policy};
use rust_decimal::Decimal;

use super::catalogue::{Column, Table, plain};
use super::{required, type_problem};

/// What a run can write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writes<'a> {
    /// The policy, which bounds the new limits and says in which steps they come.
    pub(crate) policy: &'a Policy,
    /// No reason has more characters; 0 if that is not known any more.
    pub(crate) longest_reason: usize,
}

/// Checks the written columns, and returns the time of now as `updated_at` holds it.
pub(super) fn check(
    table: &Table,
    writes: &Writes<'_>,
    problems: &mut Vec<String>,
) -> Option<&'static str> {
    check_decision(table, problems);
    check_new_limit(table, writes.policy, problems);
    check_reason(table, writes.longest_reason, problems);
    let (column, time) = updated_at(table, problems)?;
    check_generated(table, column, problems);
    Some(time)
}

fn check_decision(table: &Table, problems: &mut Vec<String>) {
    const WANTED: &str = "VARCHAR(20)";
    let Some(column) = required(table, "limit_increase_decision", WANTED, problems) else { return };
    let longest = [Outcome::Approved, Outcome::Declined, Outcome::Referred]
        .map(|outcome| outcome.as_str().len())
        .into_iter()
        .max()
        .unwrap_or_default();
    if !column.holds_text(longest) {
        let why = format!("it holds words of {longest} characters");
        problems.push(type_problem(table, column, WANTED, &why));
    }

    check_nullable(table, column, "a customer without a decision", problems);
    check_generated(table, column, problems);
}

fn check_new_limit(table: &Table, policy: &Policy, problems: &mut Vec<String>) {
    const WANTED: &str = "NUMERIC(10,2)";
    let Some(column) = required(table, "new_limit", WANTED, problems) else { return };
    if !holds_new_limits(column, policy) {
        let why = match column.base.as_str() {
            "money" => "an amount of MONEY depends on lc_monetary".to_owned(),
            "float4" => "a REAL has seven digits".to_owned(),
            "numeric" | "int2" | "int4" => format!(
                "the policy gives limits up to {} in steps of {}",
                policy.maximum_limit, policy.round_down_to
            ),
            _ => String::new(),
        };
        problems.push(type_problem(table, column, WANTED, &why));
    }

    check_nullable(table, column, "a decision without a new limit", problems);
    check_generated(table, column, problems);
}

/// Whether the column holds every limit that the policy can give.
fn holds_new_limits(column: &Column, policy: &Policy) -> bool {
    let (largest, step) = (policy.maximum_limit, policy.round_down_to);
    let in_whole_units = (step % Decimal::ONE).is_zero();
    match column.base.as_str() {
        // The double nearest to an amount in cents is read back as that amount.
        "float8" => true,
        "int8" => in_whole_units,
        "int4" => in_whole_units && largest <= Decimal::from(i32::MAX),
        "int2" => in_whole_units && largest <= Decimal::from(i16::MAX),
        "numeric" => column.precision().is_none_or(|(precision, scale)| {
            let power = |digits: i32| 10_i64.checked_pow(digits.unsigned_abs()).map(Decimal::from);
            let is_fine_enough = match power(scale) {
                _ if scale >= 2 => true,
                Some(power) if scale >= 0 => (step * power % Decimal::ONE).is_zero(),
                Some(power) => (step % power).is_zero(),
                None => false,
            };
            let digits = precision - scale;
            let is_large_enough = digits >= 0 && power(digits).is_none_or(|bound| largest < bound);
            is_fine_enough && is_large_enough
        }),
        _ => false,
    }
}

fn check_reason(table: &Table, longest: usize, problems: &mut Vec<String>) {
    const WANTED: &str = "TEXT";
    let Some(column) = required(table, "decision_reason", WANTED, problems) else { return };
    if !column.holds_text(longest) {
        let why = match column.is_text() {
            true => format!("a reason of this model can have {longest} characters"),
            false => String::new(),
        };
        problems.push(type_problem(table, column, WANTED, &why));
    }

    check_generated(table, column, problems);
}

/// The column, and the time of now as it holds it: in UTC if it has no zone of its own.
fn updated_at<'t>(
    table: &'t Table,
    problems: &mut Vec<String>,
) -> Option<(&'t Column, &'static str)> {
    const WANTED: &str = "TIMESTAMP";
    let column = required(table, "updated_at", WANTED, problems)?;
    match column.base.as_str() {
        "timestamp" => Some((column, "now() AT TIME ZONE 'UTC'")),
        "timestamptz" => Some((column, "now()")),
        _ => {
            problems.push(type_problem(table, column, WANTED, "it holds the time in UTC"));
            None
        }
    }
}

fn check_nullable(table: &Table, column: &Column, without: &str, problems: &mut Vec<String>) {
    if column.not_null {
        let (name, place) = (plain(&column.name), table.full_name());
        problems.push(format!(
            "column {name} of {place}: found NOT NULL, wanted a column that may be NULL, for \
             {without}: ALTER TABLE {place} ALTER COLUMN {name} DROP NOT NULL"
        ));
    }
}

fn check_generated(table: &Table, column: &Column, problems: &mut Vec<String>) {
    if column.generated {
        let (name, place) = (plain(&column.name), table.full_name());
        problems.push(format!(
            "column {name} of {place}: found a generated column, wanted one that can be written: \
             ALTER TABLE {place} ALTER COLUMN {name} DROP EXPRESSION"
        ));
    }
}
