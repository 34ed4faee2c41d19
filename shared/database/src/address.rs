//! Reading a database's address, with libpq's words for TLS, and never showing it.
//!
//! What lives here: what `sslmode` and `sslrootcert` mean to us, and the rest of the address as the driver reads it.
//! What must not: connections, certificates.

use std::net::IpAddr;
use std::time::Duration;

use limit_increase_workflow::{Failure, FailureKind};
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::credentials::DatabaseUrl;
use crate::environment;

/// A statement that runs longer is cancelled; generous, since the query of a large run streams for minutes.
const STATEMENT_TIMEOUT_SECONDS: u32 = 840;
/// A lock not had within this time is a transient failure.
const LOCK_TIMEOUT_SECONDS: u32 = 30;
/// A transaction whose function has died is ended by the server after this time, and its locks with it.
const IDLE_IN_TRANSACTION_SECONDS: u32 = 60;

/// Parameters of libpq that the driver does not know. Only such a name is shown in an error: what stands in a name's
/// place in a mistyped address may be a piece of the password.
const UNSUPPORTED: [&str; 16] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "krbsrvname",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcompression",
    "sslcrl",
    "sslkey",
    "sslsni",
];

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The public authorities, and those of `DATABASE_CA_FILE`.
    Public,
    /// Only the authorities of this file: the address's own `sslrootcert`.
    File(String),
}

/// An address, read.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// For the driver. Its `sslmode` is either `disable` or `require`: with `prefer`, a server (or whoever stands in
    /// front of it) could talk the driver out of TLS.
    pub(crate) config: Config,
    /// Whom to trust over TLS; `None` for plain text.
    pub(crate) tls: Option<Roots>,
}

/// Reads an address, a URL or libpq's `key=value` form.
///
/// | `sslmode` | here |
/// |---|---|
/// | `disable` | plain text, wherever the server is: somebody asked for it |
/// | not given, `allow`, `prefer` | plain text to loopback, verified TLS to everywhere else |
/// | `require`, `verify-ca`, `verify-full` | verified TLS |
///
/// Verified means both the certificate's chain and the host's name; there is no weaker TLS here, whatever libpq lets
/// pass under `require` and `verify-ca`. `sslrootcert` names the only authorities to trust; `system` and no
/// `sslrootcert` stand for the public ones and those of `DATABASE_CA_FILE`.
///
/// # Errors
/// `Permanent.Configuration`; the message shows nothing of the address but names of parameters.
pub(crate) fn parse(url: &DatabaseUrl) -> Result<Address, Failure> {
    let (bare, settings) = take_tls_settings(url.expose())?;
    let mut config: Config = bare.parse().map_err(|error| bad(reason(&error)))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(bad("it names no host".to_owned()));
    }

    let encrypted = match settings.mode.as_deref() {
        Some("disable") => false,
        None | Some("allow" | "prefer") => !is_loopback(&config),
        Some("require" | "verify-ca" | "verify-full") => true,
        Some(_) => {
            return Err(bad(
                "sslmode is none of disable, allow, prefer, require, verify-ca, verify-full"
                    .to_owned(),
            ));
        }
    };

    config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
    let roots = match settings.root_certificates {
        Some(file) if file != "system" => Roots::File(file),
        _ => Roots::Public,
    };

    bound(&mut config);
    Ok(Address { config, tls: encrypted.then_some(roots) })
}

/// An address as the driver takes it, for whoever wants to know its parts; to connect, use [`super::connect`].
///
/// # Errors
/// `Permanent.Configuration`; the message shows nothing of the address.
pub fn driver_config(url: &DatabaseUrl) -> Result<Config, Failure> {
    parse(url).map(|address| address.config)
}

fn bad(problem: String) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!(
            "DATABASE_URL is no PostgreSQL URL: {problem}; expected postgresql://user:password@host:5432/database, \
             special characters of the password percent-encoded"
        ),
    )
}

