//! The rule that decided, in words.

use limit_increase_domain::{AppliedRule, Policy, Rule};
use limit_increase_workflow::rows::Evaluation;
use rust_decimal::Decimal;

/// The rule with the numbers that it compared. `evaluation` is the decision that it led to.
#[must_use]
pub fn rule_text(policy: &Policy, applied: &AppliedRule, evaluation: &Evaluation<'_>) -> String {
    let score = evaluation.new_score.map_or_else(|| "no score".to_owned(), |one| one.to_string());
    let growth = growth(policy, applied);
    let rounded = format!("rounded down to a multiple of {}", policy.round_down_to);
    match applied.rule {
        Rule::CurrentLimit => {
            "the current score or limit could not be read, so a person decides".to_owned()
        }
        Rule::Score => "the model gave no score, so a person decides".to_owned(),
        Rule::MinimumScore => {
            format!("minimum_score: {score} is below {}", policy.minimum_score)
        }
        Rule::Income => {
            let column = policy.affordability.as_ref().map(|rule| rule.income_column.as_str());
            format!(
                "affordability: {} is missing or negative, so a person decides",
                column.unwrap_or("the income")
            )
        }
        Rule::MaximumLimit => {
            format!("maximum_limit: {growth}, and no limit is above {}", policy.maximum_limit)
        }
        Rule::IncomeShare => {
            let share = policy.affordability.as_ref().map(|rule| rule.maximum_share);
            let income = evaluation.annual_income.unwrap_or_default();
            format!(
                "affordability: {growth}, and no limit is above {} of the income of {income}",
                per_cent(share.unwrap_or_default())
            )
        }
        Rule::Growth if evaluation.new_limit.is_some() => format!("{growth}, {rounded}"),
        Rule::Growth => format!("{growth}, which is no more, {rounded}"),
    }
}

/// The tier, and what it makes of the limit.
fn growth(policy: &Policy, applied: &AppliedRule) -> String {
    let Some((number, tier)) = applied.tier.and_then(|at| Some((at, policy.tiers.get(at)?))) else {
        return "no tier".to_owned();
    };

    let band = match tier.limit_below {
        Some(bound) => format!("limits below {bound}"),
        None => "all larger limits".to_owned(),
    };
    let grown = applied.grown_limit.unwrap_or_default().round_dp(2);
    format!("tier {} ({band}) grows by {} to {grown:.2}", number + 1, per_cent(tier.growth))
}

fn per_cent(share: Decimal) -> String {
    format!("{} %", (share * Decimal::ONE_HUNDRED).normalize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use limit_increase_domain::decision::{Scoring, decide};
    use limit_increase_domain::policy::Affordability;
    use limit_increase_domain::{CreditScore, applied_rule};

    use super::*;

    fn text(policy: &Policy, limit: &str, income: Option<&str>, score: Option<i32>) -> String {
        let current_limit: Decimal = limit.parse().unwrap();
        let annual_income = income.map(|income| income.parse().unwrap());
        let new_score = score.map(CreditScore::new);
        let scoring = match new_score {
            Some(score) => Scoring::Scored { score, reasons: &[] },
            None => Scoring::NotScored { reason: "x" },
        };
        let decision = decide(policy, current_limit, annual_income, scoring);
        let evaluation = Evaluation {
            driver: None,
            customer_id: "a",
            current_score: Some(640),
            current_limit: Some(current_limit),
            unreadable: None,
            annual_income,
            new_score,
            outcome: decision.outcome,
            new_limit: decision.new_limit.map(|limit| limit.amount()),
            reason: &decision.reason,
        };
        let applied = applied_rule(policy, Some(current_limit), annual_income, new_score);
        rule_text(policy, &applied, &evaluation)
    }

    #[test]
    fn each_rule_tells_the_numbers_that_it_compared() {
        let plain = Policy::default();
        let affordability = Some(Affordability {
            income_column: "income".to_owned(),
            maximum_share: Decimal::new(25, 2),
        });
        let capped = Policy { affordability, ..Policy::default() };
        let cases = [
            (&plain, "4000", None, Some(640), "minimum_score: 640 is below 650"),
            (&plain, "4000", None, None, "the model gave no score, so a person decides"),
            (
                &plain,
                "3333.33",
                None,
                Some(650),
                "tier 1 (limits below 5000.00) grows by 50 % to 5000.00, rounded down to a multiple \
                 of 1.00",
            ),
            (
                &plain,
                "1.00",
                None,
                Some(650),
                "tier 1 (limits below 5000.00) grows by 50 % to 1.50, which is no more, rounded \
                 down to a multiple of 1.00",
            ),
            (
                &plain,
                "18000",
                None,
                Some(650),
                "maximum_limit: tier 2 (all larger limits) grows by 25 % to 22500.00, and no limit \
                 is above 20000.00",
            ),
            (
                &capped,
                "4000",
                Some("20000"),
                Some(650),
                "affordability: tier 1 (limits below 5000.00) grows by 50 % to 6000.00, and no \
                 limit is above 25 % of the income of 20000",
            ),
            (
                &capped,
                "4000",
                None,
                Some(650),
                "affordability: income is missing or negative, so a person decides",
            ),
        ];
        for (policy, limit, income, score, expected) in cases {
            assert_eq!(text(policy, limit, income, score), expected);
        }
    }
}
