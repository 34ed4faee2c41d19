//! Promise 12, on a real server with certificates that are good, expired, for another name, or from
//! an unknown authority.
#![allow(missing_docs)]

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use limit_increase_database::{Credentials, Database, DatabaseUrl, PackedAuthorities, connect};
use limit_increase_tests::tls_postgres::{Authority, TlsPostgres};
use limit_increase_tests::{cases, suite};
use limit_increase_workflow::{Failure, FailureKind};

const PASSWORD: &str = "corr3ct-h0rse";
const GOOD_YEAR: i32 = 2099;

fn main() -> ExitCode {
    suite::run_in(
        start,
        &cases![
            a_good_certificate_is_accepted_under_every_mode_that_asks_for_tls,
            plain_text_needs_loopback_and_a_mode_that_allows_it,
            an_expired_certificate_is_refused,
            a_certificate_for_another_name_is_refused_even_under_verify_ca,
            an_authority_that_nobody_named_is_refused,
            an_authority_that_is_packed_as_those_of_rds_are_needs_no_file,
            a_bundle_of_many_authorities_is_read_whole,
            a_server_without_tls_is_refused_and_not_talked_to_in_plain_text,
            a_wrong_password_is_refused_and_shown_nowhere,
        ],
        |_| (),
    )
}

/// Starts a server with a user who needs TLS and a password.
fn start() -> Result<TlsPostgres> {
    let server = TlsPostgres::start("tls")?;
    server.block_on(
        server.admin().batch_execute(&format!("CREATE ROLE bank LOGIN PASSWORD '{PASSWORD}'")),
    )?;

    server.admit("hostssl all bank all scram-sha-256\nhostnossl all bank all reject")?;
    Ok(server)
}

fn url(server: &TlsPostgres, host: &str, password: &str, parameters: &str) -> DatabaseUrl {
    DatabaseUrl::new(format!(
        "postgresql://bank:{password}@{host}:{}/limit_increase?{parameters}",
        server.port()
    ))
}

/// The version of TLS that a connection uses; `None` for plain text.
fn encrypted(server: &TlsPostgres, url: &DatabaseUrl) -> Result<Option<String>, Failure> {
    server.block_on(async {
        let client = connect(url).await?;
        let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let row = client
            .query_one(sql, &[])
            .await
            .map_err(|error| limit_increase_database::database_failure("asking", &error))?;
        Ok(row.get(0))
    })
}

fn refusal(server: &TlsPostgres, url: &DatabaseUrl) -> Result<Failure> {
    match encrypted(server, url) {
        Ok(version) => anyhow::bail!("the server was accepted ({version:?})"),
        Err(failure) => Ok(failure),
    }
}

/// Gives the server a certificate of a new authority. Returns the path of that authority's own
/// certificate.
fn serve(server: &TlsPostgres, names: &[&str], last_year: i32) -> Result<String> {
    let authority = Authority::new("Test authority")?;
    server.serve(Some(authority.issue(names, last_year)?))?;
    server.file("authority.pem", &authority.pem())
}

fn a_good_certificate_is_accepted_under_every_mode_that_asks_for_tls(
    server: &TlsPostgres,
) -> Result<()> {
    let roots = serve(server, &["localhost", "127.0.0.1"], GOOD_YEAR)?;
    for host in ["localhost", "127.0.0.1"] {
        for mode in ["require", "verify-ca", "verify-full"] {
            let url = url(server, host, PASSWORD, &format!("sslmode={mode}&sslrootcert={roots}"));
            let version = encrypted(server, &url)?;
            ensure!(
                version.as_deref() == Some("TLSv1.3"),
                "promise 12: {host} with {mode} should use TLS 1.3, it uses {version:?}"
            );
        }
    }

    // The functions connect through the pool.
    let url =
        url(server, "localhost", PASSWORD, &format!("sslmode=verify-full&sslrootcert={roots}"));
    server.block_on(async {
        let database = Database::new(Credentials::fixed(url));
        let row = database
            .client()
            .await?
            .query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[])
            .await?;
        ensure!(row.get::<_, bool>(0), "the pool's connection is in plain text");
        Ok(())
    })
}

fn plain_text_needs_loopback_and_a_mode_that_allows_it(server: &TlsPostgres) -> Result<()> {
    let roots = serve(server, &["localhost"], GOOD_YEAR)?;
    let admin = |parameters: &str| {
        DatabaseUrl::new(format!(
            "postgresql://limit_increase@localhost:{}/limit_increase?{parameters}",
            server.port()
        ))
    };

    for parameters in ["", "sslmode=disable", "sslmode=prefer"] {
        ensure!(
            encrypted(server, &admin(parameters))?.is_none(),
            "{parameters:?} should be plain text on loopback"
        );
    }

    let asked = admin(&format!("sslmode=require&sslrootcert={roots}"));
    ensure!(
        encrypted(server, &asked)?.is_some(),
        "promise 12: sslmode=require should use TLS on loopback too"
    );
    Ok(())
}

fn an_expired_certificate_is_refused(server: &TlsPostgres) -> Result<()> {
    let roots = serve(server, &["localhost"], 2024)?;
    for mode in ["require", "verify-full"] {
        let failure = refusal(
            server,
            &url(server, "localhost", PASSWORD, &format!("sslmode={mode}&sslrootcert={roots}")),
        )?;

        check(&failure, &["expired", "renew"])?;
    }

    Ok(())
}

