//! Which rule of the policy a decision comes from, for whoever has to explain it.

use rust_decimal::Decimal;
use serde::Serialize;

use super::{Outcome, affordable, grown_amount, raised_limit};
use crate::customer::{CreditLimit, CreditScore};
use crate::policy::Policy;

/// The rule that settled a case. The rules are looked at in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The current limit is missing or is no valid amount, so a person decides.
    CurrentLimit,
    /// There is no score, so a person decides.
    Score,
    /// The score is below `minimum_score`: declined.
    MinimumScore,
    /// The policy caps limits by income, and the income is missing or negative: a person decides.
    Income,
    /// `maximum_limit` is below what the tier's growth gives. It caps the new limit, or leaves none.
    MaximumLimit,
    /// The share of the income is below what the tier's growth gives. It caps the new limit, or
    /// leaves none.
    IncomeShare,
    /// The tier's growth, in full. Where it does not reach the next multiple of `round_down_to`, the
    /// limit stays: declined.
    Growth,
}

/// A rule with what it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AppliedRule {
    /// The rule.
    pub rule: Rule,
    /// How it ended the case. [`decide`](crate::decide) gives the same.
    pub outcome: Outcome,
    /// The position of the tier in the policy, from 0, where the tier's growth counted.
    pub tier: Option<usize>,
    /// The current limit and the tier's growth, before every cap and before rounding.
    pub grown_limit: Option<Decimal>,
}

