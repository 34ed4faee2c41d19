//! The database's URL: from the environment locally, from Secrets Manager on AWS.

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata};
use limit_increase_domain::{Failure, FailureKind};
use serde::Deserialize;

use crate::environment;

/// A database URL, password included. It never shows itself.
#[derive(Clone)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Takes a URL or a libpq connection string.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password; for the driver alone.
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

/// The fields that RDS writes into a secret that it manages or rotates.
#[derive(Deserialize)]
struct RdsSecret {
    username: String,
    password: String,
    host: Option<String>,
    port: Option<u16>,
    dbname: Option<String>,
}

/// The URL from `DATABASE_URL`, else from the secret named by `DATABASE_SECRET_ARN`.
///
/// The secret is a URL, or RDS's JSON (`username`, `password`, `host`, `port`, `dbname`); where the JSON has no host
/// or database, `DATABASE_HOST` and `DATABASE_NAME` give them.
///
/// # Errors
/// `Permanent.Configuration` when neither variable is set or the secret has no such shape, `Transient.Secrets` when
/// Secrets Manager can't be reached.
pub async fn database_url(config: &SdkConfig) -> Result<DatabaseUrl, Failure> {
    if let Some(url) = environment::optional("DATABASE_URL") {
        return Ok(DatabaseUrl(url));
    }
    let Some(arn) = environment::optional("DATABASE_SECRET_ARN") else {
        return Err(configuration(
            "neither DATABASE_URL nor DATABASE_SECRET_ARN is set; set one in the function's environment",
        ));
    };
    let client = aws_sdk_secretsmanager::Client::new(config);
    let answer = client.get_secret_value().secret_id(&arn).send().await.map_err(|error| {
        let refused = matches!(
            error.code(),
            Some(
                "AccessDeniedException"
                    | "ResourceNotFoundException"
                    | "DecryptionFailure"
                    | "InvalidParameterException"
            )
        );
        let kind = if refused { FailureKind::Configuration } else { FailureKind::TransientSecrets };
        Failure::new(kind, format!("secret {arn} cannot be read: {}", DisplayErrorContext(&error)))
    })?;
    from_secret(answer.secret_string().unwrap_or_default()).ok_or_else(|| {
        configuration(&format!(
            "secret {arn} is neither a postgresql:// URL nor RDS's JSON with username, password and host"
        ))
    })
}

fn configuration(message: &str) -> Failure {
    Failure::new(FailureKind::Configuration, message)
}

fn from_secret(secret: &str) -> Option<DatabaseUrl> {
    let secret = secret.trim();
    if secret.starts_with("postgres://") || secret.starts_with("postgresql://") {
        return Some(DatabaseUrl(secret.to_owned()));
    }
    let rds: RdsSecret = serde_json::from_str(secret).ok()?;
    let host = rds.host.or_else(|| environment::optional("DATABASE_HOST"))?;
    let name = rds.dbname.or_else(|| environment::optional("DATABASE_NAME")).unwrap_or_else(|| "postgres".to_owned());
    // libpq's key='value' form, which takes any password once quotes and backslashes are escaped.
    let quote = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    Some(DatabaseUrl(format!(
        "host={} port={} dbname={} user={} password={} sslmode=require",
        quote(&host),
        rds.port.unwrap_or(5432),
        quote(&name),
        quote(&rds.username),
        quote(&rds.password)
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_with_every_awkward_character_survives() {
        let secret =
            r#"{"username":"bank","password":"p'a\\s s@/:?#","host":"db.internal","port":5433,"dbname":"core"}"#;
        let url = from_secret(secret).unwrap();
        let config: tokio_postgres::Config = url.expose().parse().unwrap();
        assert_eq!(config.get_password(), Some(&br"p'a\s s@/:?#"[..]));
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!(config.get_dbname(), Some("core"));
    }

    #[test]
    fn a_url_never_shows_itself() {
        assert!(!format!("{:?}", DatabaseUrl::new("postgres://u:secret@h/d")).contains("secret"));
        assert!(from_secret("hunter2").is_none());
    }
}
