//! What a policy would do with customers like the held-out rows of a training.
//!
//! The trainer writes the score of each held-out row. Here each row is decided by the same function
//! that decides customers at night, so there is one implementation of the policy.

use std::path::Path;

use anyhow::{Context as _, Result};
use limit_increase_domain::{CreditScore, Outcome, Policy, Scoring, decide};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Serialize;

use crate::customers::training_rows::{self, Money, Wanted};

/// Where a policy gives no tier's customers a known limit, it is stated for so many of them.
const CUSTOMERS_PER_TIER: u32 = 1_000;
/// Below this share of approvals, or above the rest, the model and the policy do not fit together.
const SMALL_SHARE: f64 = 0.05;

/// The table of the training, and which of its columns hold money.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    /// The file.
    pub path: &'a Path,
    /// The trainer's report, which says how the table was read.
    pub report: &'a serde_json::Value,
    /// The column of the current limit, if the table has one.
    pub limit_column: Option<&'a str>,
}

/// What a policy would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Where the policy comes from.
    pub policy: String,
    /// The SHA-256 of the policy.
    pub policy_sha256: String,
    /// The policy's cut-off.
    pub minimum_score: CreditScore,
    /// The share of the held-out rows with this score or a higher one.
    pub share_at_or_above: f64,
    /// The column of the limits; without one, each tier has a limit that is assumed.
    pub limit_column: Option<String>,
    /// All customers together; only with a column of limits.
    pub total: Option<Counted>,
    /// The customers by the policy's tiers. A tier in which nobody is eligible is left out.
    pub tiers: Vec<TierForecast>,
    /// Rows whose limit is not below the policy's bound, so that no run takes them.
    pub not_eligible: u64,
    /// Rows that the forecast leaves out, because their limit is missing or is not an amount.
    pub without_limit: u64,
    /// What a person should know of the forecast.
    pub notices: Vec<String>,
    /// Nobody or everybody, or almost so, would be approved.
    pub warning: Option<String>,
}

/// The customers of one tier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TierForecast {
    /// The lowest limit of the tier.
    pub limit_from: Decimal,
    /// The tier's upper bound, exclusive; `null` for the last one.
    pub limit_below: Option<Decimal>,
    /// The current limit that is assumed for everybody, without a column of limits.
    pub assumed_limit: Option<Decimal>,
    /// What becomes of them.
    #[serde(flatten)]
    pub counted: Counted,
}

/// Decided customers and their money. With a population's bad rate these are expected numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Decided customers.
    pub customers: u64,
    /// Those whose limit rises.
    pub approved: u64,
    /// Those whose limit stays.
    pub declined: u64,
    /// Those whom a person has to decide.
    pub referred: u64,
    /// By how much all limits rise together.
    pub raised: Decimal,
}

/// A held-out row as the trainer writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HeldOut {
    row: u64,
    /// `None` when the model cannot score the row.
    score: Option<CreditScore>,
    weight: Decimal,
}

/// Sums of weights, exact.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    customers: Decimal,
    approved: Decimal,
    referred: Decimal,
    raised: Decimal,
}

/// Decides the held-out rows by a policy. `scored` is the file that the trainer wrote.
///
/// # Errors
/// When a file cannot be read, when the table lacks the column of limits, or when the table is not
/// the one that the rows come from.
pub fn forecast(
    policy: &Policy,
    origin: String,
    scored: &Path,
    table: &Table<'_>,
) -> Result<Forecast> {
    let rows = read_scored(scored)?;
    let (policy_sha256, mut notices) = (policy.sha256(), Vec::new());
    let money = read_money(policy, &rows, table)?;
    let mut policy = policy.clone();
    if let (Some(cap), false) = (&policy.affordability, money.has_income) {
        notices.push(format!(
            "the policy caps limits by {:?}, a column that the training table does not have; the \
             forecast leaves the cap out, so it is too high",
            cap.income_column
        ));
        policy.affordability = None;
    }

    let mut forecast = Forecast {
        policy: origin,
        policy_sha256,
        minimum_score: policy.minimum_score,
        share_at_or_above: share_at_or_above(&rows, policy.minimum_score),
        limit_column: table.limit_column.map(str::to_owned),
        total: None,
        tiers: Vec::new(),
        not_eligible: 0,
        without_limit: 0,
        notices,
        warning: None,
    };
    match table.limit_column {
        Some(_) => forecast.by_limits(&policy, &rows, &money.rows),
        None => forecast.by_assumed_limits(&policy, &rows, &money.rows),
    }

    forecast.warning = forecast.warning(table.report);
    Ok(forecast)
}

