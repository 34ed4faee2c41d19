#![allow(clippy::unwrap_used)]
use super::*;

fn read(url: &str) -> Result<Address, Failure> {
    parse(&DatabaseUrl::new(url))
}

#[test]
fn plain_text_is_for_loopback_or_when_asked_for() {
    let cases = [
        ("postgresql://u@127.0.0.1/d", false),
        ("postgresql://u@localhost/d", false),
        ("postgresql://u@[::1]/d", false),
        ("postgresql://u@127.0.0.1/d?sslmode=prefer", false),
        ("postgresql://u@127.0.0.1/d?sslmode=require", true),
        ("postgresql://u@db.example.com/d", true),
        ("postgresql://u@db.example.com/d?sslmode=allow", true),
        ("postgresql://u@db.example.com/d?sslmode=prefer", true),
        ("postgresql://u@db.example.com/d?sslmode=require", true),
        ("postgresql://u@db.example.com/d?sslmode=verify-ca", true),
        ("postgresql://u@db.example.com/d?connect_timeout=3&sslmode=verify-full", true),
        ("postgresql://u@db.example.com/d?sslmode=disable", false),
        ("postgresql://u@localhost,db.example.com/d", true),
        ("postgresql://u@localhost.example.com/d", true),
        ("host=db.example.com user=u", true),
        ("host=db.example.com user=u sslmode = 'disable'", false),
        ("host=localhost user=u sslmode=verify-full", true),
        // Where it goes is what counts, not what it is called.
        ("hostaddr=10.0.0.5 user=u", true),
        ("host=localhost hostaddr=10.0.0.5 user=u", true),
        ("host=db.example.com hostaddr=127.0.0.1 user=u", false),
        ("host=/var/run/postgresql user=u", false),
    ];

    for (url, encrypted) in cases {
        let address = read(url).unwrap();
        assert_eq!(address.tls.is_some(), encrypted, "{url}");
        // Never `prefer`, which a server could answer with plain text.
        let mode = if encrypted { SslMode::Require } else { SslMode::Disable };
        assert_eq!(address.config.get_ssl_mode(), mode, "{url}");
    }
}

#[test]
fn the_address_may_name_its_authorities() {
    let cases = [
        (
            "postgresql://u@h/d?sslmode=verify-full&sslrootcert=%2Fca%2Fmy%20roots.pem",
            "/ca/my roots.pem",
        ),
        ("postgresql://u@h/d?sslrootcert=/ca.pem&connect_timeout=3", "/ca.pem"),
        ("host=h sslrootcert='/ca/my roots.pem' user=u", "/ca/my roots.pem"),
    ];

    for (url, file) in cases {
        assert_eq!(read(url).unwrap().tls, Some(Roots::File(file.to_owned())), "{url}");
    }

    assert_eq!(read("postgresql://u@h/d?sslrootcert=system").unwrap().tls, Some(Roots::Public));
}

#[test]
fn what_is_not_about_tls_stays_as_it_was() {
    let url = "postgresql://ann:p%40ss?w&rd@h:5433/bank?sslmode=require&application_name=x&sslrootcert=system";
    let config = read(url).unwrap().config;
    assert_eq!(config.get_password(), Some(&b"p@ss?w&rd"[..]));
    assert_eq!((config.get_ports(), config.get_dbname()), (&[5433][..], Some("bank")));
    assert_eq!(config.get_application_name(), Some("x"));
    let config = read(r"host=h user=ann password='it\'s a \\ = secret' sslmode=require port=5433")
        .unwrap()
        .config;
    assert_eq!(config.get_password(), Some(&br"it's a \ = secret"[..]));
    assert_eq!(config.get_ports(), [5433]);
    let url = "postgresql://u@h/d?options=-c%20lock_timeout%3D1s";
    assert_eq!(read(url).unwrap().config.get_options(), Some("-c lock_timeout=1s"));
}

#[test]
fn nothing_is_put_into_the_startup_packet_that_a_pooler_refuses() {
    for url in ["postgresql://u@db.example.com/d", "host=h user=u"] {
        assert_eq!(read(url).unwrap().config.get_options(), None, "{url}");
    }
}

#[test]
fn a_bad_address_is_explained_and_shows_nothing_of_itself() {
    let cases = [
        ("postgresql://u:hunter2@h/d?sslmode=perhaps", "sslmode"),
        ("postgresql://u:hunter2@h:port/d", "port"),
        ("postgresql://u:hunter2@h/d?sslkey=/hunter2", "sslkey"),
        // Special characters of a password that should have been percent-encoded.
        ("postgresql://u:hun@ter2?hunter2=5@h/d", "percent-encoded"),
        ("postgresql://u:hun@ter2?hunter2", "percent-encoded"),
        ("host=h user=u password=one hunter2=two", "unknown parameter"),
        ("host=h user=u password=one hunter2", "cannot be read"),
        ("host=h user=u password='hunter2", "cannot be read"),
        ("user=u password=hunter2", "no host"),
        ("hunter2", "cannot be read"),
        ("", "no host"),
    ];

    for (url, words) in cases {
        let failure = read(url).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Configuration, "{url}");
        assert!(failure.message.contains(words), "{url}: {}", failure.message);
        assert!(!failure.message.contains("hunter2"), "{url}: {}", failure.message);
    }
}
