//! `[push]`: Gmail announces changes.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{Failure, read_small};

/// Push by Google Cloud Pub/Sub.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::program) struct Push {
    /// `projects/{p}/topics/{t}`: where Gmail publishes.
    pub(in crate::program) topic: String,
    #[serde(default)]
    mode: PushMode,
    /// Audience of the subscription's tokens; by default the endpoint's address.
    audience: Option<String>,
    /// Address of the service account in the subscription's tokens.
    service_account: Option<String>,
    /// `projects/{p}/subscriptions/{s}`.
    subscription: Option<String>,
    /// Key file (JSON) of a service account that may pull.
    pub(super) service_account_key_file: Option<PathBuf>,
    /// Seconds between two looks at a mailbox that announces its changes.
    #[serde(default = "push_poll_seconds")]
    pub(in crate::program) poll_seconds: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PushMode {
    /// Pub/Sub posts to us.
    #[default]
    Push,
    /// We ask Pub/Sub.
    Pull,
}

/// How notifications come.
#[derive(Debug)]
pub(in crate::program) enum Delivery {
    /// Pub/Sub posts to us.
    Push {
        audience: String,
        service_account: String,
        subscription: Option<String>,
    },
    /// We ask Pub/Sub.
    Pull { subscription: String, key: SecretString },
}

impl Push {
    /// How notifications come, with all that it takes. `endpoint` is where Pub/Sub finds us.
    pub(in crate::program) fn delivery(&self, endpoint: &Url) -> Result<Delivery, Failure> {
        let advice = "The README's section on push shows the whole table [push].";
        let wrong = |what: String| Failure::configuration(format!("[push]: {what}"), advice);
        let missing = |what: &str| wrong(format!("{what} is needed with mode {:?}", self.mode));
        named(&self.topic, "topics").map_err(wrong)?;
        if let Some(subscription) = &self.subscription {
            named(subscription, "subscriptions").map_err(wrong)?;
        }
        match self.mode {
            PushMode::Push => Ok(Delivery::Push {
                audience: self.audience.clone().unwrap_or_else(|| endpoint.to_string()),
                service_account: self
                    .service_account
                    .clone()
                    .ok_or_else(|| missing("service_account"))?,
                subscription: self.subscription.clone(),
            }),
            PushMode::Pull => {
                let file = self.service_account_key_file.as_ref();
                let file = file.ok_or_else(|| missing("service_account_key_file"))?;
                let key = read_small(file).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
                Ok(Delivery::Pull {
                    subscription: self.subscription.clone().ok_or_else(|| missing("subscription"))?,
                    key: key.into(),
                })
            }
        }
    }
}

/// Checks the name of a topic or subscription: it becomes part of an address.
fn named(name: &str, kind: &str) -> Result<(), String> {
    let is_word = |word: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+%:".contains(&byte);
        !word.is_empty() && word.len() <= 255 && word.bytes().all(fits)
    };
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project, found, last] if *found == kind && is_word(project) && is_word(last) => Ok(()),
        _ => Err(format!(
            "{name:?} is not of the form projects/PROJECT/{kind}/NAME"
        )),
    }
}

fn push_poll_seconds() -> u64 {
    600
}
