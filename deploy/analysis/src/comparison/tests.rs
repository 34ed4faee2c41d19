#![allow(clippy::unwrap_used)]
use limit_increase_domain::Counts;
use limit_increase_domain::policy::Tier;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::outcomes::Observation;
use crate::testing::{Given, given};

/// A shard with the columns that a comparison reads.
fn shard(customers: &[Given]) -> Scored {
    crate::testing::shard(customers, &NUMBERS)
}

fn arm(name: &str, minimum_score: i32, growth: &str) -> Arm {
    let policy = Policy {
        minimum_score: CreditScore::new(minimum_score),
        tiers: vec![Tier { limit_below: None, growth: growth.parse().unwrap() }],
        ..Policy::default()
    };
    Arm { name: name.to_owned(), policy, model: ArmModel::Stored }
}

fn question(arms: Vec<Arm>) -> Question {
    Question {
        arms,
        grid: Vec::new(),
        as_of: NaiveDate::from_ymd_opt(2026, 11, 30).unwrap(),
        outcomes: None,
        lists_swapped: true,
    }
}

fn customers() -> Vec<Given> {
    vec![
        given("both", "4000.00", Some(700)),
        given("in", "1000.00", Some(645)),
        given("neither", "2000.00", Some(600)),
        given("unscored, \"x\"", "3000.00", None),
        given("large", "10000.00", Some(700)),
    ]
}

