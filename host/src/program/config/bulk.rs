//! `[bulk]` and `[tenants.NAME.bulk]`: where bulk and workflow mail goes (S22).

use std::path::{Path, PathBuf};

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
    password_file: Option<PathBuf>,
    /// A certificate, PEM, to trust beside those of the system.
    trusted_certificate_file: Option<PathBuf>,
    /// From whom all of it is: an address, or `Name <address>`.
    from: String,
    /// Letters a minute.
    #[serde(default = "bulk_per_minute")]
    pub(in crate::program) per_minute: u32,
}

impl BulkMail {
    /// Makes the paths in it relative to this folder.
    pub(super) fn in_folder(&mut self, folder: &Path) {
        for file in [&mut self.password_file, &mut self.trusted_certificate_file] {
            *file = file.take().map(|file| folder.join(file));
        }
    }

    /// The provider.
    pub(in crate::program) fn provider(&self, hostname: &str) -> Result<SmtpProvider, WrongBulk> {
        let read = |path: &PathBuf| {
            read_small(path).map_err(|error| WrongBulk(format!("{}: {error}", path.display())))
        };
        let wrong = |what: &str| WrongBulk(what.to_owned());
        let credentials = match (&self.username, &self.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), read(file)?.trim().to_owned().into())),
            (None, None) => None,
            _ => return Err(wrong("username and password_file go together")),
        };
        if credentials.is_some() && self.security == Security::None {
            return Err(wrong("a password is not sent without TLS"));
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
        SmtpProvider::new(settings).map_err(|error| WrongBulk(error.to_string()))
    }

    /// From whom all of it is.
    pub(in crate::program) fn sender(&self) -> Result<Mailbox, WrongBulk> {
        let wrong = || WrongBulk(format!("from = {:?} is no address", self.from));
        let mailbox: lettre::message::Mailbox = self.from.parse().map_err(|_| wrong())?;
        Ok(Mailbox {
            name: mailbox.name,
            address: mailbox.email.to_string(),
        })
    }
}

/// What is wrong with such a table.
#[derive(Debug)]
pub(in crate::program) struct WrongBulk(String);

impl WrongBulk {
    /// As it is said of the table with this name.
    pub(in crate::program) fn in_table(&self, table: &str) -> Failure {
        Failure::configuration(
            format!("[{table}]: {}", self.0),
            "The README's section on bulk mail shows the whole table.",
        )
    }
}

fn submission() -> u16 {
    587
}

fn bulk_per_minute() -> u32 {
    60
}
