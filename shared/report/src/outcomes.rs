//! What became of a run's customers, by bands of scores and of limits, and what drove the declines.

use std::collections::BTreeMap;

use limit_increase_domain::{Counts, CreditScore, Outcome};
use limit_increase_workflow::rows::Evaluation;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The width of a band of scores, in points.
const SCORE_BAND: i32 = 20;
/// How many bands there are below the minimum score, and above it. Scores beyond are in the last.
const SCORE_BANDS: i32 = 10;
/// The lower ends of the bands of limits.
const LIMIT_BANDS: [u32; 16] = [
    0,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    10_000_000,
    100_000_000,
];
/// The most inputs that are counted by name as drivers of declines.
const MAX_DRIVERS: usize = 200;

/// What became of customers, counted in bands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// By new score. The key is the lower end of the band in points, seen from the minimum score:
    /// -20 is the band just below the minimum. The lowest and the highest band are open.
    pub score_bands: BTreeMap<i32, Band>,
    /// The customers without a score.
    pub without_score: Band,
    /// By limit at the time of the query. The key is the lower end of the band.
    pub limit_bands: BTreeMap<u32, Band>,
    /// The customers whose limit could not be read.
    pub without_limit: Band,
    /// What drove the declines. They add up to the declined customers.
    pub declines: Declines,
}

/// The customers of a band.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// What became of them.
    pub counts: Counts,
    /// The sum of (new limit - old limit) over the approved.
    pub increase: Decimal,
}

/// The declined customers by what drove the decline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declines {
    /// Below the minimum score, by the source column that took most points.
    pub inputs: BTreeMap<String, u64>,
    /// Below the minimum score, though no input took points, or because of an input beyond the
    /// bound on names.
    pub no_single_input: u64,
    /// The score was high enough, but the policy allows no limit above the current one.
    pub no_higher_limit: u64,
}

impl Band {
    fn add(&mut self, other: &Self) {
        let counts = &mut self.counts;
        counts.approved += other.counts.approved;
        counts.declined += other.counts.declined;
        counts.referred += other.counts.referred;
        counts.stale += other.counts.stale;
        self.increase += other.increase;
    }
}

impl Outcomes {
    /// Counts a customer's evaluation. A stale customer counts as stale, whatever was decided.
    pub fn count(&mut self, evaluation: &Evaluation<'_>, stale: bool, minimum: CreditScore) {
        let mut one = Band::default();
        if stale {
            one.counts.stale = 1;
        } else {
            one.counts.add(evaluation.outcome);
            if let Some((new, old)) = evaluation.new_limit.zip(evaluation.current_limit) {
                one.increase = new - old;
            }
        }

        let by_score = match evaluation.new_score {
            Some(score) => self.score_bands.entry(score_band(score, minimum)).or_default(),
            None => &mut self.without_score,
        };
        by_score.add(&one);

        let by_limit = match evaluation.current_limit {
            Some(limit) => self.limit_bands.entry(limit_band(limit)).or_default(),
            None => &mut self.without_limit,
        };
        by_limit.add(&one);

        if !stale && evaluation.outcome == Outcome::Declined {
            let below = evaluation.new_score.is_some_and(|score| score < minimum);
            match (below, evaluation.driver) {
                (false, _) => self.declines.no_higher_limit += 1,
                (true, Some(input)) => self.declines.count_input(input, 1),
                (true, None) => self.declines.no_single_input += 1,
            }
        }
    }

    /// Adds the counts of another shard.
    pub fn add(&mut self, other: &Self) {
        for (lower, band) in &other.score_bands {
            self.score_bands.entry(*lower).or_default().add(band);
        }

        for (lower, band) in &other.limit_bands {
            self.limit_bands.entry(*lower).or_default().add(band);
        }

        self.without_score.add(&other.without_score);
        self.without_limit.add(&other.without_limit);
        self.declines.no_single_input += other.declines.no_single_input;
        self.declines.no_higher_limit += other.declines.no_higher_limit;
        for (input, count) in &other.declines.inputs {
            self.declines.count_input(input, *count);
        }
    }
}

impl Declines {
    fn count_input(&mut self, input: &str, count: u64) {
        if let Some(counter) = self.inputs.get_mut(input) {
            *counter += count;
        } else if self.inputs.len() < MAX_DRIVERS {
            self.inputs.insert(input.to_owned(), count);
        } else {
            self.no_single_input += count;
        }
    }

    /// All declined customers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.inputs.values().sum::<u64>() + self.no_single_input + self.no_higher_limit
    }
}

/// The lower end of a score's band, seen from the minimum score.
fn score_band(score: CreditScore, minimum: CreditScore) -> i32 {
    let above = score.value().saturating_sub(minimum.value()).div_euclid(SCORE_BAND);
    above.clamp(-SCORE_BANDS, SCORE_BANDS - 1) * SCORE_BAND
}

