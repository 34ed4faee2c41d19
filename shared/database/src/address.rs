//! Reading a database's address: a URL, or libpq's `key=value` form.
//!
//! What lives here: the meaning of `sslmode` and `sslrootcert` (promise 12), and the rest of the
//! address as the driver reads it. No error shows the address, because the password is a part of it
//! (promise 11). What must not: connections, certificates.

use std::net::IpAddr;
use std::time::Duration;

use limit_increase_workflow::{Failure, FailureKind};
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::credentials::DatabaseUrl;
use crate::environment;

/// Parameters of libpq that the driver does not know. An error shows one of these names, and no
/// other text: in a mistyped address the text in a name's place may be a part of the password
/// (promise 11).
const UNSUPPORTED_PARAMETERS: [&str; 16] = [
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

/// The certificate authorities to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The public authorities, those of RDS, and those of the file that `DATABASE_CA_FILE` names.
    Public,
    /// Only the authorities of this file, which is the `sslrootcert` of the address.
    File(String),
}

/// An address, split into what the driver reads and what TLS needs.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// The driver's configuration. Its `sslmode` is either `disable` or `require`. With `prefer`, a
    /// server, or an attacker in front of it, could make the driver go on without TLS (promise 12).
    pub(crate) config: Config,
    /// The authorities to trust over TLS; `None` for plain text.
    pub(crate) tls: Option<Roots>,
}

/// Reads an address: a URL, or libpq's `key=value` form.
///
/// | `sslmode` | connection |
/// |---|---|
/// | `disable` | plain text to every server, because somebody asked for it |
/// | not given, `allow`, `prefer` | plain text to loopback, verified TLS to every other server |
/// | `require`, `verify-ca`, `verify-full` | verified TLS |
///
/// Verified means both the chain of the certificate and the name of the host (promise 12). There is
/// no weaker TLS, although libpq has one under `require` and `verify-ca`. `sslrootcert` names the
/// only authorities to trust. Without it, and with `system`, the public authorities are trusted,
/// those of RDS, and those of `DATABASE_CA_FILE`.
///
/// # Errors
/// `Permanent.Configuration`. The message shows only names of parameters, and nothing else of the
/// address (promise 11).
pub(crate) fn parse(url: &DatabaseUrl) -> Result<Address, Failure> {
    let (bare, settings) = take_tls_settings(url.expose())?;
    let mut config: Config = bare.parse().map_err(|error| address_failure(&reason(&error)))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(address_failure("it names no host"));
    }

    let encrypted = match settings.mode.as_deref() {
        Some("disable") => false,
        None | Some("allow" | "prefer") => !stays_on_this_machine(&config),
        Some("require" | "verify-ca" | "verify-full") => true,
        Some(_) => {
            return Err(address_failure(
                "sslmode is none of disable, allow, prefer, require, verify-ca, verify-full",
            ));
        }
    };

    config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
    let roots = match settings.root_certificates {
        Some(file) if file != "system" => Roots::File(file),
        _ => Roots::Public,
    };

    set_time_outs(&mut config);
    Ok(Address { config, tls: encrypted.then_some(roots) })
}

/// The parts of an address, as the driver reads them. To connect, use [`super::connect`].
///
/// # Errors
/// `Permanent.Configuration`. The message shows only names of parameters, and nothing else of the
/// address.
pub fn driver_config(url: &DatabaseUrl) -> Result<Config, Failure> {
    parse(url).map(|address| address.config)
}

/// Whether an address leads to this machine. It can still be the near end of a tunnel.
///
/// # Errors
/// As [`driver_config`].
pub fn is_loopback(url: &DatabaseUrl) -> Result<bool, Failure> {
    driver_config(url).map(|config| stays_on_this_machine(&config))
}

fn address_failure(problem: &str) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!(
            "DATABASE_URL is not a PostgreSQL URL: {problem}; expected \
             postgresql://user:password@host:5432/database, special characters of the password \
             percent-encoded"
        ),
    )
}

/// Why the driver cannot read an address. The reason shows no value of the address (promise 11).
fn reason(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let unknown = source.strip_prefix("unknown option `").and_then(|rest| rest.strip_suffix('`'));
    match unknown {
        Some(name) if UNSUPPORTED_PARAMETERS.contains(&name) => {
            format!("its parameter {name} is not supported")
        }
        Some(_) => "it has an unknown parameter".to_owned(),
        // The driver names its own parameter in this error, never the value.
        None if source.starts_with("invalid value for option `") => source,
        None => "it cannot be read".to_owned(),
    }
}

/// Whether every host is this machine, so that nobody on a network can listen. An address in
/// numbers has precedence over a name, as in libpq.
fn stays_on_this_machine(config: &Config) -> bool {
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

/// Sets a limit on the time in which the connection is made or found to be broken, unless the
/// address has its own limit. The limits of statements are set in each transaction: see
/// [`begin`](crate::begin).
fn set_time_outs(config: &mut Config) {
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
}

/// What an address says about TLS.
#[derive(Debug, Default, PartialEq, Eq)]
struct TlsSettings {
    mode: Option<String>,
    root_certificates: Option<String>,
}

impl TlsSettings {
    /// Keeps a parameter that is about TLS, and returns whether it was one. The last of two counts,
    /// as in libpq.
    fn take(&mut self, key: &str, value: &str) -> bool {
        match key {
            "sslmode" => self.mode = Some(value.to_owned()),
            "sslrootcert" => self.root_certificates = Some(value.to_owned()),
            _ => return false,
        }

        true
    }
}

/// Splits an address into the settings of TLS, most of which the driver does not know, and the
/// rest.
fn take_tls_settings(address: &str) -> Result<(String, TlsSettings), Failure> {
    let mut settings = TlsSettings::default();
    let is_url = address.starts_with("postgres://") || address.starts_with("postgresql://");
    if !is_url {
        let mut bare = String::new();
        let pairs = pairs(address).ok_or_else(|| address_failure("it cannot be read"))?;
        for (key, value) in pairs {
            if !settings.take(&key, &value) {
                bare.push_str(&format!("{key}={} ", quote(&value)));
            }
        }

        return Ok((bare, settings));
    }

    // For the driver all text before the first @ is credentials, so a question mark in them does
    // not begin the parameters.
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

/// A value in libpq's `key=value` form, in quotes, with quotes and backslashes escaped.
pub(crate) fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The pairs of libpq's `key=value` form; `None` if the text is not in that form.
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

/// The value at the beginning of a text, and the text that follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((position, letter)) = letters.next() {
        match letter {
            '\\' => value.push(letters.next()?.1),
            '\'' if quoted => return Some((value, &text[position + 1..])),
            letter if !quoted && letter.is_whitespace() => return Some((value, &text[position..])),
            letter => value.push(letter),
        }
    }

    (!quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests;
