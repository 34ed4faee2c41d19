#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::policy::{Affordability, Tier};

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn at(score: i32, limit: &str) -> Decision {
    decide(
        &Policy::default(),
        dec(limit),
        None,
        Scoring::Scored { score: CreditScore::new(score), reasons: &[] },
    )
}

fn approved(score: i32, limit: &str) -> String {
    let decision = at(score, limit);
    assert_eq!(decision.outcome, Outcome::Approved, "{}", decision.reason);
    decision.new_limit.unwrap().to_string()
}

#[test]
fn a_score_of_650_is_approved_and_649_is_not() {
    assert_eq!(at(650, "4000").outcome, Outcome::Approved);
    assert_eq!(at(649, "4000").outcome, Outcome::Declined);
    assert_eq!(at(i32::MAX, "4000").outcome, Outcome::Approved);
    assert_eq!(at(i32::MIN, "4000").outcome, Outcome::Declined);
}

#[test]
fn limits_grow_by_half_below_5000_and_by_a_quarter_from_there() {
    let cases = [
        ("2000.00", "3000.00"),
        ("4999.99", "7499.00"),
        ("5000.00", "6250.00"),
        ("5000.01", "6250.00"),
        ("9999.99", "12499.00"),
        ("3333.33", "4999.00"),
        ("15999.99", "19999.00"),
        ("16000.00", "20000.00"),
        ("19999.00", "20000.00"),
        ("2.00", "3.00"),
    ];

    for (limit, expected) in cases {
        assert_eq!(approved(700, limit), expected, "from {limit}");
    }
}

#[test]
fn a_limit_is_never_lowered_nor_raised_by_nothing() {
    for limit in ["20000.00", "25000.00", "99999999.99", "0.00", "1.00", "1.33"] {
        let decision = at(800, limit);
        assert_eq!(decision.outcome, Outcome::Declined, "{limit}");
        assert_eq!(decision.new_limit, None);
        assert!(
            decision.reason.contains("allows no limit above the current"),
            "{}",
            decision.reason
        );
    }
}

#[test]
fn an_impossible_limit_is_referred() {
    for limit in ["-0.01", "100000000.00", "12.345"] {
        assert_eq!(at(800, limit).outcome, Outcome::Referred, "{limit}");
    }
}

#[test]
fn the_reason_names_score_minimum_and_the_main_reasons() {
    let scoring = Scoring::Scored {
        score: CreditScore::new(612),
        reasons: &["Bureau score is low (512)", "Utilisation is high (0.93)"],
    };

    let decision = decide(&Policy::default(), dec("4000"), None, scoring);
    assert_eq!(
        decision.reason,
        "Score 612 is below the minimum of 650. Main reasons: Bureau score is low (512); Utilisation is high (0.93)."
    );

    assert_eq!(
        at(687, "4000").reason,
        "Score 687 meets the minimum of 650; limit raised from 4000.00 to 6000.00."
    );

    assert_eq!(
        at(687, "19999.00").reason,
        "Score 687 meets the minimum of 650; limit raised from 19999.00 to 20000.00 (capped at the maximum of 20000.00)."
    );
}

#[test]
fn what_cannot_be_scored_is_referred_with_its_reason() {
    let decision = decide(
        &Policy::default(),
        dec("4000"),
        None,
        Scoring::NotScored { reason: "no features row" },
    );

    assert_eq!(decision.outcome, Outcome::Referred);
    assert_eq!(decision.reason, "Cannot be decided automatically: no features row.");
}

#[test]
fn income_caps_the_new_limit_when_the_policy_says_so() {
    let policy = Policy {
        affordability: Some(Affordability {
            income_column: "income".into(),
            maximum_share: dec("0.5"),
        }),
        ..Policy::default()
    };

    let scored = Scoring::Scored { score: CreditScore::new(700), reasons: &[] };
    let with = |income: Option<&str>| decide(&policy, dec("4000"), income.map(dec), scored);

    assert_eq!(with(Some("100000")).new_limit.unwrap().to_string(), "6000.00");
    assert_eq!(with(Some("10001.99")).new_limit.unwrap().to_string(), "5000.00");
    assert!(with(Some("10001.99")).reason.ends_with("(capped at 5000.99 by income)."));
    assert_eq!(with(Some("8000")).outcome, Outcome::Declined);
    assert_eq!(with(Some("0")).outcome, Outcome::Declined);
    assert_eq!(with(Some("-1")).outcome, Outcome::Referred);
    assert_eq!(with(None).outcome, Outcome::Referred);
    assert_eq!(with(Some("79228162514264337593543950335")).outcome, Outcome::Approved);
}

