//! Deciding again: the step that writes the limits trusts no file to say what they are.

use limit_increase_domain::decision::{Scoring, decide, refer};
use limit_increase_domain::{CreditLimit, Policy};
use limit_increase_runtime::environment;
use limit_increase_workflow::rows::Evaluation;
use limit_increase_workflow::{Failure, FailureKind};

/// Checks that the policy stays below the deployment's ceilings. The run was opened under them,
/// unless somebody else has opened it.
///
/// # Errors
/// `Permanent.PolicyNotAllowed`, or `Permanent.Configuration` when a ceiling is no number.
pub(crate) fn check_ceilings(policy: &Policy) -> Result<(), Failure> {
    environment::ceilings()?
        .check(policy)
        .map_err(|error| Failure::new(FailureKind::PolicyNotAllowed, error.to_string()))
}

/// Checks that each decision is the one that the policy gives for its score and limit (promise 2).
/// So whoever can write the file, hash included, still cannot set a limit that the policy does not
/// give.
///
/// # Errors
/// `Permanent.DecisionMismatch` with the first row that differs. It names no customer and no
/// amount, because the message goes to the log and to the ledger.
pub(crate) fn check_decisions(
    policy: &Policy,
    evaluations: &[Evaluation<'_>],
    place: &str,
) -> Result<(), Failure> {
    let Some(row) = evaluations.iter().position(|evaluation| !is_decided(policy, evaluation))
    else {
        return Ok(());
    };

    let message = format!(
        "{place}, row {row}: the decision is not the one that the run's policy gives for the score \
         and the limit; nothing of the shard was written"
    );

    Err(Failure::new(FailureKind::DecisionMismatch, message))
}

fn is_decided(policy: &Policy, evaluation: &Evaluation<'_>) -> bool {
    // The model's reasons end the text of some decisions, and they are not in the file.
    let scoring = match evaluation.new_score {
        Some(score) => Scoring::Scored { score, reasons: &[] },
        None => Scoring::NotScored { reason: "" },
    };

    let (decision, same_text) = match (evaluation.current_limit, evaluation.unreadable) {
        (Some(limit), None) => {
            let decision = decide(policy, limit, evaluation.annual_income, scoring);
            let same_text =
                evaluation.new_score.is_none() || evaluation.reason.starts_with(&decision.reason);
            (decision, same_text)
        }
        (_, Some(unreadable)) => {
            let decision = refer(unreadable);
            let same_text = evaluation.reason == decision.reason;
            (decision, same_text)
        }
        (None, None) => return false,
    };

    decision.outcome == evaluation.outcome
        && decision.new_limit.map(CreditLimit::amount) == evaluation.new_limit
        && same_text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use limit_increase_domain::policy::Affordability;
    use limit_increase_domain::{CreditScore, Outcome};
    use rust_decimal::Decimal;

    const APPROVAL: &str =
        "Score 700 meets the minimum of 650; limit raised from 4000.00 to 6000.00.";

    fn approved() -> Evaluation<'static> {
        Evaluation {
            customer_id: "a",
            current_score: Some(640),
            current_limit: Some(Decimal::new(400_000, 2)),
            unreadable: None,
            annual_income: None,
            new_score: Some(CreditScore::new(700)),
            outcome: Outcome::Approved,
            new_limit: Some(Decimal::new(600_000, 2)),
            reason: APPROVAL,
            driver: None,
        }
    }

    fn check(policy: &Policy, evaluation: Evaluation<'static>) -> Result<(), Failure> {
        check_decisions(policy, &[approved(), evaluation], "s3://b/k")
    }

    #[test]
    fn what_the_policy_gives_is_accepted() {
        let declined = Evaluation {
            new_score: Some(CreditScore::new(649)),
            outcome: Outcome::Declined,
            new_limit: None,
            reason: "Score 649 is below the minimum of 650. Main reasons: Bureau score is low.",
            ..approved()
        };
        let referred = Evaluation {
            new_score: None,
            outcome: Outcome::Referred,
            new_limit: None,
            reason: "Cannot be decided automatically: no features.",
            ..approved()
        };

        for evaluation in [approved(), declined, referred] {
            assert_eq!(check(&Policy::default(), evaluation), Ok(()));
        }
    }

    #[test]
    fn what_the_policy_does_not_give_is_refused_without_a_customer_s_data() {
        let highest = Evaluation { new_limit: Some(Decimal::new(9_999_999_999, 2)), ..approved() };
        let one_cent_more = Evaluation { new_limit: Some(Decimal::new(600_001, 2)), ..approved() };
        let low_score = Evaluation { new_score: Some(CreditScore::new(649)), ..approved() };
        let without_score = Evaluation { new_score: None, ..approved() };
        let declined = Evaluation { outcome: Outcome::Declined, new_limit: None, ..approved() };
        let other_text = Evaluation { reason: "Because.", ..approved() };
        for forged in [highest, one_cent_more, low_score, without_score, declined, other_text] {
            let failure = check(&Policy::default(), forged.clone()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::DecisionMismatch, "{forged:?}");
            assert!(failure.message.starts_with("s3://b/k, row 1: "), "{}", failure.message);
            assert!(!failure.message.contains("700"), "{}", failure.message);
        }
    }

    #[test]
    fn a_customer_whose_limit_could_not_be_read_is_referred_with_that_reason() {
        let unreadable = Evaluation {
            current_limit: None,
            unreadable: Some("the current limit 4700.1234 is not a valid amount"),
            outcome: Outcome::Referred,
            new_limit: None,
            reason: "Cannot be decided automatically: the current limit 4700.1234 is not a valid \
                     amount.",
            ..approved()
        };
        assert_eq!(check(&Policy::default(), unreadable.clone()), Ok(()));

        let approved = Evaluation { unreadable: unreadable.unreadable, ..approved() };
        let without_reason = Evaluation { unreadable: None, ..unreadable.clone() };
        let other_reason = Evaluation { reason: "Because.", ..unreadable };
        for forged in [approved, without_reason, other_reason] {
            let failure = check(&Policy::default(), forged.clone()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::DecisionMismatch, "{forged:?}");
        }
    }

    #[test]
    fn the_income_counts_under_an_affordability_cap() {
        let affordability = Some(Affordability {
            income_column: "income".to_owned(),
            maximum_share: Decimal::new(5, 1),
        });
        let policy = Policy { affordability, ..Policy::default() };
        let rich = Evaluation { annual_income: Some(Decimal::new(9_000_000, 2)), ..approved() };
        assert_eq!(check_decisions(&policy, std::slice::from_ref(&rich), "s3://b/k"), Ok(()));

        let poor = Evaluation { annual_income: Some(Decimal::new(1_000_000, 2)), ..rich };
        for forged in [poor, approved()] {
            assert!(
                check_decisions(&policy, std::slice::from_ref(&forged), "s3://b/k").is_err(),
                "{forged:?}"
            );
        }
    }
}
