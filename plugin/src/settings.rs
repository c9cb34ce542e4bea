//! The settings of a connection, as JSON from the host.

use serde::Deserialize;

use crate::{
    contract::{Problem, SettingsError},
    gmail::UnitTable,
    mail::{MAX_ADDRESS_BYTES, domain, normalise},
    mutation::Mutation,
    rules::{AssignedUsers, s18_bcc_address, s21_limits::CONSUMER_MESSAGES, t06_privacy::Listed},
};

/// The most entries of one list.
const MOST_ENTRIES: usize = 1_000;

/// The setting that brings the contacts of the Google account (S08).
pub const GOOGLE_CONTACTS: &str = "google-contacts";

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Which of Google's tables of quota units holds for the project.
    pub quota_table: UnitTable,
    /// The most messages sent in 24 hours (S21): 500, or 2,000 for Workspace.
    pub daily_limit: u32,
    /// The Pub/Sub topic that Gmail publishes to; none: the mailbox is polled.
    pub push_topic: Option<String>,
    /// Whose contacts are synced unless the user has chosen (S30).
    pub assigned_users: AssignedUsers,
    /// Whose contacts the user has chosen to sync (S30).
    pub assigned_users_chosen: Option<AssignedUsers>,
    /// Whether the contacts of the Google account are brought into the CRM (S08).
    pub google_contacts: bool,
    /// Addresses and domains of which no mail is ever synced (T06).
    pub never_sync: Vec<String>,
    /// Domains whose people are colleagues: mail among them alone is not synced (T06). None: the mailbox's own.
    pub internal_domains: Option<Vec<String>>,
    /// Further addresses of the user, beside the mailbox's and its aliases.
    pub own_addresses: Vec<String>,
    /// The address that mail is logged by when it is sent to it in Bcc (S18); none: there is none.
    pub bcc_address: Option<String>,
    /// A deliberate bug.
    #[cfg(feature = "mutations")]
    pub mutation: Option<Mutation>,
}

impl Settings {
    /// Whose contacts are synced (S30).
    pub fn whose(&self) -> AssignedUsers {
        self.assigned_users_chosen.unwrap_or(self.assigned_users)
    }

    /// Whether mail to this address is logged rather than read (S18).
    pub fn is_logging(&self, address: &str) -> bool {
        s18_bcc_address::is_logging(address, self.bcc_address.as_deref())
    }

    /// Whether the component has this deliberate bug.
    #[cfg(feature = "mutations")]
    pub fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Whether the component has this deliberate bug: no.
    #[cfg(not(feature = "mutations"))]
    pub const fn has(&self, _: Mutation) -> bool {
        false
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quota_table: UnitTable::default(),
            daily_limit: CONSUMER_MESSAGES,
            push_topic: None,
            assigned_users: AssignedUsers::default(),
            assigned_users_chosen: None,
            google_contacts: false,
            never_sync: Vec::new(),
            internal_domains: None,
            own_addresses: Vec::new(),
            bcc_address: None,
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }
}

/// JSON Schema of [`Settings`].
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "quota-table": { "enum": ["old", "new"], "default": "new",
      "description": "Google's table of quota units: old for projects from before 2026-05-01" },
    "daily-limit": { "type": "integer", "minimum": 1, "maximum": 10000, "default": 500,
      "description": "Messages the mailbox may send in 24 hours" },
    "push-topic": { "type": "string", "pattern": "^projects/[^/]+/topics/[^/]+$",
      "description": "The Pub/Sub topic that Gmail publishes to; without one the mailbox is polled" },
    "assigned-users": { "enum": ["own", "any"], "default": "own",
      "description": "Whose contacts are synced unless the user has chosen: the connected user's and those that are nobody's, or any user's" },
    "assigned-users-chosen": { "enum": ["own", "any"],
      "description": "Whose contacts the user has chosen to sync" },
    "bcc-address": { "type": "string", "pattern": "^[^@]+@[^@]+$",
      "description": "The address that mail is logged by when it is sent to it in Bcc; the host makes it" },
    "google-contacts": { "type": "boolean", "default": false,
      "description": "Whether the contacts of the Google account are brought into the CRM" },
    "never-sync": { "type": "array", "items": { "type": "string", "maxLength": 320 }, "maxItems": 1000, "default": [],
      "description": "Addresses, and domains with their subdomains, of which no mail is ever synced" },
    "internal-domains": { "type": "array", "items": { "type": "string", "maxLength": 320 }, "maxItems": 1000,
      "description": "Domains with their subdomains: mail among their people alone is not synced; the mailbox's own unless told otherwise" },
    "own-addresses": { "type": "array", "items": { "type": "string", "maxLength": 320 }, "maxItems": 1000, "default": [],
      "description": "Further addresses of the user" }
  }
}"#;

