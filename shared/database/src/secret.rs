//! The text of a secret: a URL, or the JSON that RDS and Secrets Manager write.
//!
//! A problem names fields, and shows no value (promise 11).

use std::net::Ipv6Addr;

use serde_json::{Map, Value};

use crate::address::quote;
use crate::credentials::DatabaseUrl;

/// The fields that are read, each with other names that people give it.
const FIELDS: [(&str, &[&str]); 5] = [
    ("username", &["user", "login", "name", "role"]),
    ("password", &["pass", "pwd", "passwd", "secret"]),
    ("host", &["hostname", "endpoint", "server", "address", "url"]),
    ("port", &[]),
    ("dbname", &["db", "database", "databasename"]),
];

/// Fields that RDS and the rotation functions write too, and which say nothing about a connection.
const IGNORED: [&str; 5] =
    ["engine", "dbInstanceIdentifier", "dbClusterIdentifier", "masterarn", "ssl"];

/// What the function's environment names in case the secret does not.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// `DATABASE_HOST`.
    pub(crate) host: Option<String>,
    /// `DATABASE_NAME`.
    pub(crate) database: Option<String>,
}

/// The address of a secret.
///
/// A secret may have more fields, for example those of a replica. They are ignored, unless a field
/// is absent and another one looks like it: that one is misspelt.
///
/// # Errors
/// All problems, in one sentence that can be shown.
pub(crate) fn url(secret: &str, elsewhere: Elsewhere) -> Result<DatabaseUrl, String> {
    // Some editors write a mark at the start of a text.
    let secret = secret.trim_start_matches('\u{feff}').trim();
    if secret.starts_with("postgres://") || secret.starts_with("postgresql://") {
        return Ok(DatabaseUrl::new(secret));
    }

    let Ok(Value::Object(fields)) = serde_json::from_str(secret) else {
        return Err(
            "it is neither a postgresql:// URL nor RDS's JSON with username, password and \
                    host"
                .to_owned(),
        );
    };

    let mut reader = Reader { fields, problems: Vec::new() };
    let address = reader.read(elsewhere);
    reader.find_misspelt();
    if reader.problems.is_empty() {
        Ok(DatabaseUrl::new(address))
    } else {
        reader.name_others();
        Err(reader.problems.join("; "))
    }
}

struct Reader {
    fields: Map<String, Value>,
    problems: Vec<String>,
}

impl Reader {
    /// The address in libpq's form. It counts only if no problem was found.
    fn read(&mut self, elsewhere: Elsewhere) -> String {
        let username = self.required("username");
        let password = self.required("password");
        let (host, named_by) = match (self.text("host"), elsewhere.host) {
            (Some(host), _) => (host, "host"),
            (None, Some(host)) => (host, "DATABASE_HOST"),
            (None, None) => {
                self.missing("host", ", and DATABASE_HOST is not set either");
                (String::new(), "host")
            }
        };

        if let Some(problem) = host_problem(&host) {
            self.problems.push(format!("{named_by} {problem}"));
        }

        let port = self.port();
        let database =
            self.text("dbname").or(elsewhere.database).unwrap_or_else(|| "postgres".to_owned());
        format!(
            "host={} port={port} dbname={} user={} password={} sslmode=verify-full",
            quote(&host),
            quote(&database),
            quote(&username),
            quote(&password)
        )
    }

    fn required(&mut self, name: &str) -> String {
        let text = self.text(name);
        if text.is_none() && !self.has(name) {
            self.missing(name, "");
        }

        text.unwrap_or_default()
    }

    fn missing(&mut self, name: &str, more: &str) {
        self.problems.push(format!("it has no {name}{more}"));
    }

