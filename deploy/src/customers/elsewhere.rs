//! Sample customers belong into a database on this machine, never into a lender's.

use std::net::IpAddr;

use anyhow::Result;
use limit_increase_database::{DatabaseUrl, is_loopback};

use crate::local::Context;
use crate::terminal::Problem;

/// Refuses to go on when the customers would be the sample's, and the database is not on this
/// machine. Only `--database-url` can name such a database.
///
/// Both sides are asked. An address on loopback can be the near end of a tunnel, and then the
/// server says that it is elsewhere.
///
/// # Errors
/// A wrong command line, with what to write.
pub async fn require_this_machine(context: &Context) -> Result<()> {
    let Some(url) = &context.options.database_url else { return Ok(()) };
    if is_loopback(&DatabaseUrl::new(url))? {
        let client = crate::database::connect(url).await?;
        let row = client.query_one("SELECT host(inet_server_addr())", &[]).await?;
        if is_this_machine(row.get(0)) {
            return Ok(());
        }
    }

    Err(Problem::usage(
        "the sample's customers are made up, and this database is not on this machine",
    )
    .at(crate::database::masked(url))
    .next(
        "for the tables alone: limit-increase setup-db --schema-only\n\
             for your own customers: limit-increase setup-db --data FILE ..\n\
             if you do want the sample there: limit-increase setup-db --sample",
    )
    .into())
}

/// Whether a server that answers at this address is on this machine. A Unix socket has no address.
fn is_this_machine(server: Option<&str>) -> bool {
    server
        .is_none_or(|address| address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_behind_a_tunnel_is_elsewhere() {
        for (server, expected) in [
            (None, true),
            (Some("127.0.0.1"), true),
            (Some("::1"), true),
            (Some("10.0.3.17"), false),
            (Some("2001:db8::1"), false),
        ] {
            assert_eq!(is_this_machine(server), expected, "{server:?}");
        }
    }
}
