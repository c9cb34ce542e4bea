//! What the user ticks when they connect a mailbox: settings of the component that need consent of their own
//! (S08), as its manifest names them. Everything else in the settings is the operator's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::contract::OptionalScope;

/// The setting that brings the contacts of the Google account into the CRM.
pub const GOOGLE_CONTACTS: &str = "google-contacts";

/// The setting that tells the component its connection's BCC address (S18): the host's, not the user's.
pub const BCC_ADDRESS: &str = "bcc-address";

/// Whether a component's JSON Schema of its settings has this one.
pub(crate) fn knows_setting(schema: &str, name: &str) -> bool {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    schema["properties"].get(name).is_some()
}

/// Settings, JSON, with one more; settings that are no JSON object stay as they are.
pub(crate) fn with_setting(settings: &str, name: &str, value: Value) -> String {
    let Some(mut all) = members(settings) else {
        return settings.to_owned();
    };
    all.insert(name.to_owned(), value);
    Value::Object(all).to_string()
}

/// Settings that are ticked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices(BTreeSet<String>);

/// What a user asks for when they connect a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The mailbox that is meant (S03); absent: whichever they sign in to.
    pub address: Option<String>,
    /// What they ticked.
    #[serde(default)]
    pub choices: Choices,
}

impl Choices {
    /// These settings.
    pub fn ticked<'s>(settings: impl IntoIterator<Item = &'s str>) -> Self {
        Self(settings.into_iter().map(str::to_owned).collect())
    }

    /// Those of what is offered that are ticked in settings, JSON.
    pub fn of(offered: &[OptionalScope], settings: &str) -> Self {
        let settings = members(settings).unwrap_or_default();
        Self::ticked(
            offered
                .iter()
                .map(|offer| offer.setting.as_str())
                .filter(|setting| settings.get(*setting) == Some(&Value::Bool(true))),
        )
    }

    /// Whether this setting is ticked.
    pub fn has(&self, setting: &str) -> bool {
        self.0.contains(setting)
    }

    /// The scopes they need.
    pub fn scopes(&self, offered: &[OptionalScope]) -> Vec<String> {
        offered
            .iter()
            .filter(|offer| self.has(&offer.setting))
            .map(|offer| offer.scope.clone())
            .collect()
    }

    /// The operator's settings with these choices; settings that are no JSON object stay as they are.
    pub fn in_settings(&self, offered: &[OptionalScope], settings: &str) -> String {
        let Some(mut all) = members(settings) else {
            return settings.to_owned();
        };
        let before = all.clone();
        for offer in offered {
            if self.has(&offer.setting) {
                all.insert(offer.setting.clone(), Value::Bool(true));
            } else {
                all.remove(&offer.setting);
            }
        }
        if all == before {
            settings.to_owned()
        } else {
            Value::Object(all).to_string()
        }
    }
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

    fn offered() -> [OptionalScope; 1] {
        [OptionalScope {
            setting: GOOGLE_CONTACTS.to_owned(),
            scope: "contacts".to_owned(),
        }]
    }

    #[test]
    fn s08_choices_live_in_the_settings_beside_the_operators() {
        let ticked = Choices::ticked([GOOGLE_CONTACTS]);
        let settings = ticked.in_settings(&offered(), r#"{"daily-limit":7}"#);
        assert_eq!(settings, r#"{"daily-limit":7,"google-contacts":true}"#);
        assert_eq!(Choices::of(&offered(), &settings), ticked);
        let unticked = Choices::default().in_settings(&offered(), &settings);
        assert_eq!(unticked, r#"{"daily-limit":7}"#);
        assert_eq!(Choices::default().in_settings(&offered(), ""), "");
    }

    #[test]
    fn s08_only_what_is_offered_asks_for_a_scope() {
        assert_eq!(
            Choices::ticked([GOOGLE_CONTACTS, "else"]).scopes(&offered()),
            ["contacts"]
        );
        assert_eq!(Choices::ticked(["else"]).in_settings(&offered(), "{}"), "{}");
        assert_eq!(Choices::default().scopes(&offered()), [""; 0]);
    }
}
