//! `[bulk]`: where bulk and workflow mail goes (S22).

use std::path::PathBuf;

use serde::Deserialize;

use super::{Failure, read_small};
use crate::{
    contract::Mailbox,
    smtp::bulk::{Security, SmtpProvider, SmtpSettings},
};

/// The provider of bulk and workflow mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::program) struct BulkMail {
    host: String,
    #[serde(default = "submission")]
    port: u16,
    #[serde(default)]
    security: Security,
    username: Option<String>,
    /// A file that holds the password and nothing else.
    pub(super) password_file: Option<PathBuf>,
    /// A certificate, PEM, to trust beside those of the system.
    pub(super) trusted_certificate_file: Option<PathBuf>,
    /// From whom all of it is: an address, or `Name <address>`.
    from: String,
    /// Letters a minute.
    #[serde(default = "bulk_per_minute")]
    pub(in crate::program) per_minute: u32,
}

impl BulkMail {
    /// The provider.
    pub(in crate::program) fn provider(&self, hostname: &str) -> Result<SmtpProvider, Failure> {
        let read = |path: &PathBuf| {
            read_small(path).map_err(|error| wrong_bulk(format!("{}: {error}", path.display())))
        };
        let credentials = match (&self.username, &self.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), read(file)?.trim().to_owned().into())),
            (None, None) => None,
            _ => return Err(wrong_bulk("username and password_file go together")),
        };
        if credentials.is_some() && self.security == Security::None {
            return Err(wrong_bulk("a password is not sent without TLS"));
        }
        let trusted = self.trusted_certificate_file.as_ref().map(read).transpose()?;
        let settings = SmtpSettings {
            host: self.host.clone(),
            port: self.port,
            security: self.security,
            credentials,
            trusted: trusted.map(String::into_bytes),
            hostname: hostname.to_owned(),
        };
        SmtpProvider::new(settings).map_err(wrong_bulk)
    }

    /// From whom all of it is.
    pub(in crate::program) fn sender(&self) -> Result<Mailbox, Failure> {
        let wrong = || wrong_bulk(format!("from = {:?} is no address", self.from));
        let mailbox: lettre::message::Mailbox = self.from.parse().map_err(|_| wrong())?;
        Ok(Mailbox {
            name: mailbox.name,
            address: mailbox.email.to_string(),
        })
    }
}

fn wrong_bulk(what: impl std::fmt::Display) -> Failure {
    Failure::configuration(
        format!("[bulk]: {what}"),
        "The README's section on bulk mail shows the whole table [bulk].",
    )
}

fn submission() -> u16 {
    587
}

fn bulk_per_minute() -> u32 {
    60
}
