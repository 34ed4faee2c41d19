//! The ways in which a step fails, by the stable names that the state machine matches.

use std::fmt;

/// The name of a failure. `Transient.*` is retried by the state machine, `Permanent.*` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// PostgreSQL is away, restarting, out of connections, or gave up on a lock or a time-out.
    TransientDatabase,
    /// S3 is away, slow, throttling, or cut an answer short.
    TransientStorage,
    /// Secrets Manager is away or throttling.
    TransientSecrets,
    /// The request has an unknown field or a bad value; the message names it.
    InvalidRequest,
    /// The policy document is wrong; the message names the field.
    InvalidPolicy,
    /// The function's own environment is incomplete or wrong.
    Configuration,
    /// A table or column is missing or of the wrong type.
    DatabaseSchema,
    /// PostgreSQL refuses: credentials, permissions, TLS, a violated constraint.
    DatabaseRefused,
    /// S3 refuses: no such bucket, access denied.
    StorageRefused,
    /// No model artifact under the configured key.
    ModelMissing,
    /// The artifact is damaged, incomplete or not a model that can be scored.
    ModelInvalid,
    /// The artifact is no longer the one that this run was opened with.
    ModelChanged,
    /// The deployment approves of another model.
    ModelNotApproved,
    /// The deployment approves of another policy.
    PolicyNotApproved,
    /// The deployment does not allow this policy: it comes from the request of a live run, or it
    /// exceeds a ceiling.
    PolicyNotAllowed,
    /// The model does not know most values of a column of categories.
    UnknownCategories,
    /// A shard's object is missing, damaged, or not of the expected shape.
    HandoffInvalid,
    /// A shard's decisions are not those that the run's policy gives for its scores and limits.
    DecisionMismatch,
    /// The ledger contradicts the request: the run is closed, or was opened with other parameters.
    RunConflict,
    /// An invariant does not hold. This is a defect in the program.
    Internal,
}

impl FailureKind {
    /// Every kind, in the order of the runbook.
    pub const ALL: [Self; 20] = [
        Self::TransientDatabase,
        Self::TransientStorage,
        Self::TransientSecrets,
        Self::InvalidRequest,
        Self::InvalidPolicy,
        Self::Configuration,
        Self::DatabaseSchema,
        Self::DatabaseRefused,
        Self::StorageRefused,
        Self::ModelMissing,
        Self::ModelInvalid,
        Self::ModelChanged,
        Self::ModelNotApproved,
        Self::PolicyNotApproved,
        Self::PolicyNotAllowed,
        Self::UnknownCategories,
        Self::HandoffInvalid,
        Self::DecisionMismatch,
        Self::RunConflict,
        Self::Internal,
    ];

    /// The name as Step Functions sees it in `Error`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TransientDatabase => "Transient.Database",
            Self::TransientStorage => "Transient.Storage",
            Self::TransientSecrets => "Transient.Secrets",
            Self::InvalidRequest => "Permanent.InvalidRequest",
            Self::InvalidPolicy => "Permanent.InvalidPolicy",
            Self::Configuration => "Permanent.Configuration",
            Self::DatabaseSchema => "Permanent.DatabaseSchema",
            Self::DatabaseRefused => "Permanent.DatabaseRefused",
            Self::StorageRefused => "Permanent.StorageRefused",
            Self::ModelMissing => "Permanent.ModelMissing",
            Self::ModelInvalid => "Permanent.ModelInvalid",
            Self::ModelChanged => "Permanent.ModelChanged",
            Self::ModelNotApproved => "Permanent.ModelNotApproved",
            Self::PolicyNotApproved => "Permanent.PolicyNotApproved",
            Self::PolicyNotAllowed => "Permanent.PolicyNotAllowed",
            Self::UnknownCategories => "Permanent.UnknownCategories",
            Self::HandoffInvalid => "Permanent.HandoffInvalid",
            Self::DecisionMismatch => "Permanent.DecisionMismatch",
            Self::RunConflict => "Permanent.RunConflict",
            Self::Internal => "Permanent.Internal",
        }
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.name().starts_with("Transient.")
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failed step: its name, and a message that says what was wrong, where, and what to do next.
///
/// The message is shown to operators and stored in the ledger, so it never holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Failure {
    /// The stable name.
    pub kind: FailureKind,
    /// What was wrong, for the people who read it.
    pub message: String,
}

impl Failure {
    /// Makes a failure of a kind, with its message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state machine and the runbook match these texts.
    #[test]
    fn a_failure_is_shown_with_its_stable_name() {
        let cases = [
            (FailureKind::TransientDatabase, "Transient.Database", true),
            (FailureKind::TransientStorage, "Transient.Storage", true),
            (FailureKind::TransientSecrets, "Transient.Secrets", true),
            (FailureKind::InvalidRequest, "Permanent.InvalidRequest", false),
            (FailureKind::InvalidPolicy, "Permanent.InvalidPolicy", false),
            (FailureKind::Configuration, "Permanent.Configuration", false),
            (FailureKind::DatabaseSchema, "Permanent.DatabaseSchema", false),
            (FailureKind::DatabaseRefused, "Permanent.DatabaseRefused", false),
            (FailureKind::StorageRefused, "Permanent.StorageRefused", false),
            (FailureKind::ModelMissing, "Permanent.ModelMissing", false),
            (FailureKind::ModelInvalid, "Permanent.ModelInvalid", false),
            (FailureKind::ModelChanged, "Permanent.ModelChanged", false),
            (FailureKind::ModelNotApproved, "Permanent.ModelNotApproved", false),
            (FailureKind::PolicyNotApproved, "Permanent.PolicyNotApproved", false),
            (FailureKind::PolicyNotAllowed, "Permanent.PolicyNotAllowed", false),
            (FailureKind::UnknownCategories, "Permanent.UnknownCategories", false),
            (FailureKind::HandoffInvalid, "Permanent.HandoffInvalid", false),
            (FailureKind::DecisionMismatch, "Permanent.DecisionMismatch", false),
            (FailureKind::RunConflict, "Permanent.RunConflict", false),
            (FailureKind::Internal, "Permanent.Internal", false),
        ];

        assert_eq!(cases.map(|(kind, ..)| kind), FailureKind::ALL);
        for (kind, name, transient) in cases {
            assert_eq!(kind.name(), name);
            assert_eq!(kind.is_transient(), transient, "{name}");
            assert_eq!(Failure::new(kind, "why").to_string(), format!("{name}: why"));
        }
    }

    #[test]
    fn names_are_unique_and_say_whether_a_retry_helps() {
        let names: std::collections::BTreeSet<_> =
            FailureKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), FailureKind::ALL.len());
        for kind in FailureKind::ALL {
            assert_ne!(kind.is_transient(), kind.name().starts_with("Permanent."), "{kind}");
        }
    }
}
