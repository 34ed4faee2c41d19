//! Customers from the sample portfolio, in the columns that the current model reads.

use chrono::NaiveDate;

use crate::customers::bulk::{BATCH, IncomingCell, IncomingCustomer};
use crate::customers::portfolio::{CUSTOMER_SEED, FEATURES, Portfolio};
use limit_increase_domain::{ColumnKind, SourceColumn};
use limit_increase_workflow::rows::CellValue;

/// The columns of the portfolio, in the order of its features.
#[must_use]
pub fn own_columns() -> Vec<SourceColumn> {
    FEATURES
        .into_iter()
        .map(|feature| SourceColumn { name: feature.column.to_owned(), kind: feature.kind })
        .collect()
}

/// The names of the columns that the portfolio does not have; they stay empty in the table.
#[must_use]
pub(crate) fn missing_columns(columns: &[SourceColumn]) -> Vec<String> {
    let own = own_columns();
    columns
        .iter()
        .filter(|column| !own.contains(column))
        .map(|column| column.name.clone())
        .collect()
}

/// The key of customer number `index`, counted from 0: `CUST_0001` for the first. Numbers above
/// 9999 have more digits.
#[must_use]
pub(crate) fn customer_id(index: u64) -> String {
    format!("CUST_{:04}", index + 1)
}

/// Customers `0..count` in batches of [`BATCH`]; a batch is drawn when it is asked for.
pub(crate) fn batches(
    count: u64,
    columns: &[SourceColumn],
    today: NaiveDate,
) -> impl Iterator<Item = Vec<IncomingCustomer>> {
    let portfolio = Portfolio::new(CUSTOMER_SEED, today);
    let own = own_columns();
    let sources: Vec<(Option<usize>, ColumnKind)> = columns
        .iter()
        .map(|column| (own.iter().position(|candidate| candidate == column), column.kind))
        .collect();
    let row = move |index: u64| {
        let customer = portfolio.customer(index);
        let features = sources
            .iter()
            .map(|(source, kind)| match source.map(|position| customer.features[position]) {
                Some(CellValue::Number(number)) => IncomingCell::Number(number),
                Some(CellValue::Text(text)) => IncomingCell::Text(text.map(str::to_owned)),
                None if *kind == ColumnKind::Number => IncomingCell::Number(None),
                None => IncomingCell::Text(None),
            })
            .collect();
        IncomingCustomer {
            customer_id: customer_id(index),
            current_score: customer.current_score,
            current_limit: customer.current_limit,
            application_date: customer.application_date,
            features,
        }
    };

    (0..count)
        .step_by(BATCH)
        .map(move |first| (first..count.min(first + BATCH as u64)).map(&row).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_grow_wider_beyond_four_digits() {
        assert_eq!(
            [0, 49, 9_998, 9_999].map(customer_id),
            ["CUST_0001", "CUST_0050", "CUST_9999", "CUST_10000"]
        );
    }

    #[test]
    fn batches_cover_every_customer_once_in_the_models_columns() {
        let columns = [
            SourceColumn::category("residential_status"),
            SourceColumn::number("not_in_the_portfolio"),
        ];

        let rows: Vec<IncomingCustomer> =
            batches(4_001, &columns, NaiveDate::default()).flatten().collect();
        assert_eq!(rows.len(), 4_001);
        assert_eq!(rows.last().unwrap().customer_id, "CUST_4001");
        assert!(rows.iter().all(|row| row.features[1] == IncomingCell::Number(None)));
        assert_eq!(missing_columns(&columns), ["not_in_the_portfolio"]);
    }
}
