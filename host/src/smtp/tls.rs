//! Certificate and key of the listener, read again from time to time: certificates are renewed under a
//! running server.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// How often the files are read again.
const FRESH: Duration = Duration::from_hours(1);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}", path = .file.display())]
pub struct TlsFilesError {
    file: PathBuf,
    why: String,
}

/// A certificate chain and its key, PEM.
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<(Instant, TlsAcceptor)>,
}

impl TlsFiles {
    /// Reads the files.
    pub fn open(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsFilesError> {
        let loaded = load(&certificate, &key)?;
        Ok(Self {
            certificate,
            key,
            loaded: Mutex::new((Instant::now(), loaded)),
        })
    }

    /// What is in the files. Where they cannot be read any more, what was in them goes on.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.0.elapsed() > FRESH {
            loaded.0 = Instant::now();
            match load(&self.certificate, &self.key) {
                Ok(new) => loaded.1 = new,
                Err(error) => {
                    tracing::warn!(%error, "the certificate cannot be read again; the one before goes on");
                }
            }
        }
        loaded.1.clone()
    }
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

fn load(certificate: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor, TlsFilesError> {
    let wrong = |file: &PathBuf, why: String| TlsFilesError {
        file: file.clone(),
        why,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| wrong(certificate, error.to_string()))?
        .collect();
    let chain = chain.map_err(|error| wrong(certificate, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| wrong(certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