/// Reads settings; empty text means the defaults.
pub fn parse(text: &str) -> Result<Settings, Vec<SettingsError>> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let settings: Settings = serde_json::from_str(text).map_err(|error| {
        vec![SettingsError {
            pointer: String::new(),
            message: error.to_string(),
        }]
    })?;
    if !(1..=10_000).contains(&settings.daily_limit) {
        let message = "must be between 1 and 10000".to_owned();
        return Err(vec![SettingsError {
            pointer: "/daily-limit".to_owned(),
            message,
        }]);
    }
    if settings
        .push_topic
        .as_deref()
        .is_some_and(|topic| !is_topic(topic))
    {
        let message = "must be projects/<project>/topics/<topic>".to_owned();
        return Err(vec![SettingsError {
            pointer: "/push-topic".to_owned(),
            message,
        }]);
    }
    let errors = unusable(&settings);
    if errors.is_empty() {
        Ok(settings)
    } else {
        Err(errors)
    }
}

/// The entries of lists that name nobody.
fn unusable(settings: &Settings) -> Vec<SettingsError> {
    type IsUsable = fn(&str) -> bool;
    let internal = settings.internal_domains.as_deref().unwrap_or_default();
    let is_address = |entry: &str| normalise(entry).is_some();
    let is_domain = |entry: &str| domain(entry).is_some();
    let is_either = |entry: &str| Listed::of(entry).is_some();
    let lists: [(&str, &[String], &str, IsUsable); 3] = [
        (
            "never-sync",
            &settings.never_sync,
            "an address or a domain",
            is_either,
        ),
        ("internal-domains", internal, "a domain", is_domain),
        ("own-addresses", &settings.own_addresses, "an address", is_address),
    ];
    let mut errors = Vec::new();
    for (name, entries, wanted, is_usable) in lists {
        if entries.len() > MOST_ENTRIES {
            errors.push(SettingsError {
                pointer: format!("/{name}"),
                message: format!("must have at most {MOST_ENTRIES} entries"),
            });
        }
        for (place, entry) in entries.iter().enumerate() {
            if entry.len() > MAX_ADDRESS_BYTES || !is_usable(entry) {
                errors.push(SettingsError {
                    pointer: format!("/{name}/{place}"),
                    message: format!("must be {wanted}"),
                });
            }
        }
    }
    errors
}

fn is_topic(text: &str) -> bool {
    matches!(
        text.split('/').collect::<Vec<_>>()[..],
        ["projects", project, "topics", topic] if !project.is_empty() && !topic.is_empty()
    )
}

/// Reads settings for a pass.
pub fn require(text: &str) -> Result<Settings, Problem> {
    parse(text).map_err(|errors| {
        let texts: Vec<String> = errors
            .iter()
            .map(|error| format!("{} {}", error.pointer, error.message))
            .collect();
        Problem::SettingsInvalid(texts.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_settings_are_the_defaults() {
        assert_eq!(parse(""), Ok(Settings::default()));
    }

    #[test]
    fn unknown_and_impossible_settings_are_refused() {
        assert!(parse(r#"{"colour": 1}"#).is_err());
        assert_eq!(
            parse(r#"{"daily-limit": 0}"#).unwrap_err()[0].pointer,
            "/daily-limit"
        );
        let topic = parse(r#"{"push-topic": "gmail"}"#).unwrap_err();
        assert_eq!(topic[0].pointer, "/push-topic");
    }

    #[test]
    fn s30_what_the_user_has_chosen_goes_before_what_the_platform_has_set() {
        let whose = |text: &str| parse(text).map(|settings| settings.whose());
        assert_eq!(whose("{}"), Ok(AssignedUsers::Own));
        assert_eq!(whose(r#"{"assigned-users": "any"}"#), Ok(AssignedUsers::Any));
        let chosen = r#"{"assigned-users": "any", "assigned-users-chosen": "own"}"#;
        assert_eq!(whose(chosen), Ok(AssignedUsers::Own));
        assert_eq!(
            whose(r#"{"assigned-users-chosen": "any"}"#),
            Ok(AssignedUsers::Any)
        );
        assert!(parse(r#"{"assigned-users-chosen": "tom"}"#).is_err());
    }

    #[test]
    fn the_schema_names_every_setting() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let known = schema["properties"].as_object().unwrap();
        assert_eq!(
            known.keys().map(String::as_str).collect::<Vec<_>>(),
            [
                "assigned-users",
                "assigned-users-chosen",
                "bcc-address",
                "daily-limit",
                GOOGLE_CONTACTS,
                "internal-domains",
                "never-sync",
                "own-addresses",
                "push-topic",
                "quota-table"
            ]
        );
    }

    #[test]
    fn t06_an_entry_that_names_nobody_is_refused_at_its_place() {
        let refused = |text: &str| -> Vec<String> {
            let errors = parse(text).unwrap_err();
            errors.into_iter().map(|error| error.pointer).collect()
        };
        assert_eq!(
            refused(r#"{"never-sync": ["bob@x.example", "bob", "x.example"]}"#),
            ["/never-sync/1"]
        );
        assert_eq!(
            refused(r#"{"internal-domains": ["a@x.example"], "own-addresses": ["x.example"]}"#),
            ["/internal-domains/0", "/own-addresses/0"]
        );
        assert!(parse(r#"{"never-sync": ["@x.example", "bücher.example"], "internal-domains": []}"#).is_ok());
    }
}
