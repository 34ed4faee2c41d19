//! The decision: a pure function of the policy, the new score and the current limit.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::customer::{CreditLimit, CreditScore};
use crate::policy::Policy;

mod rule;

pub use rule::{AppliedRule, Rule, applied_rule};

/// The most reasons that a customer is given. The official commentary on Regulation B (12 CFR
/// 1002.9) says that more than four reasons are unlikely to help an applicant.
pub const MAX_REASONS: usize = 4;

/// How a customer's case ended; the text stored in `limit_increase_decision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// The limit goes up to `new_limit`.
    Approved,
    /// The limit stays.
    Declined,
    /// The customer could not be scored; a person has to look.
    Referred,
}

impl Outcome {
    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::Declined => "DECLINED",
            Self::Referred => "REFERRED",
        }
    }

    /// The outcome that a stored text names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Approved, Self::Declined, Self::Referred]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A decision and the sentence that explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Approved, declined or referred.
    pub outcome: Outcome,
    /// The raised limit; only for an approval.
    pub new_limit: Option<CreditLimit>,
    /// One sentence, or more, for `decision_reason`.
    pub reason: String,
}

/// What is known of a customer when the policy is applied.
#[derive(Debug, Clone, Copy)]
pub enum Scoring<'a> {
    /// The model gave a score.
    Scored {
        /// The new score.
        score: CreditScore,
        /// Adverse-action reasons, worst first, at most [`MAX_REASONS`].
        reasons: &'a [&'a str],
    },
    /// The model could not score the customer.
    NotScored {
        /// The reason, without a full stop.
        reason: &'a str,
    },
}

/// Decides one customer.
///
/// `current_limit` is the amount as stored. A negative or otherwise impossible limit is referred;
/// it is not an error, so that one bad row never stops the others (promise 9). `annual_income` is
/// used only under an affordability cap.
///
/// The new limit is `min(current * (1 + growth), maximum_limit, income * share)`, rounded down to a
/// multiple of `round_down_to`. It is approved only if it is above the current limit.
#[must_use]
pub fn decide(
    policy: &Policy,
    current_limit: Decimal,
    annual_income: Option<Decimal>,
    scoring: Scoring<'_>,
) -> Decision {
    let Ok(current) = CreditLimit::try_from(current_limit) else {
        return refer(&format!("the current limit {current_limit} is not a valid amount"));
    };

    let (score, reasons) = match scoring {
        Scoring::Scored { score, reasons } => (score, reasons),
        Scoring::NotScored { reason } => return refer(reason),
    };

    let minimum = policy.minimum_score;
    if score < minimum {
        let mut reason = format!("Score {score} is below the minimum of {minimum}.");
        append_reasons(&mut reason, reasons);
        return Decision { outcome: Outcome::Declined, new_limit: None, reason };
    }

    let cap = match affordable(policy, annual_income) {
        Ok(cap) => cap,
        Err(reason) => return refer(reason),
    };

    match raised_limit(policy, current, cap) {
        Some(new_limit) => Decision {
            outcome: Outcome::Approved,
            new_limit: Some(new_limit),
            reason: format!(
                "Score {score} meets the minimum of {minimum}; limit raised from {current} to {new_limit}{}.",
                binding_cap(policy, current, new_limit, cap)
            ),
        },
        None => Decision {
            outcome: Outcome::Declined,
            new_limit: None,
            reason: format!(
                "Score {score} meets the minimum of {minimum}, but the policy allows no limit above the current {current}{}.",
                binding_cap(policy, current, current, cap)
            ),
        },
    }
}

/// Refers a customer whom a person has to decide, with the reason, without a full stop.
#[must_use]
pub fn refer(reason: &str) -> Decision {
    Decision {
        outcome: Outcome::Referred,
        new_limit: None,
        reason: format!("Cannot be decided automatically: {reason}."),
    }
}

fn append_reasons(text: &mut String, reasons: &[&str]) {
    if let Some((first, rest)) = reasons.split_first() {
        text.push_str(" Main reasons: ");
        text.push_str(first);
        for reason in rest {
            text.push_str("; ");
            text.push_str(reason);
        }

        text.push('.');
    }
}

/// The largest limit that the income carries; `None` when the policy has no affordability cap.
fn affordable(
    policy: &Policy,
    annual_income: Option<Decimal>,
) -> Result<Option<Decimal>, &'static str> {
    let Some(rule) = &policy.affordability else { return Ok(None) };
    let income = annual_income
        .ok_or("the annual income is missing, and the policy caps limits by income")?;
    if income.is_sign_negative() {
        return Err("the annual income is negative, and the policy caps limits by income");
    }

    // A product that overflows the 96 bits of a `Decimal` is above every limit, so it caps nothing.
    Ok(Some(income.checked_mul(rule.maximum_share).unwrap_or(Decimal::MAX)))
}

/// The current limit and its growth, before every cap.
fn grown_amount(policy: &Policy, current: CreditLimit) -> Decimal {
    current.amount() * (Decimal::ONE + policy.growth_for(current))
}

fn raised_limit(
    policy: &Policy,
    current: CreditLimit,
    cap: Option<Decimal>,
) -> Option<CreditLimit> {
    let capped =
        grown_amount(policy, current).min(policy.maximum_limit).min(cap.unwrap_or(Decimal::MAX));
    let rounded = capped - capped % policy.round_down_to;
    CreditLimit::try_from(rounded).ok().filter(|limit| *limit > current)
}

/// Names the cap that kept the new limit below plain growth, for the reason text.
fn binding_cap(
    policy: &Policy,
    current: CreditLimit,
    new_limit: CreditLimit,
    cap: Option<Decimal>,
) -> String {
    let grown = grown_amount(policy, current);
    let lowest = policy.maximum_limit.min(cap.unwrap_or(Decimal::MAX));
    if grown <= lowest || new_limit.amount() > lowest {
        String::new()
    } else if lowest == policy.maximum_limit {
        format!(" (capped at the maximum of {})", policy.maximum_limit)
    } else {
        format!(" (capped at {} by income)", lowest.trunc_with_scale(2))
    }
}

#[cfg(test)]
mod tests;