    /// Whether a field has a value. An empty one counts as absent, and so does `null`.
    fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        })
    }

    fn text(&mut self, name: &str) -> Option<String> {
        if !self.has(name) {
            return None;
        }

        match self.fields.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => {
                self.problems.push(format!("its {name} is not a text: write it in quotes"));
                None
            }
        }
    }

    /// The port, which RDS writes as a number and other writers as a text.
    fn port(&mut self) -> u16 {
        if !self.has("port") {
            return 5432;
        }

        let port = match self.fields.get("port") {
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_u64().and_then(|number| u16::try_from(number).ok()),
            None => None,
        };

        port.filter(|port| *port > 0).unwrap_or_else(|| {
            self.problems.push("its port is not a number from 1 to 65535".to_owned());
            0
        })
    }

    /// Names the fields that look like one that is absent.
    fn find_misspelt(&mut self) {
        for name in self.fields.keys() {
            let meant = FIELDS
                .iter()
                .find(|(field, others)| !self.has(field) && looks_like(name, field, others));
            if let Some((field, _)) = meant.filter(|_| !is_known(name)) {
                self.problems.push(format!("its field {name} is not known: write {field}"));
            }
        }
    }

    /// Names the other fields, which may be what is missing under an unexpected name.
    ///
    /// A name that could be a value is not shown. Somebody may have exchanged the two.
    fn name_others(&mut self) {
        let exchanged = self.fields.values().any(|value| value.as_str().is_some_and(is_known));
        if exchanged {
            self.problems.push("a field has the name of another one as its value".to_owned());
            return;
        }

        let password = self.fields.get("password").and_then(Value::as_str).unwrap_or_default();
        let others: Vec<&str> = self
            .fields
            .keys()
            .map(String::as_str)
            .filter(|name| !is_known(name) && is_a_name(name) && !password.contains(name))
            .filter(|name| !self.problems.iter().any(|problem| problem.contains(name)))
            .collect();
        if !others.is_empty() {
            self.problems.push(format!("these fields are not known: {}", others.join(", ")));
        }
    }
}

fn is_known(name: &str) -> bool {
    IGNORED.contains(&name) || FIELDS.iter().any(|(field, _)| *field == name)
}

fn is_a_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
}

/// Whether somebody who wrote `name` may have meant `field`.
fn looks_like(name: &str, field: &str, others: &[&str]) -> bool {
    let bare: String = name
        .chars()
        .filter(|letter| !"_- ".contains(*letter))
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    // One wrong letter in a short name, two in a long one.
    let tolerated = if field.len() > 4 { 2 } else { 1 };
    others.contains(&bare.as_str()) || distance(&bare, field) <= tolerated
}

/// Levenshtein's distance: how many letters have to be put in, left out or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }

    row[other.len()]
}

