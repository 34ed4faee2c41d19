//! What the deployment allows a run to decide by, whatever the bucket holds and the request asks.

use limit_increase_domain::{Ceilings, Policy};
use limit_increase_runtime::environment;
use limit_increase_workflow::{Failure, FailureKind};

/// The deployment's own word on models and policies.
#[derive(Debug, Default)]
pub(crate) struct Allowed {
    /// Whether the request of a live run may carry its own policy. A dry run always may.
    request_policy: bool,
    ceilings: Ceilings,
    /// The only model that runs may use; `None` for any.
    model_sha256: Option<String>,
    /// The only policy that runs may use; `None` for any.
    policy_sha256: Option<String>,
}

impl Allowed {
    /// What the function's environment says.
    ///
    /// # Errors
    /// `Permanent.Configuration` when a ceiling is no number.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        Ok(Self {
            request_policy: environment::optional("ALLOW_REQUEST_POLICY").as_deref()
                == Some("true"),
            ceilings: environment::ceilings()?,
            model_sha256: environment::optional("APPROVED_MODEL_SHA256"),
            policy_sha256: environment::optional("APPROVED_POLICY_SHA256"),
        })
    }

    /// Checks the model of a run.
    ///
    /// # Errors
    /// `Permanent.ModelNotApproved`.
    pub(crate) fn check_model(&self, sha256: &str) -> Result<(), Failure> {
        approved(self.model_sha256.as_deref(), sha256).map_err(|message| {
            Failure::new(FailureKind::ModelNotApproved, format!("the model {message}"))
        })
    }

    /// Checks the policy of a run. `live_request` says that it comes from the request of a live
    /// run.
    ///
    /// # Errors
    /// `Permanent.PolicyNotAllowed` or `Permanent.PolicyNotApproved`.
    pub(crate) fn check_policy(&self, policy: &Policy, live_request: bool) -> Result<(), Failure> {
        let refused = |message: String| Failure::new(FailureKind::PolicyNotAllowed, message);
        if live_request && !self.request_policy {
            return Err(refused(
                "policy: this deployment takes a policy from a request only for a dry run; upload \
                 the policy, or deploy with AllowRequestPolicy=true"
                    .to_owned(),
            ));
        }

        self.ceilings.check(policy).map_err(|error| refused(error.to_string()))?;
        approved(self.policy_sha256.as_deref(), &policy.sha256()).map_err(|message| {
            Failure::new(FailureKind::PolicyNotApproved, format!("the policy {message}"))
        })
    }
}

/// Compares a hash with the approved one. Case does not matter, because people copy hashes.
fn approved(approved: Option<&str>, found: &str) -> Result<(), String> {
    match approved {
        Some(approved) if !approved.eq_ignore_ascii_case(found) => {
            Err(format!("has sha256 {found}, and this deployment approves of {approved}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_policy_of_a_live_request_needs_permission() {
        let policy = Policy::default();
        let strict = Allowed::default();
        assert_eq!(strict.check_policy(&policy, false), Ok(()));
        let failure = strict.check_policy(&policy, true).unwrap_err();
        assert_eq!(failure.kind, FailureKind::PolicyNotAllowed);

        let open = Allowed { request_policy: true, ..Allowed::default() };
        assert_eq!(open.check_policy(&policy, true), Ok(()));
    }

    #[test]
    fn no_policy_exceeds_a_ceiling_wherever_it_comes_from() {
        let ceilings = Ceilings::parse(Some("19999"), None).unwrap();
        let allowed = Allowed { request_policy: true, ceilings, ..Allowed::default() };
        for live_request in [false, true] {
            let failure = allowed.check_policy(&Policy::default(), live_request).unwrap_err();
            assert_eq!(failure.kind, FailureKind::PolicyNotAllowed);
            assert!(failure.message.contains("maximum_limit"), "{}", failure.message);
        }
    }

    #[test]
    fn only_the_approved_model_and_policy_pass() {
        let policy = Policy::default();
        let allowed = Allowed {
            model_sha256: Some("AB".to_owned()),
            policy_sha256: Some(policy.sha256()),
            ..Allowed::default()
        };
        assert_eq!(allowed.check_model("ab"), Ok(()));
        assert_eq!(allowed.check_policy(&policy, false), Ok(()));

        let failure = allowed.check_model("ac").unwrap_err();
        assert_eq!(failure.kind, FailureKind::ModelNotApproved);
        let other =
            Policy { minimum_score: limit_increase_domain::CreditScore::new(651), ..policy };
        let failure = allowed.check_policy(&other, false).unwrap_err();
        assert_eq!(failure.kind, FailureKind::PolicyNotApproved);
        assert_eq!(Allowed::default().check_model("ac"), Ok(()));
    }
}
