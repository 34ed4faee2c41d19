#![allow(clippy::unwrap_used)]
use std::f64::consts::TAU;

use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::*;
use crate::outcomes::calibration::{brier_score, calibration};

/// A case of `tests/golden/make.py`: outcomes, predictions, and what scikit-learn says about them.
#[derive(Deserialize)]
struct Golden {
    name: String,
    bad: Vec<u8>,
    raw: Vec<f64>,
    probability: Vec<f64>,
    gini: f64,
    ks: f64,
    brier: f64,
    predicted: Vec<f64>,
    observed: Vec<f64>,
}

fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("../../../tests/golden/sklearn.json")).unwrap()
}

fn ranked(rows: impl IntoIterator<Item = (bool, f64)>) -> RankedCustomers {
    let mut customers = RankedCustomers::new(1);
    for (bad, raw) in rows {
        customers.add(bad, [raw]);
    }
    customers
}

fn close(name: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12, "{name}: found {found}, expected {expected}");
}

#[test]
fn gini_and_ks_are_scikit_learn_s() {
    for case in golden() {
        let rows = case.bad.iter().map(|bad| *bad == 1).zip(case.raw.iter().copied());
        let found = ranked(rows).discrimination(0);
        close(&case.name, found.gini.unwrap(), case.gini);
        close(&case.name, found.ks.unwrap(), case.ks);
    }
}

#[test]
fn calibration_and_brier_score_are_scikit_learn_s() {
    for case in golden() {
        let bad = case.bad.iter().map(|bad| *bad == 1);
        let rows: Vec<(f64, bool)> = case.probability.iter().copied().zip(bad).collect();
        let bands = calibration(&rows, 10);
        assert_eq!(bands.len(), case.predicted.len(), "{}", case.name);
        for (band, (predicted, observed)) in
            bands.iter().zip(case.predicted.iter().zip(&case.observed))
        {
            close(&case.name, band.predicted, *predicted);
            close(&case.name, band.observed.value, *observed);
        }

        close(&case.name, brier_score(&rows).unwrap(), case.brier);
    }
}

#[test]
fn customers_of_one_class_have_no_gini() {
    for rows in [vec![], vec![(true, 1.0), (true, 2.0)], vec![(false, 1.0)]] {
        let customers = ranked(rows);
        let found = customers.discrimination(0);
        assert_eq!((found.gini, found.gini_interval, found.ks), (None, None, None));
        assert_eq!(customers.gini_difference(0, 0), None);
    }
}

#[test]
fn a_perfect_gini_has_no_interval() {
    let found = ranked([(false, 1.0), (false, 2.0), (true, 3.0), (true, 4.0)]).discrimination(0);
    assert_eq!((found.gini, found.gini_interval), (Some(1.0), None));
    assert_eq!(found.ks, Some(1.0));
}

#[test]
fn a_model_has_no_difference_to_itself() {
    let case = golden().remove(0);
    let mut customers = RankedCustomers::new(2);
    for (bad, raw) in case.bad.iter().zip(&case.raw) {
        customers.add(*bad == 1, [*raw, *raw]);
    }
    let found = customers.gini_difference(0, 1).unwrap().interval;
    assert_eq!((found.value, found.low, found.high), (0.0, 0.0, 0.0));
}

/// A number of the standard normal distribution, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (one, two): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - one).ln()).sqrt() * (TAU * two).cos()
}

/// Bad customers have raw values of N(1.2, 1), good ones of N(0, 1). The AUC is then
/// Φ(1.2 / √2) = 0.801 930 7, and the Gini 0.603 861 4.
#[test]
fn the_interval_of_the_gini_holds_the_true_one_95_times_in_100() {
    const SIMULATIONS: usize = 2_000;
    let mut random = ChaCha8Rng::seed_from_u64(13);
    for (bad, good) in [(40, 360), (15, 85)] {
        let mut covered = 0;
        for _ in 0..SIMULATIONS {
            let rows: Vec<(bool, f64)> = (0..bad + good)
                .map(|at| (at < bad, normal(&mut random) + if at < bad { 1.2 } else { 0.0 }))
                .collect();
            let interval = ranked(rows).discrimination(0).gini_interval.unwrap();
            covered += usize::from((interval.low..=interval.high).contains(&0.603_861_4));
        }

        let share = covered as f64 / SIMULATIONS as f64;
        assert!((0.935..=0.965).contains(&share), "{bad} bad, {good} good: {share}");
    }
}