/// Why the driver can't read an address, as far as that can be told.
fn reason(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let unknown = source.strip_prefix("unknown option `").and_then(|rest| rest.strip_suffix('`'));
    match unknown {
        Some(name) if UNSUPPORTED.contains(&name) => {
            format!("its parameter {name} is not supported")
        }
        Some(_) => "it has an unknown parameter".to_owned(),
        // The driver names its own parameter here, never the value.
        None if source.starts_with("invalid value for option `") => source,
        None => "it cannot be read".to_owned(),
    }
}

/// Where no host is another machine, nobody can listen. An address in numbers wins over the name, as in libpq.
fn is_loopback(config: &Config) -> bool {
    if !config.get_hostaddrs().is_empty() {
        return config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    }

    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }

        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

/// Time-outs on everything, unless the address has its own.
fn bound(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }

    config.keepalives_idle(Duration::from_secs(30));
    config.tcp_user_timeout(Duration::from_secs(60));
    if config.get_application_name().is_none() {
        config.application_name(
            environment::optional("AWS_LAMBDA_FUNCTION_NAME")
                .as_deref()
                .unwrap_or("limit-increase"),
        );
    }

    // Ours first: an option of the URL's own comes later and wins.
    let options = format!(
        "-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s -c lock_timeout={LOCK_TIMEOUT_SECONDS}s \
         -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s -c timezone=UTC {}",
        config.get_options().unwrap_or_default()
    );

    config.options(options.trim());
}

/// What an address says of TLS.
#[derive(Debug, Default, PartialEq, Eq)]
struct TlsSettings {
    mode: Option<String>,
    root_certificates: Option<String>,
}

impl TlsSettings {
    /// Keeps a parameter that is about TLS; the last one counts, as in libpq. Whether it was one.
    fn take(&mut self, key: &str, value: &str) -> bool {
        match key {
            "sslmode" => self.mode = Some(value.to_owned()),
            "sslrootcert" => self.root_certificates = Some(value.to_owned()),
            _ => return false,
        }

        true
    }
}

/// The address without its words for TLS, most of which the driver does not know, and these words.
fn take_tls_settings(address: &str) -> Result<(String, TlsSettings), Failure> {
    let mut settings = TlsSettings::default();
    let is_url = address.starts_with("postgres://") || address.starts_with("postgresql://");
    if !is_url {
        let mut bare = String::new();
        for (key, value) in pairs(address).ok_or_else(|| bad("it cannot be read".to_owned()))? {
            if !settings.take(&key, &value) {
                bare.push_str(&format!("{key}={} ", quote(&value)));
            }
        }

        return Ok((bare, settings));
    }

    // The driver takes all before the first @ for credentials, so a question mark there begins nothing.
    let credentials = address.find('@').map_or(0, |at| at + 1);
    let Some(query) = address[credentials..].find('?').map(|mark| credentials + mark) else {
        return Ok((address.to_owned(), settings));
    };

    let mut kept = Vec::new();
    for parameter in address[query + 1..].split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !settings.take(key, &percent_decode_str(value).decode_utf8_lossy()) {
            kept.push(parameter);
        }
    }

    let end = if kept.is_empty() { query } else { query + 1 };
    Ok((format!("{}{}", &address[..end], kept.join("&")), settings))
}

/// A value in libpq's `key=value` form, which takes any text once quotes and backslashes are escaped.
pub(crate) fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The pairs of libpq's `key=value` form; `None` if it is none.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_end();
        if key.is_empty()
            || !key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        {
            return None;
        }

        let (value, after) = value(after.trim_start())?;
        found.push((key.to_owned(), value));
        rest = after.trim_start();
    }

    Some(found)
}

/// The value at the beginning of a text, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((place, letter)) = letters.next() {
        match letter {
            '\\' => value.push(letters.next()?.1),
            '\'' if quoted => return Some((value, &text[place + 1..])),
            letter if !quoted && letter.is_whitespace() => return Some((value, &text[place..])),
            letter => value.push(letter),
        }
    }

    (!quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests;
