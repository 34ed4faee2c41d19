//! Customers from the sample portfolio, in the columns that the current model reads.

use std::fmt::Write as _;
use std::ops::Range;

use chrono::NaiveDate;

use super::{CUSTOMER_SEED, CopyRows, FEATURES, Head, Portfolio};
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
pub fn missing_columns(columns: &[SourceColumn]) -> Vec<String> {
    let own = own_columns();
    columns
        .iter()
        .filter(|column| !own.contains(column))
        .map(|column| column.name.clone())
        .collect()
}

/// The customers of the database, in some columns.
#[derive(Debug)]
pub struct Sample {
    portfolio: Portfolio,
    /// The place of each column among the portfolio's features, if it is one of them.
    columns: Vec<(Option<usize>, ColumnKind)>,
}

impl Sample {
    /// The customers in these columns, with application dates up to `today`.
    #[must_use]
    pub fn new(columns: &[SourceColumn], today: NaiveDate) -> Self {
        let own = own_columns();
        let place = |column| own.iter().position(|candidate| candidate == column);
        Self {
            portfolio: Portfolio::new(CUSTOMER_SEED, today),
            columns: columns.iter().map(|column| (place(column), column.kind)).collect(),
        }
    }

    /// Draws these customers, counted from 0.
    #[inline(never)]
    #[must_use]
    pub fn rows(&self, customers: Range<u64>) -> CopyRows {
        let mut rows = CopyRows::new(self.columns.len());
        let mut id = String::new();
        for index in customers {
            let customer = self.portfolio.customer(index);
            write_customer_id(index, &mut id);
            rows.begin(&Head {
                id: &id,
                score: customer.current_score,
                limit_cents: customer.limit_cents(),
                date: customer.application_date,
            });

            for (place, kind) in &self.columns {
                match place.map(|place| customer.features[place]) {
                    Some(CellValue::Number(number)) => rows.number(number),
                    Some(CellValue::Text(text)) => rows.text(text),
                    None if *kind == ColumnKind::Number => rows.number(None),
                    None => rows.text(None),
                }
            }
        }

        rows
    }
}

/// The key of customer number `index`, counted from 0: `CUST_0001` for the first. Numbers above
/// 9999 have more digits.
fn write_customer_id(index: u64, id: &mut String) {
    id.clear();
    let _ = write!(id, "CUST_{:04}", index + 1);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_grow_wider_beyond_four_digits() {
        let ids = [0, 49, 9_998, 9_999].map(|index| {
            let mut id = "before".to_owned();
            write_customer_id(index, &mut id);
            id
        });
        assert_eq!(ids, ["CUST_0001", "CUST_0050", "CUST_9999", "CUST_10000"]);
    }

    #[test]
    fn a_row_is_what_copy_reads_in_the_models_columns() {
        let columns = [
            SourceColumn::category("residential_status"),
            SourceColumn::number("not_in_the_portfolio"),
        ];
        let today = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
        let sample = Sample::new(&columns, today);
        let customer = sample.portfolio.customer(0);
        let CellValue::Text(Some(residence)) = customer.features[6] else { unreachable!() };

        let rows = sample.rows(0..1);
        assert_eq!(rows.rows(), 1);
        let mut expected = vec![0, 6, 0, 0, 0, 9];
        expected.extend(b"CUST_0001");
        expected.extend([0, 0, 0, 4]);
        expected.extend(customer.current_score.to_be_bytes());
        expected.extend([0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 2]);
        let cents = customer.limit_cents();
        for word in [cents / 1_000_000, cents / 100 % 10_000, cents % 100 * 100] {
            expected.extend(u16::try_from(word).unwrap().to_be_bytes());
        }
        let days = (customer.application_date - today).num_days();
        expected.extend([0, 0, 0, 4]);
        expected.extend(i32::try_from(days).unwrap().to_be_bytes());
        expected.extend(u32::try_from(residence.len()).unwrap().to_be_bytes());
        expected.extend(residence.bytes());
        expected.extend([0xff; 4]);
        assert_eq!(rows.into_bytes(), expected);

        assert_eq!(sample.rows(3..4_001).rows(), 3_998);
        assert_eq!(missing_columns(&columns), ["not_in_the_portfolio"]);
    }
}
