//! The database's URL: from the environment on a laptop, from Secrets Manager on AWS.
//!
//! A password is shown in no error, in no log, and not with `{:?}` (promise 11).

use std::fmt;

use crate::environment;
use crate::secret;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use limit_increase_workflow::{Failure, FailureKind};

/// A database URL with its password. Its `Debug` form hides both (promise 11).
///
/// ```
/// use limit_increase_database::DatabaseUrl;
///
/// let url = DatabaseUrl::new("postgresql://bank:hunter2@localhost/core");
/// assert_eq!(format!("{url:?}"), "DatabaseUrl(***)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Takes a URL, or libpq's `key=value` form. The text is not checked yet.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password. Only the driver may see it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(***)")
    }
}

/// Where the database's URL comes from.
#[derive(Debug, Clone)]
pub struct Credentials(CredentialSource);

#[derive(Debug, Clone)]
enum CredentialSource {
    /// `DATABASE_URL`.
    Fixed(DatabaseUrl),
    /// `DATABASE_SECRET_ARN`.
    Secret { client: aws_sdk_secretsmanager::Client, arn: String },
    /// Neither is set.
    Missing,
}

impl Credentials {
    /// The credentials that the environment names: `DATABASE_URL`, otherwise the secret of
    /// `DATABASE_SECRET_ARN`. The secret is not read yet.
    #[must_use]
    pub fn from_environment(config: &SdkConfig) -> Self {
        Self(
            match (
                environment::optional("DATABASE_URL"),
                environment::optional("DATABASE_SECRET_ARN"),
            ) {
                (Some(url), _) => CredentialSource::Fixed(DatabaseUrl(url)),
                (None, Some(arn)) => CredentialSource::Secret {
                    client: aws_sdk_secretsmanager::Client::new(config),
                    arn,
                },
                (None, None) => CredentialSource::Missing,
            },
        )
    }

    /// A URL that does not change.
    #[must_use]
    pub const fn fixed(url: DatabaseUrl) -> Self {
        Self(CredentialSource::Fixed(url))
    }

    /// The ARN of the secret, if the credentials are in one. Then reading them again may give
    /// others.
    #[must_use]
    pub(crate) fn secret(&self) -> Option<&str> {
        match &self.0 {
            CredentialSource::Secret { arn, .. } => Some(arn),
            CredentialSource::Fixed(_) | CredentialSource::Missing => None,
        }
    }

    /// The current URL.
    ///
    /// The secret is a URL, or the JSON of RDS: `username`, `password`, `host`, `port`, `dbname`.
    /// Where the JSON has no host or no database, `DATABASE_HOST` and `DATABASE_NAME` name them.
    /// `secret.rs` says what may be in it.
    ///
    /// # Errors
    /// `Permanent.Configuration` when neither variable is set, or when the secret is refused or has
    /// another shape; `Transient.Secrets` when Secrets Manager cannot be reached.
    pub(crate) async fn read(&self) -> Result<DatabaseUrl, Failure> {
        match &self.0 {
            CredentialSource::Fixed(url) => Ok(url.clone()),
            CredentialSource::Secret { client, arn } => read_secret(client, arn).await,
            CredentialSource::Missing => Err(configuration_failure(
                "neither DATABASE_URL nor DATABASE_SECRET_ARN is set; set one in the function's \
                 environment",
            )),
        }
    }
}

async fn read_secret(
    client: &aws_sdk_secretsmanager::Client,
    arn: &str,
) -> Result<DatabaseUrl, Failure> {
    let answer = client.get_secret_value().secret_id(arn).send().await.map_err(|error| {
        let refused = matches!(
            error.code(),
            Some(
                "AccessDeniedException"
                    | "ResourceNotFoundException"
                    | "DecryptionFailure"
                    | "InvalidParameterException"
                    | "InvalidRequestException"
            )
        );

        let kind = if refused { FailureKind::Configuration } else { FailureKind::TransientSecrets };
        Failure::new(kind, format!("secret {arn} cannot be read: {}", describe(&error)))
    })?;

    let elsewhere = secret::Elsewhere {
        host: environment::optional("DATABASE_HOST"),
        database: environment::optional("DATABASE_NAME"),
    };

    secret::url(answer.secret_string().unwrap_or_default(), elsewhere)
        .map_err(|problem| configuration_failure(&format!("secret {arn}: {problem}")))
}

/// What went wrong, without the answer of Secrets Manager. The SDK's own description shows the
/// answer, and an answer that cannot be read may hold the secret (promise 11).
fn describe<R: fmt::Debug>(error: &SdkError<GetSecretValueError, R>) -> String {
    if let Some(refusal) = error.as_service_error() {
        return [refusal.code(), refusal.message()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ");
    }

    if matches!(error, SdkError::ResponseError(_)) {
        return "the answer cannot be read".to_owned();
    }

    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }

    text
}

fn configuration_failure(message: &str) -> Failure {
    Failure::new(FailureKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_never_shows_itself() {
        assert!(!format!("{:?}", DatabaseUrl::new("postgres://u:secret@h/d")).contains("secret"));
    }

    #[test]
    fn credentials_never_show_themselves() {
        let credentials = Credentials::fixed(DatabaseUrl::new("postgres://u:hunter2@h/d"));
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_shown() {
        let answer = r#"{"SecretString": "hunter2" "#;
        let error: SdkError<GetSecretValueError, &str> =
            SdkError::response_error("no end of hunter2", answer);
        assert!(format!("{error:?}").contains("hunter2"), "the SDK shows what it got");
        assert!(!describe(&error).contains("hunter2"), "{}", describe(&error));
    }
}