fn a_certificate_for_another_name_is_refused_even_under_verify_ca(
    server: &TlsPostgres,
) -> Result<()> {
    let roots = serve(server, &["db.example.com"], GOOD_YEAR)?;
    for mode in ["require", "verify-ca", "verify-full"] {
        let failure = refusal(
            server,
            &url(server, "localhost", PASSWORD, &format!("sslmode={mode}&sslrootcert={roots}")),
        )?;

        check(&failure, &["localhost", "db.example.com"])?;
    }

    // The name is verified, not the address.
    let by_name = DatabaseUrl::new(format!(
        "host=db.example.com hostaddr=127.0.0.1 port={} user=bank password={PASSWORD} \
         dbname=limit_increase sslmode=verify-full sslrootcert='{roots}'",
        server.port()
    ));

    ensure!(
        encrypted(server, &by_name)?.is_some(),
        "promise 12: the right name should be accepted"
    );
    Ok(())
}

fn an_authority_that_nobody_named_is_refused(server: &TlsPostgres) -> Result<()> {
    serve(server, &["localhost"], GOOD_YEAR)?;
    let other = server.file("other.pem", &Authority::new("Another authority")?.pem())?;
    for parameters in [
        "sslmode=require",
        "sslmode=verify-full&sslrootcert=system",
        &format!("sslmode=require&sslrootcert={other}"),
    ] {
        check(
            &refusal(server, &url(server, "localhost", PASSWORD, parameters))?,
            &["DATABASE_CA_FILE"],
        )?;
    }

    let empty = server.file("empty.pem", "no certificate here\n")?;
    for path in [empty.as_str(), "/no/such/file.pem"] {
        let failure = refusal(
            server,
            &url(server, "localhost", PASSWORD, &format!("sslmode=require&sslrootcert={path}")),
        )?;

        ensure!(
            failure.kind == FailureKind::Configuration && failure.message.contains(path),
            "expected a Configuration error that names {path}, got {failure}"
        );
    }

    Ok(())
}

/// RDS has authorities of its own, which are a part of the program. This one stands beside them.
fn an_authority_that_is_packed_as_those_of_rds_are_needs_no_file(
    server: &TlsPostgres,
) -> Result<()> {
    let authority = Authority::new("Amazon RDS test-1 Root CA")?;
    server.serve(Some(authority.issue(&["localhost"], GOOD_YEAR)?))?;
    let bundle = include_str!("../../shared/database/certificates/rds-global-bundle.pem");
    let packed = PackedAuthorities::new(format!("{bundle}{}", authority.pem()).leak());
    let reach = |parameters: &str, packed| {
        let credentials = Credentials::fixed(url(server, "localhost", PASSWORD, parameters));
        server.block_on(Database::trusting(credentials, packed).client()).map(|_| ())
    };

    for parameters in ["sslmode=require", "sslmode=verify-full&sslrootcert=system"] {
        reach(parameters, packed).with_context(|| {
            format!("promise 12: {parameters} should trust the packed authorities")
        })?;
        let failure = reach(parameters, PackedAuthorities::RDS)
            .err()
            .context("promise 12: RDS's authorities do not vouch for this server")?;
        check(&failure, &["DATABASE_CA_FILE"])?;
    }

    // A file that the address names stands in place of the packed ones.
    let other = server.file("other.pem", &Authority::new("Another authority")?.pem())?;
    let failure = reach(&format!("sslmode=verify-full&sslrootcert={other}"), packed)
        .err()
        .context("promise 12: sslrootcert should replace the packed authorities")?;
    check(&failure, &["DATABASE_CA_FILE"])
}

/// RDS publishes such a bundle: one file for all regions, with a comment before each certificate.
fn a_bundle_of_many_authorities_is_read_whole(server: &TlsPostgres) -> Result<()> {
    let authority = Authority::new("The one that counts")?;
    server.serve(Some(authority.issue(&["localhost"], GOOD_YEAR)?))?;
    let mut text = String::new();
    for number in 0..20 {
        text.push_str(&format!(
            "# region {number}\n{}\n",
            Authority::new(&format!("Authority {number}"))?.pem()
        ));
    }

    text.push_str(&authority.pem());
    let roots = server.file("global-bundle.pem", &text)?;
    let version = encrypted(
        server,
        &url(server, "localhost", PASSWORD, &format!("sslmode=verify-full&sslrootcert={roots}")),
    )?;

    ensure!(version.is_some(), "promise 12: the connection should use TLS");
    Ok(())
}

fn a_server_without_tls_is_refused_and_not_talked_to_in_plain_text(
    server: &TlsPostgres,
) -> Result<()> {
    server.serve(None)?;
    for mode in ["require", "verify-full"] {
        let failure =
            refusal(server, &url(server, "localhost", PASSWORD, &format!("sslmode={mode}")))?;
        check(&failure, &["does not support TLS", "sslmode=disable"])?;
    }

    Ok(())
}

fn a_wrong_password_is_refused_and_shown_nowhere(server: &TlsPostgres) -> Result<()> {
    let roots = serve(server, &["localhost"], GOOD_YEAR)?;
    let wrong = "wr0ng-h0rse";
    let address =
        url(server, "localhost", wrong, &format!("sslmode=verify-full&sslrootcert={roots}"));
    let failure = refusal(server, &address)?;
    check(&failure, &["28P01", "bank"])?;
    let pooled = server
        .block_on(Database::new(Credentials::fixed(address)).client())
        .err()
        .context("the pool was let in")?;
    check(&pooled, &["28P01"])?;
    for shown in [format!("{failure:?} {failure}"), format!("{pooled:?} {pooled}")] {
        ensure!(!shown.contains(wrong), "promise 11: the password is in the error: {shown}");
    }

    Ok(())
}

fn check(failure: &Failure, words: &[&str]) -> Result<()> {
    ensure!(
        failure.kind == FailureKind::DatabaseRefused,
        "promise 12: expected DatabaseRefused, got {failure}"
    );

    for word in words {
        ensure!(failure.message.contains(word), "the error should say {word:?}: {failure}");
    }

    Ok(())
}
