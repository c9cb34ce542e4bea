//! `twinbox.toml`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::failure::Failure;
use crate::vault::Endpoints;

/// Largest configuration read, bytes.
const LARGEST: u64 = 1024 * 1024;

/// The configuration of `twinbox serve` and what goes with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where the pages are.
    #[serde(default = "listen")]
    pub(super) listen: SocketAddr,
    /// How browsers reach them; the consent page sends them back to `/oauth/callback` below it.
    pub(super) public_url: Option<Url>,
    /// Where the state is, and the key that seals the tokens.
    #[serde(default = "data")]
    pub(super) data: PathBuf,
    /// The component; by default the one beside the program.
    pub(super) plugin: Option<PathBuf>,
    /// Seconds between two looks at a mailbox.
    #[serde(default = "poll_seconds")]
    pub(super) poll_seconds: u64,
    /// Which of Google's tables of quota units holds for the project.
    #[serde(default)]
    pub(super) quota_table: QuotaTable,
    /// Messages a mailbox may send in 24 hours: 500, or 2,000 for Workspace.
    #[serde(default = "daily_limit")]
    pub(super) daily_limit: u32,
    pub(super) google: Google,
    #[serde(default)]
    pub(super) origins: Origins,
}

/// Google's tables of quota units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum QuotaTable {
    /// Projects from before 2026-05-01.
    Old,
    /// Projects made since.
    #[default]
    New,
}

impl QuotaTable {
    /// Units a minute, per mailbox.
    pub(super) fn per_minute(self) -> u32 {
        match self {
            Self::Old => 15_000,
            Self::New => 6_000,
        }
    }

    /// The plugin's settings.
    pub(super) fn settings(self, daily_limit: u32) -> String {
        let table = match self {
            Self::Old => "old",
            Self::New => "new",
        };
        serde_json::json!({ "quota-table": table, "daily-limit": daily_limit }).to_string()
    }
}

/// The OAuth client of the Google Cloud project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Google {
    pub(super) client_id: String,
    /// A file that holds the client secret and nothing else.
    pub(super) client_secret_file: PathBuf,
}

/// Servers that stand in for Google's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Origins {
    /// For `https://gmail.googleapis.com`.
    pub(super) api: Option<String>,
    authorize: Option<String>,
    token: Option<String>,
    revoke: Option<String>,
    jwks: Option<String>,
    userinfo: Option<String>,
    /// What id tokens may name as their issuer.
    issuers: Option<Vec<String>>,
}

impl Origins {
    /// Google's endpoints, or what stands in for them.
    pub(super) fn endpoints(&self) -> Endpoints {
        let google = Endpoints::default();
        let or = |stand_in: &Option<String>, real: String| stand_in.clone().unwrap_or(real);
        Endpoints {
            authorize: or(&self.authorize, google.authorize),
            token: or(&self.token, google.token),
            revoke: or(&self.revoke, google.revoke),
            jwks: or(&self.jwks, google.jwks),
            userinfo: or(&self.userinfo, google.userinfo),
            issuers: self.issuers.clone().unwrap_or(google.issuers),
        }
    }
}

impl Config {
    /// Reads the file. Paths in it are relative to its folder.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let advice = "The README shows a whole twinbox.toml; --config names another file.";
        let text =
            read_small(path).map_err(|error| Failure::configuration(format!("{shown}: {error}"), advice))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| Failure::configuration(format!("{shown}: {error}"), advice))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.data = folder.join(&config.data);
        config.plugin = config.plugin.map(|plugin| folder.join(plugin));
        config.google.client_secret_file = folder.join(&config.google.client_secret_file);
        Ok(config)
    }

    /// The client secret.
    pub(super) fn client_secret(&self) -> Result<SecretString, Failure> {
        let path = &self.google.client_secret_file;
        let secret = read_small(path).map_err(|error| {
            let advice = "Put the OAuth client's secret into this file, readable for you alone.";
            Failure::configuration(format!("{}: {error}", path.display()), advice)
        })?;
        Ok(secret.trim().to_owned().into())
    }

    /// Where browsers find the pages.
    pub(super) fn public_url(&self) -> Result<Url, Failure> {
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None => Url::parse(&format!("http://{}", self.listen))
                .map_err(|error| Failure::configuration(error, "Set public_url in the configuration.")),
        }
    }
}

fn read_small(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(std::io::Error::other("the file is too large"));
    }
    std::fs::read_to_string(path)
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn data() -> PathBuf {
    PathBuf::from("data")
}

fn poll_seconds() -> u64 {
    30
}

fn daily_limit() -> u32 {
    500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_client_has_no_default() {
        let config: Config =
            toml::from_str("[google]\nclient_id = \"x\"\nclient_secret_file = \"s\"").unwrap();
        assert_eq!(config.poll_seconds, 30);
        assert_eq!(config.origins.endpoints().token, Endpoints::default().token);
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(
            toml::from_str::<Config>("lisen = \"x\"\n[google]\nclient_id=\"\"\nclient_secret_file=\"\"")
                .is_err()
        );
    }
}
