//! TLS to PostgreSQL, by rustls. The chain of the certificate and the name of the host are always
//! verified (promise 12).

use std::sync::Arc;

use limit_increase_workflow::{Failure, FailureKind};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Roots;
use crate::environment;

/// Authorities that are a part of the program, in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedAuthorities(&'static str);

impl PackedAuthorities {
    /// Those of RDS and Aurora, which are not among the web's authorities.
    pub const RDS: Self = Self(include_str!("../certificates/rds-global-bundle.pem"));

    /// Others in their place. A test packs its own authority in this way.
    #[must_use]
    pub const fn new(pem: &'static str) -> Self {
        Self(pem)
    }
}

/// TLS that trusts these authorities only. `packed` is trusted beside the public ones.
///
/// # Errors
/// `Permanent.Configuration` when a file of certificates cannot be read, or is empty.
pub(crate) fn connector(
    roots: &Roots,
    packed: PackedAuthorities,
) -> Result<MakeRustlsConnect, Failure> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::File(path) => add_file(&mut store, "sslrootcert", path)?,
        Roots::Public => {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            add_packed(&mut store, packed)?;
            if let Some(path) = environment::optional("DATABASE_CA_FILE") {
                add_file(&mut store, "DATABASE_CA_FILE", &path)?;
            }
        }
    }

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(FailureKind::Configuration, format!("TLS: {error}")))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(tls))
}

/// Adds the authorities that are a part of the program. RDS's bundle takes 9 ms in a build
/// that is not optimised, once for each pool that uses TLS. A connection in plain text does not
/// pay it.
fn add_packed(store: &mut RootCertStore, packed: PackedAuthorities) -> Result<(), Failure> {
    let packed_failure = |problem: &dyn std::fmt::Display| {
        Failure::new(
            FailureKind::Internal,
            format!("an authority that is packed into the program cannot be read: {problem}"),
        )
    };

    for certificate in CertificateDer::pem_slice_iter(packed.0.as_bytes()) {
        let certificate = certificate.map_err(|error| packed_failure(&error))?;
        store.add(certificate).map_err(|error| packed_failure(&error))?;
    }

    Ok(())
}

/// Adds the authorities of a file, whose path the setting `named_by` gives.
fn add_file(store: &mut RootCertStore, named_by: &str, path: &str) -> Result<(), Failure> {
    let file_failure = |problem: &dyn std::fmt::Display| {
        Failure::new(
            FailureKind::Configuration,
            format!(
                "{named_by} {path}: {problem}; expected certificates in PEM, such as RDS's \
                 global-bundle.pem"
            ),
        )
    };

    let before = store.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| file_failure(&error))? {
        let certificate = certificate.map_err(|error| file_failure(&error))?;
        store.add(certificate).map_err(|error| file_failure(&error))?;
    }

    if store.len() == before { Err(file_failure(&"there is no certificate in it")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, SystemTime};

    use x509_cert::Certificate;
    use x509_cert::der::Decode as _;

    use super::*;

    fn bundle() -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(PackedAuthorities::RDS.0.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn every_authority_of_rds_is_trusted() {
        let in_file = PackedAuthorities::RDS.0.matches("-----BEGIN CERTIFICATE-----").count();
        assert_eq!(in_file, 108, "a new bundle: give its number here and in its README");

        let mut store = RootCertStore::empty();
        add_packed(&mut store, PackedAuthorities::RDS).unwrap();
        assert_eq!(store.len(), in_file);
    }

    #[test]
    fn no_authority_of_rds_expires_within_a_year() {
        let in_a_year = SystemTime::now() + Duration::from_secs(365 * 24 * 60 * 60);
        let mut first = String::from("9999");
        for certificate in bundle() {
            let certificate = Certificate::from_der(&certificate).unwrap().tbs_certificate;
            let not_after = certificate.validity.not_after;
            assert!(
                not_after.to_system_time() > in_a_year,
                "{} expires on {not_after}: put AWS's newer bundle in its place, as its README \
                 says",
                certificate.subject,
            );
            first = first.min(not_after.to_string());
        }

        assert!(first.starts_with("2061-05-18"), "the README names the first to expire: {first}");
    }

    #[test]
    fn a_packed_authority_that_cannot_be_read_is_a_defect() {
        let broken = PackedAuthorities::new(
            "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n",
        );
        let failure = add_packed(&mut RootCertStore::empty(), broken).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Internal);
    }
}