/// The lower end of a limit's band. A limit below 0, which is referred, is in the lowest.
fn limit_band(limit: Decimal) -> u32 {
    let reached = LIMIT_BANDS.iter().rev().find(|lower| limit >= Decimal::from(**lower));
    reached.copied().unwrap_or_default()
}

/// What a band of scores is called: `650 to 669`. The lowest and the highest band are open.
#[must_use]
pub fn score_band_label(lower: i32, minimum: CreditScore) -> String {
    let from = i64::from(minimum.value()) + i64::from(lower);
    let to = from + i64::from(SCORE_BAND) - 1;
    if lower <= -SCORE_BANDS * SCORE_BAND {
        format!("{to} or less")
    } else if lower >= (SCORE_BANDS - 1) * SCORE_BAND {
        format!("{from} or more")
    } else {
        format!("{from} to {to}")
    }
}

/// The upper end of a band of limits, exclusive; `None` for the highest band.
#[must_use]
pub fn limit_band_end(lower: u32) -> Option<u32> {
    LIMIT_BANDS.into_iter().find(|next| *next > lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(score: i32, outcome: Outcome, driver: Option<&str>) -> Evaluation<'_> {
        let approved = outcome == Outcome::Approved;
        Evaluation {
            customer_id: "a",
            current_score: Some(640),
            current_limit: Some(Decimal::from(4_999)),
            unreadable: None,
            annual_income: None,
            new_score: (outcome != Outcome::Referred).then(|| CreditScore::new(score)),
            outcome,
            new_limit: approved.then(|| Decimal::from(7_000)),
            reason: "",
            driver,
        }
    }

    #[test]
    fn a_band_ends_at_the_minimum_score() {
        let minimum = CreditScore::new(650);
        let cases = [
            (650, 0, "650 to 669"),
            (649, -20, "630 to 649"),
            (669, 0, "650 to 669"),
            (i32::MIN, -200, "469 or less"),
            (i32::MAX, 180, "830 or more"),
        ];
        for (score, band, label) in cases {
            assert_eq!(score_band(CreditScore::new(score), minimum), band, "{score}");
            assert_eq!(score_band_label(band, minimum), label);
        }
    }

    #[test]
    fn a_limit_is_in_the_band_that_begins_at_it() {
        for (limit, band) in [("-1", 0), ("0", 0), ("4999.99", 2_000), ("5000", 5_000)] {
            let limit: Decimal = limit.parse().unwrap_or_default();
            assert_eq!(limit_band(limit), band, "{limit}");
        }

        assert_eq!(limit_band_end(5_000), Some(10_000));
        assert_eq!(limit_band_end(100_000_000), None);
    }

    #[test]
    fn what_is_counted_adds_up() {
        let minimum = CreditScore::new(650);
        let mut shard = Outcomes::default();
        shard.count(&evaluation(700, Outcome::Approved, None), false, minimum);
        shard.count(&evaluation(700, Outcome::Approved, None), true, minimum);
        shard.count(&evaluation(640, Outcome::Declined, Some("age")), false, minimum);
        shard.count(&evaluation(640, Outcome::Declined, None), false, minimum);
        shard.count(&evaluation(640, Outcome::Declined, Some("age")), true, minimum);
        shard.count(&evaluation(690, Outcome::Declined, Some("age")), false, minimum);
        shard.count(&evaluation(0, Outcome::Referred, None), false, minimum);

        let mut run = Outcomes::default();
        run.add(&shard);
        run.add(&shard);
        let all = Counts { approved: 2, declined: 6, referred: 2, stale: 4 };
        assert_eq!(run.limit_bands[&2_000].counts, all);
        assert_eq!(run.limit_bands[&2_000].increase, Decimal::from(2 * 2_001));
        assert_eq!(run.without_score.counts, Counts { referred: 2, ..Counts::default() });
        let top = Counts { approved: 2, stale: 2, ..Counts::default() };
        assert_eq!(run.score_bands[&40].counts, Counts { declined: 2, ..top });
        assert_eq!(run.declines.inputs["age"], 2);
        assert_eq!((run.declines.no_single_input, run.declines.no_higher_limit), (2, 2));
        assert_eq!(run.declines.total(), all.declined);
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let mut declines = Declines::default();
        for input in 0..=MAX_DRIVERS {
            declines.count_input(&format!("x{input}"), 1);
        }

        assert_eq!((declines.inputs.len(), declines.no_single_input), (MAX_DRIVERS, 1));
        assert_eq!(declines.total(), MAX_DRIVERS as u64 + 1);
    }
}
