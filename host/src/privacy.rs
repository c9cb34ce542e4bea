//! What a user wants to keep out of the CRM (T06, S30), in the settings of their connection: beside the operator's
//! settings and what was ticked ([`Choices`](crate::choices::Choices)). What it means is the component's to say;
//! the host keeps it with the user, whatever mailbox is connected when, and whatever the operator configures.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Of whose contacts mail is synced (S30).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssignedUsers {
    /// Of those that are assigned to the connected user or to nobody.
    #[default]
    Own,
    /// Of all.
    Any,
}

impl AssignedUsers {
    /// As settings have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Any => "any",
        }
    }

    /// What settings, JSON, come to where the user has chosen nothing.
    pub fn unless_chosen(settings: &str) -> Self {
        let settings = members(settings).unwrap_or_default();
        Self::among(&settings, ASSIGNED_USERS).unwrap_or_default()
    }

    /// Settings for a component that knows nothing of users' choices: what the user has chosen is what is set.
    pub(crate) fn as_set(settings: &str) -> String {
        let Some(mut all) = members(settings) else {
            return settings.to_owned();
        };
        match all.remove(ASSIGNED_USERS_CHOSEN) {
            Some(chosen) => {
                all.insert(ASSIGNED_USERS.to_owned(), chosen);
                Value::Object(all).to_string()
            }
            None => settings.to_owned(),
        }
    }

    fn among(settings: &Map<String, Value>, name: &str) -> Option<Self> {
        serde_json::from_value(settings.get(name)?.clone()).ok()
    }
}

/// What a user has chosen.
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
    /// Of whose contacts mail is synced (S30). None: as the operator has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_users: Option<AssignedUsers>,
}

const NEVER_SYNC: &str = "never-sync";
const INTERNAL_DOMAINS: &str = "internal-domains";
const OWN_ADDRESSES: &str = "own-addresses";
const ASSIGNED_USERS: &str = "assigned-users";
pub(crate) const ASSIGNED_USERS_CHOSEN: &str = "assigned-users-chosen";

impl Privacy {
    /// Those in settings, JSON. What is no list there counts as none.
    pub fn of(settings: &str) -> Self {
        let settings = members(settings).unwrap_or_default();
        let list = |name: &str| serde_json::from_value::<Vec<String>>(settings.get(name)?.clone()).ok();
        Self {
            never_sync: list(NEVER_SYNC).unwrap_or_default(),
            internal_domains: list(INTERNAL_DOMAINS),
            own_addresses: list(OWN_ADDRESSES).unwrap_or_default(),
            assigned_users: AssignedUsers::among(&settings, ASSIGNED_USERS_CHOSEN),
        }
    }

    /// The settings with this instead of what they have of it; settings that are no JSON object stay as they are.
    pub fn in_settings(&self, settings: &str) -> String {
        let Some(mut all) = members(settings) else {
            return settings.to_owned();
        };
        let before = all.clone();
        let list = |list: &Vec<String>| Value::from(list.clone());
        let whose = self.assigned_users.map(|whose| Value::from(whose.as_str()));
        let chosen = [
            (NEVER_SYNC, some(&self.never_sync).map(list)),
            (INTERNAL_DOMAINS, self.internal_domains.as_ref().map(list)),
            (OWN_ADDRESSES, some(&self.own_addresses).map(list)),
            (ASSIGNED_USERS_CHOSEN, whose),
        ];
        for (name, value) in chosen {
            match value {
                Some(value) => all.insert(name.to_owned(), value),
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
    /// domains are internal, and of whose contacts mail is synced, the user has the last word on.
    #[must_use]
    pub fn beside(self, settings: &str) -> Self {
        let operator = Self::of(settings);
        Self {
            never_sync: union(operator.never_sync, self.never_sync),
            internal_domains: self.internal_domains.or(operator.internal_domains),
            own_addresses: union(operator.own_addresses, self.own_addresses),
            assigned_users: self.assigned_users.or(operator.assigned_users),
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
    fn s30_what_the_user_has_chosen_outlives_what_the_operator_sets_anew() {
        let own = Privacy {
            assigned_users: Some(AssignedUsers::Own),
            ..Privacy::default()
        };
        let settings = own.in_settings(r#"{"assigned-users":"own"}"#);
        let anew = r#"{"assigned-users":"any"}"#;
        let settings = Privacy::of(&settings).beside(anew).in_settings(anew);
        assert_eq!(Privacy::of(&settings).assigned_users, Some(AssignedUsers::Own));
        assert_eq!(AssignedUsers::unless_chosen(&settings), AssignedUsers::Any);
        let unchosen = Privacy::default().in_settings(&settings);
        assert_eq!(
            (unchosen.as_str(), Privacy::of(&unchosen).assigned_users),
            (anew, None)
        );
    }

    #[test]
    fn t06_the_operators_list_is_kept_beside_the_users() {
        let operator = r#"{"never-sync":["bank.example"],"internal-domains":["corp.example"]}"#;
        let both = privacy(&["x.example", "bank.example"]).beside(operator);
        assert_eq!(both.never_sync, ["bank.example", "x.example"]);
        assert_eq!(both.internal_domains, Some(vec!["corp.example".to_owned()]));
    }
}