fn money(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn two_policies_are_counted_side_by_side() {
    let question = question(vec![arm("strict", 650, "0.5"), arm("loose", 640, "0.25")]);
    let comparison = question.answer(&shard(&customers()), &[]).unwrap();

    let [strict, loose] = comparison.totals.as_slice() else { panic!("two arms") };
    let counts = |approved, declined| Counts { approved, declined, referred: 1, stale: 0 };
    assert_eq!((strict.counts, strict.not_eligible), (counts(1, 2), 1));
    assert_eq!((loose.counts, loose.not_eligible), (counts(2, 1), 1));
    assert_eq!(strict.raised, money("2000.00"));
    assert_eq!(loose.raised, money("1250.00"));
    assert_eq!(loose.mean_raise(), Some(money("625.00")));
    assert_eq!((strict.customers(), comparison.customers), (5, 5));

    let swap_set = comparison.swap_sets[0];
    assert_eq!((swap_set.comes_in.customers, swap_set.comes_in.money), (1, money("250.00")));
    assert_eq!(
        (swap_set.raised_less.customers, swap_set.raised_less.money),
        (1, money("-1000.00"))
    );
    assert_eq!((swap_set.goes_out.customers, swap_set.raised_more.customers), (0, 0));
    assert_eq!(swap_set.unchanged, 3);
}

#[test]
fn customers_are_counted_by_the_bands_of_their_score_and_limit() {
    let question = question(vec![arm("strict", 650, "0.5")]);
    let comparison = question.answer(&shard(&customers()), &[]).unwrap();
    let approved = comparison.by_score[&Some(Band::of_score(700))][0];
    assert_eq!((approved.counts.approved, approved.not_eligible), (1, 1));
    assert_eq!(comparison.by_score[&None][0].counts.referred, 1);
    let sum: u64 = comparison.by_limit.values().map(|tallies| tallies[0].customers()).sum();
    assert_eq!(sum, 5);
}

#[test]
fn the_list_has_who_is_decided_differently_and_nobody_else() {
    let mut question = question(vec![arm("strict", 650, "0.5"), arm("loose", 640, "0.5")]);
    let comparison = question.answer(&shard(&customers()), &[]).unwrap();
    let list = [question.swapped_header(), comparison.swapped].concat();
    assert_eq!(
        String::from_utf8(list).unwrap(),
        "customer_id,current_limit,score,decision: strict,new_limit: strict,decision: loose,\
         new_limit: loose\nin,1000.00,645,DECLINED,,APPROVED,1500.00\n"
    );

    question.lists_swapped = false;
    assert!(question.answer(&shard(&customers()), &[]).unwrap().swapped.is_empty());
}

#[test]
fn a_challenger_decides_by_its_own_scores() {
    let mut challenger = arm("challenger", 650, "0.5");
    challenger.model = ArmModel::Challenger;
    let question = question(vec![arm("champion", 650, "0.5"), challenger]);
    let again =
        |points: i32| Some(ChallengerScore { raw_value: 0.0, score: CreditScore::new(points) });
    let scores = [again(600), again(660), again(600), again(700), None];
    let comparison = question.answer(&shard(&customers()), &scores).unwrap();
    assert_eq!(comparison.totals[0].counts.approved, 1);
    assert_eq!(comparison.totals[1].counts.approved, 2);
    assert_eq!(comparison.swap_sets[0].comes_in.customers, 2);
    assert_eq!(comparison.swap_sets[0].goes_out.customers, 1);

    let error = question.answer(&shard(&customers()), &scores[..2]).unwrap_err();
    assert!(matches!(error, HandoffError::Rows { found: 2, expected: 5 }));
}

#[test]
fn known_outcomes_give_bad_rates_and_a_gini() {
    let mut question = question(vec![arm("strict", 650, "0.5"), arm("loose", 640, "0.5")]);
    let mut outcomes = Outcomes::default();
    let early = NaiveDate::from_ymd_opt(2026, 11, 29);
    for (id, bad, date) in [
        ("both", false, None),
        ("in", true, NaiveDate::from_ymd_opt(2026, 11, 30)),
        ("neither", false, early),
        ("a stranger", true, None),
    ] {
        assert!(outcomes.insert(id, Observation { bad, date }));
    }
    assert!(!outcomes.insert("both", Observation { bad: true, date: None }));

    question.outcomes = Some(outcomes);
    let comparison = question.answer(&shard(&customers()), &[]).unwrap();
    let rates = |arm: usize| {
        let tally = comparison.totals[arm];
        (tally.approved_outcomes, tally.declined_outcomes)
    };
    let count = |known, bad| crate::interval::BadCount { known, bad };
    // The outcome of "neither" was known before the run, so its score did not forecast it.
    assert_eq!(rates(0), (count(1, 0), count(1, 1)));
    assert_eq!(rates(1), (count(2, 1), count(0, 0)));
    assert_eq!(comparison.swap_sets[0].comes_in.outcomes, count(1, 1));
    assert_eq!(comparison.ranked.discrimination(0).gini, Some(1.0));
}

#[test]
fn a_grid_is_counted_as_its_policies_are() {
    let mut question = question(vec![arm("strict", 650, "0.5")]);
    question.grid = vec![arm("", 640, "0.5").policy, arm("", 650, "0.5").policy];
    let comparison = question.answer(&shard(&customers()), &[]).unwrap();
    assert_eq!(comparison.grid[1], comparison.totals[0]);
    assert_eq!(comparison.grid[0].counts.approved, 2);
}

fn any_customer() -> impl Strategy<Value = Given> {
    let limits = ["0.00", "999.99", "1000.00", "4999.99", "5000.00", "9999.99", "10000.00"];
    (prop::sample::select(limits.to_vec()), prop::option::of(560..760))
        .prop_map(|(limit, score)| given("x", limit, score))
}

proptest! {
    #[test]
    fn the_parts_of_a_run_add_up_to_the_whole(
        customers in prop::collection::vec(any_customer(), 0..30),
        cut in 0_usize..30,
    ) {
        let arms = vec![arm("a", 650, "0.5"), arm("b", 640, "0.25"), arm("c", 700, "1")];
        let question = question(arms);
        let cut = cut.min(customers.len());
        let whole = question.answer(&shard(&customers), &[]).unwrap();
        let mut sum = question.nobody();
        for part in [&customers[..cut], &customers[cut..]] {
            sum.merge(question.answer(&shard(part), &[]).unwrap());
        }

        prop_assert_eq!(sum, Comparison { swapped: Vec::new(), ..whole.clone() });
        for (position, total) in whole.totals.iter().enumerate() {
            prop_assert_eq!(total.customers(), customers.len() as u64);
            for bands in [&whole.by_score, &whole.by_limit] {
                let mut bands_sum = Tally::default();
                bands.values().for_each(|tallies| bands_sum += tallies[position]);
                prop_assert_eq!(&bands_sum, total);
            }
        }

        for (swap_set, other) in whole.swap_sets.iter().zip(&whole.totals[1..]) {
            let approved = |tally: &Tally| i128::from(tally.counts.approved);
            let swapped = i128::from(swap_set.comes_in.customers) - i128::from(swap_set.goes_out.customers);
            prop_assert_eq!(swapped, approved(other) - approved(&whole.totals[0]));
            let money = swap_set.comes_in.money + swap_set.goes_out.money
                + swap_set.raised_more.money + swap_set.raised_less.money;
            prop_assert_eq!(money, other.raised - whole.totals[0].raised);
        }
    }
}
