//! Whether the customers of a run can say what a policy would do.

use limit_increase_domain::Policy;

/// The run has not read what the policy decides by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{policy} caps limits by the income column {column:?}, which the run did not read")]
pub struct IncomeNotRead {
    /// The policy's name.
    pub policy: String,
    /// The column.
    pub column: String,
}

/// Checks that the run has read the income that a policy caps by. It has read that of its own
/// policy alone.
///
/// # Errors
/// [`IncomeNotRead`].
pub fn check_income(own: &Policy, name: &str, policy: &Policy) -> Result<(), IncomeNotRead> {
    let column =
        |policy: &Policy| policy.affordability.as_ref().map(|cap| cap.income_column.clone());
    match column(policy) {
        Some(wanted) if column(own).as_ref() != Some(&wanted) => {
            Err(IncomeNotRead { policy: name.to_owned(), column: wanted })
        }
        _ => Ok(()),
    }
}

/// Says that a policy would take customers whom the run did not take, so that the run cannot say
/// what would become of them.
#[must_use]
pub fn wider_eligibility(own: &Policy, name: &str, policy: &Policy) -> Option<String> {
    let (run, asked) = (&own.eligibility, &policy.eligibility);
    let mut wider = Vec::new();
    if asked.minimum_current_score < run.minimum_current_score {
        wider.push(format!(
            "current scores from {} to below {}",
            asked.minimum_current_score, run.minimum_current_score
        ));
    }

    if asked.current_limit_below > run.current_limit_below {
        wider.push(format!(
            "current limits from {} to below {}",
            run.current_limit_below, asked.current_limit_below
        ));
    }

    (!wider.is_empty()).then(|| {
        format!(
            "{name} would also take customers with {}, whom this run did not read; make a dry run \
             under {name} to see them",
            wider.join(", and with ")
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(json: &str) -> Policy {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_income_that_the_run_did_not_read_is_refused() {
        let capped = |column: &str| {
            policy(&format!(
                r#"{{"affordability": {{"income_column": "{column}", "maximum_share": "0.5"}}}}"#
            ))
        };
        let own = policy("{}");
        let error = check_income(&own, "b.json", &capped("income")).unwrap_err();
        assert!(error.to_string().starts_with("b.json caps limits by the income column"));
        assert!(check_income(&capped("salary"), "b.json", &capped("income")).is_err());
        assert_eq!(check_income(&capped("income"), "b.json", &capped("income")), Ok(()));
        assert_eq!(check_income(&capped("income"), "a.json", &own), Ok(()));
    }

    #[test]
    fn customers_whom_the_run_did_not_take_are_named() {
        let own = policy("{}");
        let wider = policy(
            r#"{"eligibility": {"minimum_current_score": 580, "current_limit_below": "12000"}}"#,
        );
        let notice = wider_eligibility(&own, "b.json", &wider).unwrap();
        assert!(notice.contains("current scores from 580 to below 600"), "{notice}");
        assert!(notice.contains("current limits from 10000.00 to below 12000"), "{notice}");
        assert_eq!(wider_eligibility(&wider, "a.json", &own), None);
    }
}