/// The second model sees the first one's number through noise, so both are correlated. Its values
/// are N(1.2, 2) and N(0, 2): the AUC is Φ(1.2 / 2) = 0.725 746 9.
#[test]
fn the_interval_of_a_difference_holds_the_true_one_95_times_in_100() {
    const SIMULATIONS: usize = 2_000;
    let truth = 2.0 * (0.725_746_9 - 0.801_930_7);
    let mut random = ChaCha8Rng::seed_from_u64(14);
    let mut covered = 0;
    for _ in 0..SIMULATIONS {
        let mut customers = RankedCustomers::new(2);
        for at in 0..400 {
            let raw = normal(&mut random) + if at < 60 { 1.2 } else { 0.0 };
            customers.add(at < 60, [raw, raw + normal(&mut random)]);
        }

        let interval = customers.gini_difference(0, 1).unwrap().interval;
        covered += usize::from((interval.low..=interval.high).contains(&truth));
    }

    let share = covered as f64 / SIMULATIONS as f64;
    assert!((0.935..=0.965).contains(&share), "{share}");
}

/// The definition: all pairs of a bad and a good customer, a tie counting half.
fn gini_of_all_pairs(rows: &[(bool, f64)]) -> Option<f64> {
    let of = |wanted: bool| rows.iter().filter(move |(bad, _)| *bad == wanted);
    let (mut points, mut pairs) = (0.0, 0.0);
    for (_, bad) in of(true) {
        for (_, good) in of(false) {
            pairs += 1.0;
            points += match bad.total_cmp(good) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    (pairs > 0.0).then(|| 2.0 * points / pairs - 1.0)
}

fn rows() -> impl Strategy<Value = Vec<(bool, f64)>> {
    // Few distinct values, so that ties are common.
    prop::collection::vec((any::<bool>(), (-6_i8..6).prop_map(|raw| f64::from(raw) / 3.0)), 0..60)
}

proptest! {
    #[test]
    fn the_gini_is_that_of_all_pairs(rows in rows()) {
        let found = ranked(rows.clone()).discrimination(0).gini;
        let expected = gini_of_all_pairs(&rows);
        prop_assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some(expected)) = (found, expected) {
            prop_assert!((found - expected).abs() < 1e-12, "{} {}", found, expected);
        }
    }

    #[test]
    fn neither_the_order_nor_the_parts_matter(rows in rows(), cut in 0_usize..60) {
        let whole = ranked(rows.clone());
        let cut = cut.min(rows.len());
        let mut turned = ranked(rows[cut..].iter().copied());
        turned.merge(ranked(rows[..cut].iter().copied()));
        let (one, other) = (whole.discrimination(0), turned.discrimination(0));
        prop_assert_eq!((one.gini, one.ks, one.bad), (other.gini, other.ks, other.bad));
    }

    #[test]
    fn turning_the_score_round_turns_the_gini_round(rows in rows()) {
        let turned = rows.iter().map(|(bad, raw)| (*bad, -raw));
        let turned = ranked(turned).discrimination(0).gini;
        let straight = ranked(rows.clone()).discrimination(0).gini;
        prop_assert_eq!(straight.is_some(), turned.is_some());
        if let (Some(straight), Some(turned)) = (straight, turned) {
            prop_assert!((straight + turned).abs() < 1e-12);
        }
    }

    #[test]
    fn every_customer_is_in_one_calibration_band(rows in rows()) {
        let rows: Vec<(f64, bool)> = rows.iter().map(|(bad, raw)| ((raw + 2.0) / 4.0, *bad)).collect();
        let bands = calibration(&rows, 10);
        prop_assert_eq!(bands.iter().map(|band| band.known).sum::<u64>(), rows.len() as u64);
        prop_assert!(bands.windows(2).all(|pair| pair[0].predicted < pair[1].predicted));
        for band in bands {
            prop_assert!(band.observed.low <= band.observed.value && band.observed.value <= band.observed.high);
        }
    }
}
