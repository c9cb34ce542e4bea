//! `[bcc]`: mail is logged that users send to an address of ours in Bcc (S18).

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::Failure;
use crate::smtp::{ListenerLimits, TlsFiles};

/// BCC addresses, and the SMTP server for them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::program) struct Bcc {
    /// What comes after the `@`; its MX record leads to this server.
    pub(in crate::program) domain: String,
    /// Where the server listens.
    #[serde(default = "bcc_listen")]
    pub(in crate::program) listen: SocketAddr,
    /// How the server calls itself; the domain, unless it is told otherwise.
    hostname: Option<String>,
    /// Certificate chain, PEM. With it the server offers TLS.
    pub(super) certificate_file: Option<PathBuf>,
    /// Its key, PEM.
    pub(super) key_file: Option<PathBuf>,
    /// The largest message, MB.
    #[serde(default = "bcc_message_mb")]
    max_message_mb: u64,
}

impl Bcc {
    /// The largest message that the component takes, MB.
    const LARGEST_MB: u64 = 38;

    /// How the server calls itself.
    pub(in crate::program) fn hostname(&self) -> &str {
        self.hostname.as_deref().unwrap_or(&self.domain)
    }

    /// What it may take.
    pub(in crate::program) fn limits(&self) -> Result<ListenerLimits, Failure> {
        for name in [self.domain.as_str(), self.hostname()] {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            if !(1..=253).contains(&name.len()) || !name.bytes().all(fits) {
                return Err(wrong_bcc(format!("{name:?} is no domain")));
            }
        }
        if !(1..=Self::LARGEST_MB).contains(&self.max_message_mb) {
            return Err(wrong_bcc(format!("max_message_mb is 1 to {}", Self::LARGEST_MB)));
        }
        Ok(ListenerLimits {
            message: self.max_message_mb << 20,
            ..ListenerLimits::default()
        })
    }

    /// Certificate and key, if they are configured.
    pub(in crate::program) fn tls(&self) -> Result<Option<TlsFiles>, Failure> {
        match (&self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key)) => TlsFiles::open(certificate.clone(), key.clone())
                .map(Some)
                .map_err(wrong_bcc),
            (None, None) => Ok(None),
            _ => Err(wrong_bcc("certificate_file and key_file go together")),
        }
    }
}

fn wrong_bcc(what: impl std::fmt::Display) -> Failure {
    Failure::configuration(
        format!("[bcc]: {what}"),
        "The README's section on the BCC address shows the whole table [bcc].",
    )
}

fn bcc_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 25))
}

fn bcc_message_mb() -> u64 {
    36
}
