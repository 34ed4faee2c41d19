#![allow(clippy::unwrap_used)]
use bytes::Bytes;
use limit_increase_domain::{CreditScore, Outcome};
use limit_increase_handoff::customers::{Customers, CustomersWriter};
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_handoff::scored::{ScoreRow, ScoredWriter};
use limit_increase_workflow::rows::CustomerRow;
use rust_decimal::Decimal;

use super::*;

/// A shard in which each customer has a limit of 4000.00 and this score, or this reason for none.
fn scored(scores: &[Result<i32, &str>]) -> Bytes {
    let mut customers = CustomersWriter::new(&[]);
    let mut writer = ScoredWriter::new(vec!["bureau_score".to_owned()]);
    writer.set_profile("{}".to_owned());
    for (number, score) in scores.iter().enumerate() {
        let row = CustomerRow {
            customer_id: &format!("CUST_{number}"),
            current_score: Some(640),
            current_limit: Some(Decimal::new(400_000, 2)),
            unreadable: None,
            application_date: None,
            annual_income: None,
            has_features: score.is_ok(),
        };

        customers.push(&row, []).unwrap();
        match score {
            Ok(score) => {
                let row = ScoreRow {
                    raw_value: -3.0,
                    probability: 0.05,
                    score: CreditScore::new(*score),
                    base_value: -3.0,
                    shap_values: &[0.5],
                };

                writer.push_scored(&row, &[("Bureau score is low (310)", 12.5)]).unwrap();
            }
            Err(reason) => writer.push_referred(reason),
        }
    }

    let rows = u32::try_from(scores.len()).unwrap();
    writer.finish(&Customers::read(customers.finish().unwrap(), rows).unwrap()).unwrap()
}

#[test]
fn each_customer_is_decided_by_the_policy_and_counted() {
    let file = scored(&[Ok(650), Ok(649), Err("the customer has no features on record")]);
    let scored = Scored::read_for_decisions(file, 3).unwrap();
    let (writer, counts) = evaluate(&Policy::default(), &scored).unwrap();
    assert_eq!(counts, Counts { approved: 1, declined: 1, referred: 1, stale: 0 });

    let evaluations = Evaluations::read(writer.finish().unwrap(), 3).unwrap();
    let rows: Vec<_> = evaluations.iter().unwrap().map(Result::unwrap).collect();
    assert_eq!(
        rows.iter().map(|row| (row.customer_id, row.outcome)).collect::<Vec<_>>(),
        [
            ("CUST_0", Outcome::Approved),
            ("CUST_1", Outcome::Declined),
            ("CUST_2", Outcome::Referred)
        ]
    );

    assert_eq!(rows[0].new_limit, Some(Decimal::new(600_000, 2)));
    assert_eq!(
        (rows[0].current_score, rows[0].current_limit),
        (Some(640), Some(Decimal::new(400_000, 2)))
    );
    let drivers: Vec<_> = rows.iter().map(|row| row.driver).collect();
    assert_eq!(drivers, [None, Some("bureau_score"), None], "of a decline for the score alone");
    assert_eq!(evaluations.profile(), Some("{}"));
    assert!(rows[1].reason.contains("Bureau score is low (310)"), "{}", rows[1].reason);
    assert!(rows[2].reason.contains("no features on record"), "{}", rows[2].reason);
}

#[test]
fn a_customer_who_could_not_be_read_is_referred_whatever_the_score() {
    const PROBLEM: &str = "the current limit 4700.1234 is not a valid amount";
    const PROBLEM_OF_SCORE: &str = "the current score 700.5 is not a whole number";
    let mut customers = CustomersWriter::new(&[]);
    let row = CustomerRow {
        customer_id: "CUST_0",
        current_score: Some(640),
        current_limit: None,
        unreadable: Some(PROBLEM),
        application_date: None,
        annual_income: None,
        has_features: true,
    };
    let without_reason = CustomerRow { unreadable: None, ..row.clone() };
    assert!(customers.push(&without_reason, []).is_err(), "a missing limit has its reason");
    customers.push(&row, []).unwrap();
    let of_score = CustomerRow {
        customer_id: "CUST_1",
        current_score: None,
        current_limit: Some(Decimal::new(400_000, 2)),
        unreadable: Some(PROBLEM_OF_SCORE),
        ..row
    };
    customers.push(&of_score, []).unwrap();

    let mut writer = ScoredWriter::new(vec!["bureau_score".to_owned()]);
    let scores = ScoreRow {
        raw_value: -3.0,
        probability: 0.05,
        score: CreditScore::new(700),
        base_value: -3.0,
        shap_values: &[0.5],
    };
    writer.push_scored::<&str>(&scores, &[]).unwrap();
    writer.push_scored::<&str>(&scores, &[]).unwrap();
    let customers = Customers::read(customers.finish().unwrap(), 2).unwrap();
    let scored = Scored::read_for_decisions(writer.finish(&customers).unwrap(), 2).unwrap();

    let (writer, counts) = evaluate(&Policy::default(), &scored).unwrap();
    assert_eq!(counts, Counts { referred: 2, ..Counts::default() });
    let evaluations = Evaluations::read(writer.finish().unwrap(), 2).unwrap();
    let rows: Vec<_> = evaluations.iter().unwrap().map(Result::unwrap).collect();
    assert_eq!((rows[0].current_score, rows[0].current_limit), (Some(640), None));
    assert_eq!(rows[1].current_limit, Some(Decimal::new(400_000, 2)));
    for (row, problem) in rows.iter().zip([PROBLEM, PROBLEM_OF_SCORE]) {
        assert_eq!(row.unreadable, Some(problem));
        assert!(row.reason.contains(problem), "{}", row.reason);
    }
}