impl Forecast {
    /// Decides each row with its own limit.
    fn by_limits(&mut self, policy: &Policy, rows: &[HeldOut], money: &[Money]) {
        let mut tiers = vec![Sums::default(); policy.tiers.len()];
        let (mut not_eligible, mut without_limit) = (Decimal::ZERO, 0);
        for (row, money) in rows.iter().zip(money) {
            let Some(limit) = money.limit else {
                without_limit += 1;
                continue;
            };

            if limit >= policy.eligibility.current_limit_below {
                not_eligible += row.weight;
                continue;
            }

            let holds = |below: Option<Decimal>| below.is_none_or(|below| limit < below);
            if let Some(at) = policy.tiers.iter().position(|tier| holds(tier.limit_below)) {
                tiers[at].add(policy, row, limit, money.income);
            }
        }

        let mut total = Sums::default();
        for ((from, below, _), sums) in bands(policy).into_iter().zip(tiers) {
            total.add_all(&sums);
            if !sums.customers.is_zero() {
                let counted = sums.counted(Decimal::ONE);
                self.tiers.push(TierForecast {
                    limit_from: from,
                    limit_below: below,
                    assumed_limit: None,
                    counted,
                });
            }
        }

        self.total = Some(total.counted(Decimal::ONE));
        self.not_eligible = whole(not_eligible);
        self.without_limit = without_limit;
    }

    /// Decides all rows for each tier, as if their limit were in the middle of it.
    fn by_assumed_limits(&mut self, policy: &Policy, rows: &[HeldOut], money: &[Money]) {
        for (from, below, middle) in bands(policy) {
            let Some(limit) = middle else { continue };
            let mut sums = Sums::default();
            for (at, row) in rows.iter().enumerate() {
                let income = money.get(at).and_then(|money| money.income);
                sums.add(policy, row, limit, income);
            }

            let counted = sums.counted(Decimal::from(CUSTOMERS_PER_TIER) / sums.customers);
            self.tiers.push(TierForecast {
                limit_from: from,
                limit_below: below,
                assumed_limit: Some(limit),
                counted,
            });
        }
    }

    /// Says that (almost) nobody or (almost) everybody would be approved.
    fn warning(&self, report: &serde_json::Value) -> Option<String> {
        let sum = |count: fn(&Counted) -> u64| -> u64 {
            self.tiers.iter().map(|tier| count(&tier.counted)).sum()
        };
        let (customers, approved) = (sum(|of| of.customers), sum(|of| of.approved));
        if customers == 0 {
            return Some(
                "no held-out row is eligible by the policy, so nothing can be forecast: look at \
                 its eligibility"
                    .to_owned(),
            );
        }

        let share = approved as f64 / customers as f64;
        let who = match share {
            _ if approved == 0 => "nobody",
            _ if approved == customers => "everybody",
            share if share < SMALL_SHARE => "almost nobody",
            share if share > 1.0 - SMALL_SHARE => "almost everybody",
            _ => return None,
        };

        let scores = &report["scores"];
        Some(format!(
            "{who} would be approved ({:.1} %). The scores go from {} to {}, and the policy's \
             cut-off is {}: look at its minimum score and its tiers, at the scorecard (--pdo, \
             --target-score, --target-odds), and whether the table has the bad rate of your \
             customers (--population-bad-rate)",
            100.0 * share,
            scores["lowest"],
            scores["highest"],
            self.minimum_score
        ))
    }
}

