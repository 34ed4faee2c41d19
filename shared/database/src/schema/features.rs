//! The columns of `customer_features` that the model and the policy read.

use limit_increase_domain::{ColumnKind, SourceColumn};

use super::catalogue::{Column, Table, plain};
use super::{WantedFeatures, key, required};
use crate::quote_identifier;

/// The expressions for the columns of `customer_features`, which the statement calls `f`.
#[derive(Debug, Clone)]
pub(crate) struct FeaturePlan {
    /// One for each column that the model reads, in their order.
    pub(crate) columns: Vec<String>,
    /// The annual income.
    pub(crate) income: String,
}

impl FeaturePlan {
    /// The plan for a table, or everything that is wrong with it. `customers` is the key of
    /// `batch_scores`.
    pub(super) fn of(
        table: &Table,
        customers: Option<&Column>,
        wanted: WantedFeatures<'_>,
    ) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        key::check_relation(table, &mut problems);
        if table.schema.is_none() {
            return Err(problems);
        }

        check_key(table, customers, &mut problems);
        let mut columns = Vec::with_capacity(wanted.columns.len());
        for column in wanted.columns {
            let expression = type_of(table, &column.name)
                .and_then(|type_name| feature_expression(column, type_name));
            match expression {
                Ok(expression) => columns.push(expression),
                Err(problem) => problems.push(problem),
            }
        }

        let income = match wanted.income {
            None => Ok("NULL::numeric".to_owned()),
            Some(name) => {
                type_of(table, name).and_then(|type_name| income_expression(name, type_name))
            }
        };
        match income {
            Ok(income) if problems.is_empty() => Ok(Self { columns, income }),
            income => {
                problems.extend(income.err());
                Err(problems)
            }
        }
    }
}

/// The table must have one row for a customer, and a key that can be compared with that of
/// `batch_scores`.
fn check_key(table: &Table, customers: Option<&Column>, problems: &mut Vec<String>) {
    let Some(column) = required(table, "customer_id", "VARCHAR(50)", problems) else { return };
    let place = table.full_name();
    if table.is_table() && !column.unique {
        problems.push(format!(
            "{place} has no primary key on customer_id: a customer could appear twice; ALTER TABLE \
             {place} ADD PRIMARY KEY (customer_id)"
        ));
    }

    if let Some(customers) = customers
        && !key::are_comparable(column, customers)
    {
        problems.push(format!(
            "column customer_id of {place}: found {}, wanted {}, as in batch_scores: ALTER TABLE \
             {place} ALTER COLUMN customer_id TYPE {wanted} USING customer_id::{wanted}",
            column.shown,
            customers.shown,
            wanted = customers.shown
        ));
    }
}

fn type_of<'t>(table: &'t Table, name: &str) -> Result<&'t str, String> {
    if let Some(column) = table.column(name) {
        // A type that is not built in is shown by its name.
        return Ok(if column.base.is_empty() { &column.shown } else { &column.base });
    }

    let similar = match table.similar_column(name) {
        Some(other) => format!("; there is {}, so rename it", plain(&other.name)),
        None => {
            "; load the features that the model reads (limit-increase setup-db --data)".to_owned()
        }
    };
    Err(format!(
        "customer_features has no column {name:?}, which the model or the policy reads{similar}"
    ))
}

/// The expression for a feature as float8 or text. A number that is too large for float8 becomes
/// infinity, for which the customer is referred. A number that is too small becomes zero. A plain
/// cast would stop the run.
fn feature_expression(column: &SourceColumn, type_name: &str) -> Result<String, String> {
    let name = format!("f.{}", quote_identifier(&column.name));
    if column.kind == ColumnKind::Category {
        return Ok(format!("{name}::text"));
    }

    match type_name {
        "float8" => Ok(name),
        "int2" | "int4" | "int8" | "float4" => Ok(format!("{name}::float8")),
        "bool" => Ok(format!("{name}::int::float8")),
        "numeric" => Ok(format!(
            "CASE WHEN {name} = 'NaN' THEN 'NaN'::float8 WHEN abs({name}) < 1e-300 THEN 0 \
             WHEN abs({name}) <= 1e300 THEN {name}::float8 \
             WHEN {name} IS NOT NULL THEN 'Infinity'::float8 END"
        )),
        other => Err(format!(
            "column {:?} of customer_features has type {other}, but the model reads it as a number: \
             load the features that the model reads (limit-increase setup-db --data)",
            column.name
        )),
    }
}

/// The expression for an income, rounded to the cent. A value that cannot be an income (NaN,
/// infinite, beyond 10^11) becomes NULL, for which the customer is referred.
fn income_expression(name: &str, type_name: &str) -> Result<String, String> {
    let column = format!("f.{}", quote_identifier(name));
    match type_name {
        "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" => Ok(format!(
            "CASE WHEN {column} BETWEEN -1e11 AND 1e11 THEN round({column}::numeric, 2) END"
        )),
        other => Err(format!(
            "column {name:?} of customer_features has type {other}, but the policy's affordability \
             cap needs a number"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn identifiers_are_quoted_whatever_they_hold() {
        let column = SourceColumn::number("a\"; DROP TABLE x; --");
        assert_eq!(feature_expression(&column, "float8").unwrap(), "f.\"a\"\"; DROP TABLE x; --\"");
    }

    #[test]
    fn text_is_not_a_number() {
        let column = SourceColumn::number("home");
        let problem = feature_expression(&column, "text").unwrap_err();
        assert!(problem.contains("\"home\""), "{problem}");
    }
}
