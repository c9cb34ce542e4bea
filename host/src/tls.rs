//! TLS for every client of the process.

/// Chooses the cryptography provider: reqwest is built without one of its own. One that the process
/// has chosen before stays.
pub(crate) fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