impl Sums {
    fn add(&mut self, policy: &Policy, row: &HeldOut, limit: Decimal, income: Option<Decimal>) {
        let scoring = row.score.map_or(Scoring::NotScored { reason: "it has no score" }, |score| {
            Scoring::Scored { score, reasons: &[] }
        });
        let decision = decide(policy, limit, income, scoring);
        self.customers += row.weight;
        match decision.outcome {
            Outcome::Approved => self.approved += row.weight,
            Outcome::Referred => self.referred += row.weight,
            Outcome::Declined => {}
        }

        if let Some(new_limit) = decision.new_limit {
            self.raised += (new_limit.amount() - limit) * row.weight;
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.customers += other.customers;
        self.approved += other.approved;
        self.referred += other.referred;
        self.raised += other.raised;
    }

    fn counted(&self, factor: Decimal) -> Counted {
        let customers = whole(self.customers * factor);
        let approved = whole(self.approved * factor).min(customers);
        let referred = whole(self.referred * factor).min(customers - approved);
        Counted {
            customers,
            approved,
            declined: customers - approved - referred,
            referred,
            raised: (self.raised * factor).round_dp(2),
        }
    }
}

/// The lower and the upper bound of each tier, and the middle of what is eligible in it, if
/// somebody is.
fn bands(policy: &Policy) -> Vec<(Decimal, Option<Decimal>, Option<Decimal>)> {
    let eligible = policy.eligibility.current_limit_below;
    let mut from = Decimal::ZERO;
    let mut bands = Vec::with_capacity(policy.tiers.len());
    for tier in &policy.tiers {
        let top = tier.limit_below.map_or(eligible, |below| below.min(eligible));
        let middle = (from < top).then(|| ((from + top) / Decimal::TWO).trunc_with_scale(2));
        bands.push((from, tier.limit_below, middle));
        from = tier.limit_below.unwrap_or(from);
    }

    bands
}

fn share_at_or_above(rows: &[HeldOut], minimum: CreditScore) -> f64 {
    let weigh = |at_least: fn(CreditScore, CreditScore) -> bool| -> Decimal {
        let scored = rows.iter().filter(|row| row.score.is_some_and(|own| at_least(own, minimum)));
        scored.map(|row| row.weight).sum()
    };

    let all = weigh(|_, _| true);
    let share = weigh(|own, minimum| own >= minimum).checked_div(all).unwrap_or_default();
    share.to_f64().unwrap_or_default()
}

fn whole(number: Decimal) -> u64 {
    number.round().to_u64().unwrap_or_default()
}

/// Reads the limits and the incomes of the rows, as far as the policy and the options need them.
fn read_money(
    policy: &Policy,
    rows: &[HeldOut],
    table: &Table<'_>,
) -> Result<training_rows::MoneyOfRows> {
    let income = policy.affordability.as_ref().map(|cap| cap.income_column.as_str());
    if table.limit_column.is_none() && income.is_none() {
        return Ok(training_rows::MoneyOfRows::default());
    }

    let known = &table.report["table"];
    let wanted = Wanted {
        limit_column: table.limit_column,
        income_column: income,
        skipped_lines: known["skip_lines"].as_u64().unwrap_or_default(),
        table_rows: known["rows"].as_u64().unwrap_or_default(),
    };
    training_rows::read_money(table.path, &wanted, rows.iter().map(|row| row.row))
}

/// Reads the trainer's file: the number of each held-out row, its score, and its weight.
fn read_scored(path: &Path) -> Result<Vec<HeldOut>> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("cannot read the scores of the held-out rows {}", path.display())
    })?;
    let row = |line: &str| -> Option<HeldOut> {
        let mut fields = line.split(',');
        let row = fields.next()?.parse().ok()?;
        let score = match fields.next()? {
            "" => None,
            points => Some(CreditScore::new(points.parse().ok()?)),
        };
        Some(HeldOut { row, score, weight: fields.next()?.parse().ok()? })
    };

    let rows: Option<Vec<HeldOut>> = text.lines().skip(1).map(row).collect();
    rows.with_context(|| format!("{} is not what train.py writes", path.display()))
}

#[cfg(test)]
mod tests;