fn policies() -> impl Strategy<Value = Policy> {
    (1_i64..2_000_000, 0_i64..=1000, 0_i64..=1000, 1_i64..50_000, 1_i64..1_000_000, -2000_i32..2000)
        .prop_map(|(bound, low, high, step, extra, minimum)| Policy {
            minimum_score: CreditScore::new(minimum),
            tiers: vec![
                Tier { limit_below: Some(Decimal::new(bound, 2)), growth: Decimal::new(low, 2) },
                Tier { limit_below: None, growth: Decimal::new(high, 2) },
            ],
            maximum_limit: Decimal::new(bound + extra + step, 2),
            round_down_to: Decimal::new(step, 2),
            ..Policy::default()
        })
}

proptest! {
    #[test]
    fn an_approval_raises_within_every_bound(policy in policies(), cents in 0_i64..=9_999_999_999, score in -3000_i32..3000) {
        policy.validate().unwrap();
        let current = Decimal::new(cents, 2);
        let decision = decide(&policy, current, None, Scoring::Scored { score: CreditScore::new(score), reasons: &[] });
        match decision.outcome {
            Outcome::Approved => {
                let new = decision.new_limit.unwrap().amount();
                prop_assert!(score >= policy.minimum_score.value());
                prop_assert!(new > current && new <= policy.maximum_limit);
                prop_assert!((new % policy.round_down_to).is_zero());
                let limit = CreditLimit::try_from(current).unwrap();
                prop_assert!(new <= current * (Decimal::ONE + policy.growth_for(limit)));
            }
            Outcome::Declined => prop_assert_eq!(decision.new_limit, None),
            Outcome::Referred => prop_assert!(false, "a valid limit with a score is never referred"),
        }
    }

    #[test]
    fn a_higher_score_never_gets_less(policy in policies(), cents in 0_i64..=2_000_000, score in -3000_i32..3000, more in 0_i32..500) {
        let decide_at = |score| decide(&policy, Decimal::new(cents, 2), None, Scoring::Scored { score: CreditScore::new(score), reasons: &[] });
        prop_assert!(decide_at(score).new_limit <= decide_at(score + more).new_limit);
    }

    #[test]
    fn cents_are_exact_integer_arithmetic(cents in 200_i64..1_000_000) {
        // The same rule in whole cents: 50 % or 25 %, then down to a whole unit.
        let grown = if cents < 500_000 { cents * 3 / 2 } else { cents * 5 / 4 };
        let expected = (grown / 100 * 100).min(2_000_000);
        let decision = decide(&Policy::default(), Decimal::new(cents, 2), None, Scoring::Scored { score: CreditScore::new(650), reasons: &[] });
        prop_assert_eq!(decision.new_limit.unwrap().amount(), Decimal::new(expected, 2));
    }
}

#[test]
fn an_outcome_is_read_back_from_its_stored_text() {
    let cases = [
        (Outcome::Approved, "APPROVED"),
        (Outcome::Declined, "DECLINED"),
        (Outcome::Referred, "REFERRED"),
    ];

    for (outcome, text) in cases {
        assert_eq!(outcome.as_str(), text);
        assert_eq!(outcome.to_string(), text);
        assert_eq!(Outcome::parse(text), Some(outcome));
        assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{text}\""));
    }

    for text in ["", "approved", "APPROVED ", "PENDING"] {
        assert_eq!(Outcome::parse(text), None, "{text:?}");
    }
}

/// The reason names a cap exactly when the cap, and not the growth, set the new limit.
#[test]
fn the_reason_names_the_cap_that_bound() {
    let cases = [
        // 22500 by growth, far above the maximum.
        ("18000", "limit raised from 18000.00 to 20000.00 (capped at the maximum of 20000.00)."),
        // 20000 by growth: the maximum itself, so no cap was needed.
        ("16000", "limit raised from 16000.00 to 20000.00."),
        // 20000.01 by growth and rounded down anyway, but the maximum bound first.
        ("16000.01", "limit raised from 16000.01 to 20000.00 (capped at the maximum of 20000.00)."),
        ("20000", "no limit above the current 20000.00 (capped at the maximum of 20000.00)."),
        // Above the maximum already: the limit was not capped there.
        ("25000", "no limit above the current 25000.00."),
        ("0", "no limit above the current 0.00."),
    ];

    for (limit, ending) in cases {
        let reason = at(800, limit).reason;
        assert!(reason.ends_with(ending), "from {limit}: {reason}");
    }
}