/// What is wrong with a host that is more than a name.
fn host_problem(host: &str) -> Option<&'static str> {
    if host.contains("://") {
        Some("begins with a scheme: write the name alone, such as db.example.com")
    } else if host.starts_with('/') || host.parse::<Ipv6Addr>().is_ok() {
        // A directory of sockets, or an address in numbers.
        None
    } else if host.contains(':') {
        Some("has a port in it: write the name alone, and the number in port")
    } else if host.contains(|letter: char| letter.is_whitespace() || "/@?".contains(letter)) {
        Some("is more than a name: write the name alone, such as db.example.com")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::address::driver_config;

    fn read(secret: &str) -> Result<DatabaseUrl, String> {
        url(secret, Elsewhere::default())
    }

    #[test]
    fn a_password_with_every_awkward_character_survives() {
        let secret = r#"{"username":"bank","password":"p'a\\s s@/:?#","host":"db.internal","port":5433,"dbname":"core"}"#;
        let config = driver_config(&read(secret).unwrap()).unwrap();
        assert_eq!(config.get_password(), Some(&br"p'a\s s@/:?#"[..]));
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!(config.get_dbname(), Some("core"));
    }

    #[test]
    fn the_port_is_a_number_or_a_text() {
        for (port, expected) in [
            ("5433", 5433),
            (r#""5433""#, 5433),
            (r#"" 5433 ""#, 5433),
            (r#""""#, 5432),
            ("null", 5432),
        ] {
            let secret = format!(r#"{{"username":"u","password":"p","host":"h","port":{port}}}"#);
            let config = driver_config(&read(&secret).unwrap()).unwrap();
            assert_eq!(config.get_ports(), [expected], "{port}");
        }
    }

    #[test]
    fn what_rds_and_rotation_write_is_accepted() {
        let secret = r#"{"engine":"postgres","host":"db.internal","username":"u","password":"p",
            "dbname":"core","port":5432,"masterarn":"arn:aws:secretsmanager:x","ssl":true,
            "dbInstanceIdentifier":"scores","dbClusterIdentifier":"scores",
            "host2":"replica.internal","replica_host":"replica.internal"}"#;
        assert!(read(secret).is_ok());
        assert!(read(&format!("\u{feff}{secret}")).is_ok());

        // What RDS manages itself has two fields.
        let elsewhere = || Elsewhere {
            host: Some("db.internal".to_owned()),
            database: Some("core".to_owned()),
        };
        let config =
            driver_config(&url(r#"{"username":"u","password":"p"}"#, elsewhere()).unwrap())
                .unwrap();
        assert_eq!(config.get_dbname(), Some("core"));
    }

    #[test]
    fn every_problem_of_a_secret_is_named_and_no_value_is_shown() {
        let cases: [(&str, &[&str]); 16] = [
            ("hunter2", &["neither a postgresql:// URL nor RDS's JSON"]),
            (r#"["hunter2"]"#, &["neither a postgresql:// URL nor RDS's JSON"]),
            ("{}", &["no username", "no password", "no host", "DATABASE_HOST"]),
            (r#"{"username":"u","password":"hunter2"}"#, &["it has no host"]),
            (
                r#"{"user":"u","pasword":"hunter2","Host":"h"}"#,
                &["field user is not known: write username", "pasword", "Host", "write host"],
            ),
            (
                r#"{"username":"u","password":"hunter2","host":"h","db_name":"core"}"#,
                &["db_name is not known: write dbname"],
            ),
            (
                r#"{"username":"u","kennwort":"hunter2","host":"h"}"#,
                &["no password", "not known: kennwort"],
            ),
            (
                r#"{"username":"u","password":"hunter2","host":"h:5433"}"#,
                &["host has a port in it", "the number in port"],
            ),
            (
                r#"{"username":"u","password":"hunter2","host":"postgresql://h"}"#,
                &["host begins with a scheme", "db.example.com"],
            ),
            (
                r#"{"username":"u","password":"hunter2","host":"hunter2@h"}"#,
                &["host is more than a name"],
            ),
            (
                r#"{"username":"u","password":"hunter2","host":"h","port":"hunter2"}"#,
                &["port is not a number from 1 to 65535"],
            ),
            (
                r#"{"username":"u","password":"hunter2","host":"h","port":65536}"#,
                &["port is not a number from 1 to 65535"],
            ),
            (
                r#"{"username":"u","password":12345,"host":"h"}"#,
                &["its password is not a text: write it in quotes"],
            ),
            (r#"{"username":"","password":"hunter2","host":"h"}"#, &["it has no username"]),
            // Names and values exchanged.
            (r#"{"u":"username","hunter2":"password","host":"h"}"#, &["as its value"]),
            (
                r#"{"username":"u","password":"hunter2","hunter2":"x","port":0}"#,
                &["no host", "port is not"],
            ),
        ];

        for (secret, words) in cases {
            let problem = read(secret).unwrap_err();
            for word in words {
                assert!(problem.contains(word), "{secret}: {problem}");
            }

            for value in ["hunter2", "12345", "65536"] {
                assert!(!problem.contains(value), "promise 11: {secret}: {problem}");
            }
        }
    }

    #[test]
    fn the_host_of_the_environment_is_checked_too() {
        let elsewhere = Elsewhere { host: Some("h:5432".to_owned()), database: None };
        let problem = url(r#"{"username":"u","password":"p"}"#, elsewhere).unwrap_err();
        assert!(problem.contains("DATABASE_HOST has a port in it"), "{problem}");
    }

    #[test]
    fn hosts_may_be_names_or_numbers() {
        for host in ["db.example.com", "10.0.0.5", "::1", "/var/run/postgresql", ""] {
            assert_eq!(host_problem(host), None, "{host}");
        }
    }
}
