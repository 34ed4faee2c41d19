//! What the database's connection asks of a pooler that stands before PostgreSQL, and what it finds
//! in a transaction.
#![allow(missing_docs)]

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use limit_increase_database::{
    Client, Credentials, Database, DatabaseUrl, begin, connect, migrate,
};
use limit_increase_tests::simulator::pooler::{Pooler, PoolerKind};
use limit_increase_tests::tls_postgres::TlsPostgres;
use limit_increase_tests::{cases, suite};
use limit_increase_workflow::{Failure, FailureKind};

const KINDS: [PoolerKind; 2] = [PoolerKind::PgBouncer, PoolerKind::RdsProxy];

fn main() -> ExitCode {
    suite::run_in(
        || TlsPostgres::start("poolers"),
        &cases![
            a_pooler_that_refuses_options_lets_the_functions_in,
            an_address_with_options_is_refused_by_a_pooler_for_good,
            a_transaction_has_its_limits_and_leaves_none_behind,
        ],
        |_| (),
    )
}

fn url(port: u16, parameters: &str) -> DatabaseUrl {
    DatabaseUrl::new(format!(
        "postgresql://limit_increase@127.0.0.1:{port}/limit_increase?sslmode=disable{parameters}"
    ))
}

fn a_pooler_that_refuses_options_lets_the_functions_in(server: &TlsPostgres) -> Result<()> {
    for kind in KINDS {
        server.block_on(async {
            let pooler = Pooler::start(kind, server.port()).await?;
            let context = || format!("{kind:?} should let the connection in");

            let database = Database::new(Credentials::fixed(url(pooler.port(), "")));
            let mut client = database.client().await.with_context(context)?;
            migrate(&mut client).await?;
            begin(&mut client, "testing").await?.commit().await?;

            connect(&url(pooler.port(), "")).await.with_context(context)?;
            anyhow::Ok(())
        })?;
    }

    Ok(())
}

/// The pooler will refuse it the next time too, so the run must not try it again for minutes.
fn an_address_with_options_is_refused_by_a_pooler_for_good(server: &TlsPostgres) -> Result<()> {
    for kind in KINDS {
        server.block_on(async {
            let pooler = Pooler::start(kind, server.port()).await?;
            let address = url(pooler.port(), "&options=-c%20lock_timeout%3D1s");
            let pooled = Database::new(Credentials::fixed(address.clone())).client().await;
            for failure in [pooled.err(), connect(&address).await.err()] {
                let failure = failure.with_context(|| format!("{kind:?} let options in"))?;
                check_refusal(kind, &failure)?;
            }

            anyhow::Ok(())
        })?;
    }

    Ok(())
}

fn check_refusal(kind: PoolerKind, failure: &Failure) -> Result<()> {
    ensure!(
        failure.kind == FailureKind::DatabaseRefused && failure.message.contains("ALTER ROLE"),
        "{kind:?}: expected DatabaseRefused with what to change, got {failure}"
    );
    Ok(())
}

fn a_transaction_has_its_limits_and_leaves_none_behind(server: &TlsPostgres) -> Result<()> {
    server.block_on(async {
        let mut client = connect(&url(server.port(), "")).await?;
        let outside = limits(&client).await?;
        ensure!(outside == ["0", "0", "0"], "a connection should have no limits: {outside:?}");

        let inside = limits_inside(&mut client).await?;
        ensure!(inside == ["14min", "30s", "1min"], "the limits inside are {inside:?}");
        let after = limits(&client).await?;
        ensure!(after == outside, "the transaction should leave no limit behind: {after:?}");

        // What another client of a pooler has left behind does not count.
        client.batch_execute("SET lock_timeout = '1s'").await?;
        let inside = limits_inside(&mut client).await?;
        ensure!(inside[1] == "30s", "another client's limit counts: {inside:?}");

        // What somebody has set for this user, or in the address, does.
        client.batch_execute("ALTER ROLE limit_increase SET lock_timeout = '7s'").await?;
        let mut by_role = connect(&url(server.port(), "")).await?;
        let inside = limits_inside(&mut by_role).await?;
        ensure!(inside == ["14min", "7s", "1min"], "the user's limit should count: {inside:?}");

        let address = url(server.port(), "&options=-c%20lock_timeout%3D3s");
        let inside = limits_inside(&mut connect(&address).await?).await?;
        ensure!(inside[1] == "3s", "the address's limit should count: {inside:?}");
        client.batch_execute("ALTER ROLE limit_increase RESET lock_timeout").await?;
        Ok(())
    })
}

async fn limits_inside(client: &mut Client) -> Result<[String; 3]> {
    let transaction = begin(client, "testing").await?;
    let limits = limits(transaction.client()).await?;
    transaction.rollback().await?;
    Ok(limits)
}

/// Of a statement, of a lock, of a pause in a transaction.
async fn limits(client: &Client) -> Result<[String; 3]> {
    let row = client
        .query_one(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),
                    current_setting('idle_in_transaction_session_timeout')",
            &[],
        )
        .await?;
    Ok([row.get(0), row.get(1), row.get(2)])
}
