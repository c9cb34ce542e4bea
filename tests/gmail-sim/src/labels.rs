//! Labels: the fixed system ones and the user's own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::errors::ApiError;

/// Inbox.
pub(crate) const INBOX: &str = "INBOX";
/// Sent mail.
pub(crate) const SENT: &str = "SENT";
/// Drafts.
pub(crate) const DRAFT: &str = "DRAFT";
/// Spam.
pub(crate) const SPAM: &str = "SPAM";
/// Trash.
pub(crate) const TRASH: &str = "TRASH";
/// Unread.
pub(crate) const UNREAD: &str = "UNREAD";

const SYSTEM: [&str; 14] = [
    "CHAT",
    SENT,
    INBOX,
    "IMPORTANT",
    TRASH,
    DRAFT,
    SPAM,
    "CATEGORY_FORUMS",
    "CATEGORY_UPDATES",
    "CATEGORY_PERSONAL",
    "CATEGORY_PROMOTIONS",
    "CATEGORY_SOCIAL",
    "STARRED",
    UNREAD,
];

/// Who made a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    System,
    User,
}

/// A label.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) owner: Owner,
    pub(crate) listing: Option<String>,
    pub(crate) sidebar: Option<String>,
    pub(crate) color: Option<Value>,
}

impl Label {
    /// As `labels.list` shows it.
    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "id": self.id,
            "name": self.name,
            "type": if self.owner == Owner::System { "system" } else { "user" },
        });
        if let Some(object) = value.as_object_mut() {
            if let Some(visibility) = &self.listing {
                object.insert("messageListVisibility".to_owned(), json!(visibility));
            }
            if let Some(visibility) = &self.sidebar {
                object.insert("labelListVisibility".to_owned(), json!(visibility));
            }
            if let Some(color) = &self.color {
                object.insert("color".to_owned(), color.clone());
            }
        }
        value
    }

    /// Takes over what a label resource in a request says about visibility and colour.
    pub(crate) fn update(&mut self, body: &Value) -> Result<(), ApiError> {
        if let Some(visibility) = text(body, "messageListVisibility") {
            one_of("label.message_list_visibility", visibility, &["show", "hide"])?;
            self.listing = Some(visibility.to_owned());
        }
        if let Some(visibility) = text(body, "labelListVisibility") {
            one_of(
                "label.label_list_visibility",
                visibility,
                &["labelShow", "labelShowIfUnread", "labelHide"],
            )?;
            self.sidebar = Some(visibility.to_owned());
        }
        if let Some(color) = body.get("color").filter(|color| color.is_object()) {
            let shown = ["backgroundColor", "textColor"]
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), json!(text(color, name)?))))
                .collect();
            self.color = Some(Value::Object(shown));
        }
        Ok(())
    }
}

/// The labels every mailbox has.
pub(crate) fn system_labels() -> BTreeMap<String, Label> {
    SYSTEM
        .iter()
        .map(|name| {
            let label = Label {
                id: (*name).to_owned(),
                name: (*name).to_owned(),
                owner: Owner::System,
                listing: Some("hide".to_owned()),
                sidebar: Some("labelShow".to_owned()),
                color: None,
            };
            ((*name).to_owned(), label)
        })
        .collect()
}

/// Checks label ids that a request wants to add or remove.
pub(crate) fn check_changeable(known: &BTreeMap<String, Label>, ids: &[String]) -> Result<(), ApiError> {
    if ids.len() > 100 {
        return Err(ApiError::invalid("Too many labels: at most 100"));
    }
    match ids
        .iter()
        .find(|id| !known.contains_key(*id) || [SENT, DRAFT, "CHAT"].contains(&id.as_str()))
    {
        Some(id) => Err(ApiError::invalid(format!("Invalid label: {id}"))),
        None => Ok(()),
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn one_of(field: &str, value: &str, allowed: &[&str]) -> Result<(), ApiError> {
    if allowed.contains(&value) {
        Ok(())
    } else {
        Err(ApiError::bad_value(field, value))
    }
}
