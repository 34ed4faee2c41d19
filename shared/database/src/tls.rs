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

/// TLS that trusts these authorities only.
///
/// # Errors
/// `Permanent.Configuration` when a file of certificates cannot be read, or is empty.
pub(crate) fn connector(roots: &Roots) -> Result<MakeRustlsConnect, Failure> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::File(path) => add_file(&mut store, "sslrootcert", path)?,
        Roots::Public => {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
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
