//! What a user wants to keep out of the CRM (T06), as lists in the settings of their connection: beside the operator's
//! settings and what was ticked ([`Choices`](crate::choices::Choices)). What the lists mean is the component's to say;
//! the host keeps them with the user, whatever mailbox is connected when, and whatever the operator configures.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The lists of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Privacy {
    /// Addresses, and domains with their subdomains, of which no mail is ever synced.
    pub never_sync: Vec<String>,
    /// Domains with their subdomains whose people are colleagues: mail among them alone is not synced. None: the
    /// mailbox's own domain, unless it is one that the provider gives to anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_domains: Option<Vec<String>>,
    /// Addresses that are the user's own beside the mailbox's and its aliases: they are never the contact.
    pub own_addresses: Vec<String>,
}

const NEVER_SYNC: &str = "never-sync";
const INTERNAL_DOMAINS: &str = "internal-domains";
const OWN_ADDRESSES: &str = "own-addresses";

impl Privacy {
    /// Those in settings, JSON. What is no list there counts as none.
    pub fn of(settings: &str) -> Self {
        let settings = members(settings).unwrap_or_default();
        let list = |name: &str| serde_json::from_value::<Vec<String>>(settings.get(name)?.clone()).ok();
        Self {
            never_sync: list(NEVER_SYNC).unwrap_or_default(),
            internal_domains: list(INTERNAL_DOMAINS),
            own_addresses: list(OWN_ADDRESSES).unwrap_or_default(),
        }
    }

    /// The settings with these lists instead of theirs; settings that are no JSON object stay as they are.
    pub fn in_settings(&self, settings: &str) -> String {
        let Some(mut all) = members(settings) else {
            return settings.to_owned();
        };
        let before = all.clone();
        let lists = [
            (NEVER_SYNC, some(&self.never_sync)),
            (INTERNAL_DOMAINS, self.internal_domains.as_ref()),
            (OWN_ADDRESSES, some(&self.own_addresses)),
        ];
        for (name, list) in lists {
            match list {
                Some(list) => all.insert(name.to_owned(), list.clone().into()),
                None => all.remove(name),
            };
        }
        if all == before {
            settings.to_owned()
        } else {
            Value::Object(all).to_string()
        }
    }

    /// The user's lists beside the operator's, of settings: nothing is synced that either of them keeps out. Which
    /// domains are internal the user has the last word on.
    #[must_use]
    pub fn beside(self, settings: &str) -> Self {
        let operator = Self::of(settings);
        Self {
            never_sync: union(operator.never_sync, self.never_sync),
            internal_domains: self.internal_domains.or(operator.internal_domains),
            own_addresses: union(operator.own_addresses, self.own_addresses),
        }
    }

    /// Adds an address of the user's own, unless it is there.
    pub(crate) fn owning(mut self, address: &str) -> Self {
        self.own_addresses = union(self.own_addresses, vec![address.to_owned()]);
        self
    }
}

fn some(list: &Vec<String>) -> Option<&Vec<String>> {
    (!list.is_empty()).then_some(list)
}

fn union(mut list: Vec<String>, more: Vec<String>) -> Vec<String> {
    for entry in more {
        if !list.contains(&entry) {
            list.push(entry);
        }
    }
    list
}

fn members(settings: &str) -> Option<Map<String, Value>> {
    if settings.trim().is_empty() {
        return Some(Map::new());
    }
    serde_json::from_str(settings).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn privacy(never: &[&str]) -> Privacy {
        Privacy {
            never_sync: never.iter().map(|&entry| entry.to_owned()).collect(),
            ..Privacy::default()
        }
    }

    #[test]
    fn t06_lists_live_in_the_settings_beside_the_rest() {
        let settings = privacy(&["x.example"]).in_settings(r#"{"daily-limit":7}"#);
        assert_eq!(settings, r#"{"daily-limit":7,"never-sync":["x.example"]}"#);
        assert_eq!(Privacy::of(&settings), privacy(&["x.example"]));
        assert_eq!(Privacy::default().in_settings(&settings), r#"{"daily-limit":7}"#);
        assert_eq!(Privacy::default().in_settings(""), "");
        let none = Privacy {
            internal_domains: Some(Vec::new()),
            ..Privacy::default()
        };
        assert_eq!(none.in_settings(""), r#"{"internal-domains":[]}"#);
        assert_eq!(Privacy::of(r#"{"internal-domains":[]}"#), none);
    }

    #[test]
    fn t06_the_operators_list_is_kept_beside_the_users() {
        let operator = r#"{"never-sync":["bank.example"],"internal-domains":["corp.example"]}"#;
        let both = privacy(&["x.example", "bank.example"]).beside(operator);
        assert_eq!(both.never_sync, ["bank.example", "x.example"]);
        assert_eq!(both.internal_domains, Some(vec!["corp.example".to_owned()]));
    }
}
