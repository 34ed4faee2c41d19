//! The functions' roles of `docs/grants.sql`, with a login for each.

use anyhow::{Context as _, Result};
use limit_increase::local::Project;
use tokio_postgres::Client;

/// The login of a function, as a member of the role that `docs/grants.sql` makes for it.
#[must_use]
pub fn login(function: &str) -> Option<&'static str> {
    match function {
        "query-batch-scores" => Some("scores_query"),
        "update-database" => Some("scores_update"),
        _ => None,
    }
}

/// Gives the rights of `docs/grants.sql`, and makes the logins. The tables must be there.
///
/// # Errors
/// When the server refuses them.
pub async fn grant(client: &Client, project: &Project) -> Result<()> {
    let file = project.root().join("docs/grants.sql");
    let grants = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    client.batch_execute(&grants).await.context("docs/grants.sql")?;
    for (login, role) in
        [("scores_query", "limit_increase_query"), ("scores_update", "limit_increase_update")]
    {
        client
            .batch_execute(&format!(
                "DO $$ BEGIN
                     IF to_regrole('{login}') IS NULL THEN
                         CREATE ROLE {login} LOGIN IN ROLE {role};
                     END IF;
                 END $$"
            ))
            .await?;
    }

    Ok(())
}

/// The address with another user. The local server asks for no password.
///
/// # Errors
/// When the address has no user.
pub fn as_user(url: &str, user: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").context("the address is no URL")?;
    let (_, place) = rest.split_once('@').context("the address has no user")?;
    Ok(format!("{scheme}://{user}@{place}"))
}