/// The rule that [`decide`](crate::decide) follows for a customer with this limit, income and score.
#[must_use]
pub fn applied_rule(
    policy: &Policy,
    current_limit: Option<Decimal>,
    annual_income: Option<Decimal>,
    score: Option<CreditScore>,
) -> AppliedRule {
    let before_growth =
        |rule, outcome| AppliedRule { rule, outcome, tier: None, grown_limit: None };
    let Some(current) = current_limit.and_then(|limit| CreditLimit::try_from(limit).ok()) else {
        return before_growth(Rule::CurrentLimit, Outcome::Referred);
    };

    let Some(score) = score else { return before_growth(Rule::Score, Outcome::Referred) };
    if score < policy.minimum_score {
        return before_growth(Rule::MinimumScore, Outcome::Declined);
    }

    let Ok(cap) = affordable(policy, annual_income) else {
        return before_growth(Rule::Income, Outcome::Referred);
    };

    let grown = grown_amount(policy, current);
    let rule = match cap {
        Some(cap) if cap < grown && cap < policy.maximum_limit => Rule::IncomeShare,
        _ if policy.maximum_limit < grown => Rule::MaximumLimit,
        _ => Rule::Growth,
    };
    let raised = raised_limit(policy, current, cap);
    let outcome = if raised.is_some() { Outcome::Approved } else { Outcome::Declined };
    AppliedRule { rule, outcome, tier: policy.tier_for(current), grown_limit: Some(grown) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::decision::{Scoring, decide};
    use crate::policy::{Affordability, Tier};

    fn rule(policy: &Policy, limit: &str, income: Option<i64>, score: i32) -> AppliedRule {
        let income = income.map(Decimal::from);
        applied_rule(policy, limit.parse().ok(), income, Some(CreditScore::new(score)))
    }

    fn with_income_cap() -> Policy {
        let affordability = Some(Affordability {
            income_column: "income".to_owned(),
            maximum_share: Decimal::new(5, 1),
        });
        Policy { affordability, ..Policy::default() }
    }

    #[test]
    fn each_rule_is_named_with_its_tier() {
        let (plain, capped) = (Policy::default(), with_income_cap());
        let cases = [
            (&plain, "-1", None, 700, Rule::CurrentLimit, Outcome::Referred, None),
            (&plain, "none", None, 700, Rule::CurrentLimit, Outcome::Referred, None),
            (&plain, "4000", None, 649, Rule::MinimumScore, Outcome::Declined, None),
            (&plain, "4000", None, 650, Rule::Growth, Outcome::Approved, Some(0)),
            (&plain, "5000", None, 650, Rule::Growth, Outcome::Approved, Some(1)),
            (&plain, "1.00", None, 650, Rule::Growth, Outcome::Declined, Some(0)),
            (&plain, "16000", None, 650, Rule::Growth, Outcome::Approved, Some(1)),
            (&plain, "16001", None, 650, Rule::MaximumLimit, Outcome::Approved, Some(1)),
            (&plain, "20000", None, 650, Rule::MaximumLimit, Outcome::Declined, Some(1)),
            (&capped, "4000", None, 650, Rule::Income, Outcome::Referred, None),
            (&capped, "4000", Some(-1), 650, Rule::Income, Outcome::Referred, None),
            (&capped, "4000", Some(10_000), 650, Rule::IncomeShare, Outcome::Approved, Some(0)),
            (&capped, "4000", Some(8_000), 650, Rule::IncomeShare, Outcome::Declined, Some(0)),
            (&capped, "4000", Some(12_000), 650, Rule::Growth, Outcome::Approved, Some(0)),
            (&capped, "18000", Some(90_000), 650, Rule::MaximumLimit, Outcome::Approved, Some(1)),
        ];

        for (policy, limit, income, score, expected, outcome, tier) in cases {
            let found = rule(policy, limit, income, score);
            assert_eq!(
                (found.rule, found.outcome, found.tier),
                (expected, outcome, tier),
                "{limit} {income:?} {score}"
            );
        }

        let unscored = applied_rule(&plain, Some(Decimal::from(4000)), None, None);
        assert_eq!((unscored.rule, unscored.outcome), (Rule::Score, Outcome::Referred));
        assert_eq!(rule(&plain, "4000", None, 650).grown_limit, Some(Decimal::from(6000)));
    }

    fn some_policy() -> impl Strategy<Value = Policy> {
        let amount = |most: i64| (1..=most).prop_map(|cents| Decimal::new(cents, 2));
        let growth = || (0_i64..=3_000_000).prop_map(|millionths| Decimal::new(millionths, 6));
        let share = (1_i64..=10_000_000).prop_map(|millionths| Decimal::new(millionths, 6));
        let tiers = (amount(900_000), growth(), growth());
        (tiers, amount(4_000_000), amount(100_000), proptest::option::of(share), 600..700).prop_map(
            |((bound, low, high), maximum_limit, round_down_to, share, minimum)| Policy {
                minimum_score: CreditScore::new(minimum),
                tiers: vec![
                    Tier { limit_below: Some(bound), growth: low },
                    Tier { limit_below: None, growth: high },
                ],
                maximum_limit,
                round_down_to,
                affordability: share.map(|maximum_share| Affordability {
                    income_column: "income".to_owned(),
                    maximum_share,
                }),
                ..Policy::default()
            },
        )
    }

    proptest! {
        /// The sentence of the decision is the rule's, so that nobody is told two reasons.
        #[test]
        fn the_rule_is_that_of_the_decision(
            policy in some_policy(),
            cents in -10_i64..5_000_000,
            income in proptest::option::of(-5_i64..9_000_000),
            score in proptest::option::of(590..710),
        ) {
            let limit = Decimal::new(cents, 2);
            let income = income.map(|cents| Decimal::new(cents, 2));
            let score = score.map(CreditScore::new);
            let scoring = match score {
                Some(score) => Scoring::Scored { score, reasons: &[] },
                None => Scoring::NotScored { reason: "no score" },
            };

            let decision = decide(&policy, limit, income, scoring);
            let found = applied_rule(&policy, Some(limit), income, score);
            prop_assert_eq!(found.outcome, decision.outcome);

            let says = |words: &str| decision.reason.contains(words);
            prop_assert_eq!(found.rule == Rule::CurrentLimit, says("not a valid amount"));
            prop_assert_eq!(found.rule == Rule::Score, says("no score"));
            prop_assert_eq!(found.rule == Rule::MinimumScore, says("is below the minimum"));
            prop_assert_eq!(found.rule == Rule::Income, says("annual income"));
            // A cap below the current limit is not named in the sentence.
            let says_cap = says("capped at the maximum") || says("by income");
            prop_assert!(!says("capped at the maximum") || found.rule == Rule::MaximumLimit);
            prop_assert!(!says("by income)") || found.rule == Rule::IncomeShare);
            if found.rule == Rule::Growth {
                prop_assert!(!says_cap);
            }
            if let Some(new_limit) = decision.new_limit {
                prop_assert!(Some(new_limit.amount()) <= found.grown_limit);
                let is_capped = matches!(found.rule, Rule::MaximumLimit | Rule::IncomeShare);
                prop_assert_eq!(is_capped, says_cap, "{}", decision.reason);
            }
        }
    }
}
