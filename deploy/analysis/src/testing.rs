//! Shards that the unit tests of this crate make, as the steps write them.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use limit_increase_domain::CreditScore;
use limit_increase_handoff::customers::{Customers, CustomersWriter};
use limit_increase_handoff::scored::{ScoreRow, Scored, ScoredWriter};
use limit_increase_workflow::rows::CustomerRow;

/// A customer of a shard that a test makes.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) id: String,
    pub(crate) limit: &'static str,
    /// `None` for a customer who could not be scored.
    pub(crate) score: Option<i32>,
}

pub(crate) fn given(id: &str, limit: &'static str, score: Option<i32>) -> Given {
    Given { id: id.to_owned(), limit, score }
}

/// Writes a shard as the steps write it, and reads it again.
pub(crate) fn shard(customers: &[Given], numbers: &[&str]) -> Scored {
    let mut file = CustomersWriter::new(&[]);
    let mut scores = ScoredWriter::new(Vec::new());
    for customer in customers {
        let row = CustomerRow {
            customer_id: &customer.id,
            current_score: Some(640),
            current_limit: Some(customer.limit.parse().unwrap()),
            unreadable: None,
            application_date: None,
            annual_income: None,
            has_features: true,
        };
        file.push(&row, []).unwrap();
        let Some(points) = customer.score else {
            scores.push_referred("no features");
            continue;
        };

        let raw_value = f64::from(600 - points) / 30.0;
        let row = ScoreRow {
            raw_value,
            probability: 1.0 / (1.0 + (-raw_value).exp()),
            score: CreditScore::new(points),
            base_value: 0.0,
            shap_values: &[],
        };
        scores.push_scored::<&str>(&row, &[]).unwrap();
    }

    let rows = u32::try_from(customers.len()).unwrap();
    let file: Bytes =
        scores.finish(&Customers::read(file.finish().unwrap(), rows).unwrap()).unwrap();
    Scored::read_with_numbers(file, rows, numbers).unwrap()
}
