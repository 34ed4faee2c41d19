//! Connects to the database, and shows its address without the password.

use anyhow::{Context as _, Result};
use limit_increase_database as postgres;
use limit_increase_database::DatabaseUrl;
use limit_increase_workflow::FailureKind;
use tokio_postgres::Client;
use tokio_postgres::config::Host;

use crate::terminal::Problem;

/// Connects to the database at `url`.
pub async fn connect(url: &str) -> Result<Client> {
    Ok(postgres::connect(&DatabaseUrl::new(url)).await?)
}

/// Applies the migrations that the database lacks, and returns their names.
pub(crate) async fn migrate(client: &mut Client) -> Result<Vec<&'static str>> {
    postgres::migrate(client).await.map_err(|failure| {
        let problem = Problem::new(failure.to_string());
        // The message about a schema says itself what to do.
        if failure.kind == FailureKind::DatabaseSchema {
            return problem.into();
        }

        problem
            .next("check that the database's user may create tables, or use a database of its own")
            .into()
    })
}

/// The name and the version of the server, for example `PostgreSQL 18.4`.
pub async fn server_version(client: &Client) -> Result<String> {
    let row = client.query_one("SHOW server_version", &[]).await?;
    let version: String = row.get(0);
    Ok(format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default()))
}

/// The address with `***` in place of the password. An address that cannot be read is `***` as a
/// whole.
#[must_use]
pub fn masked(url: &str) -> String {
    let Ok(config) = postgres::driver_config(&DatabaseUrl::new(url)) else {
        return "***".to_owned();
    };

    let user = config.get_user().unwrap_or_default();
    let password = if config.get_password().is_some() { ":***" } else { "" };
    let host = match config.get_hosts().first() {
        // An @ in the host comes from a password that was not percent-encoded.
        Some(Host::Tcp(name)) if name.contains('@') => return "***".to_owned(),
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };

    let port = config.get_ports().first().copied().unwrap_or(5432);
    let at = if user.is_empty() && password.is_empty() { "" } else { "@" };
    format!(
        "postgresql://{user}{password}{at}{host}:{port}/{}",
        config.get_dbname().unwrap_or_default()
    )
}

/// The port in the address of a database, or PostgreSQL's default port.
pub fn port_of(url: &str) -> Result<u16> {
    let config = postgres::driver_config(&DatabaseUrl::new(url))
        .context("the database's address cannot be read")?;
    Ok(config.get_ports().first().copied().unwrap_or(5432))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let cases = [
            (
                "postgresql://ann:s%40cret@db:5433/bank?sslmode=require",
                "postgresql://ann:***@db:5433/bank",
            ),
            ("postgresql://127.0.0.1/postgres", "postgresql://127.0.0.1:5432/postgres"),
            ("host=db user=ann password=secret dbname=bank", "postgresql://ann:***@db:5432/bank"),
            ("no address at all: secret", "***"),
            ("postgresql://ann:s@cret@db/bank", "***"),
            (
                "postgresql://ann:secret@db/bank?sslmode=verify-full&sslrootcert=x",
                "postgresql://ann:***@db:5432/bank",
            ),
        ];

        for (url, shown) in cases {
            assert_eq!(masked(url), shown);
        }
    }
}
