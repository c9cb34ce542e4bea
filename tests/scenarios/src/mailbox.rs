//! A mailbox as its owner sees and uses it, in Gmail.

use std::sync::Arc;

use axum::http;
use base64::{Engine, engine::general_purpose::URL_SAFE};
use bytes::Bytes;
use gmail_sim::{MailboxView, MessageView};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::Platform;

/// Somebody's mailbox.
pub struct Mailbox {
    platform: Arc<Platform>,
    address: String,
}

impl Mailbox {
    pub(crate) fn new(platform: Arc<Platform>, address: &str) -> Self {
        Self {
            platform,
            address: address.to_owned(),
        }
    }

    /// All there is.
    pub fn view(&self) -> MailboxView {
        self.platform
            .sim
            .mailbox(&self.address)
            .unwrap_or_else(|| panic!("there is no mailbox {}", self.address))
    }

    /// The messages with a label, oldest first.
    pub fn labelled(&self, label: &str) -> Vec<MessageView> {
        let mut messages = self.view().messages;
        messages.retain(|message| message.has(label));
        messages
    }

    /// What was sent, oldest first.
    pub fn sent(&self) -> Vec<MessageView> {
        self.labelled("SENT")
    }

    /// The inbox, oldest first.
    pub fn inbox(&self) -> Vec<MessageView> {
        self.labelled("INBOX")
    }

    /// How many drafts there are.
    pub fn drafts(&self) -> usize {
        self.view().drafts.len()
    }

    /// Sends a message; its id.
    pub async fn send(&self, raw: &[u8]) -> String {
        let sent = self
            .call(Method::POST, "messages/send", &json!({ "raw": encode(raw) }))
            .await;
        text(&sent, "id")
    }

    /// Puts a message into the mailbox as if it had been there when it was dated; its id.
    pub async fn import(&self, raw: &[u8]) -> String {
        let path = "messages/import?internalDateSource=dateHeader";
        let imported = self
            .call(
                Method::POST,
                path,
                &json!({ "raw": encode(raw), "labelIds": ["INBOX"] }),
            )
            .await;
        text(&imported, "id")
    }

    /// Saves a new draft; its id.
    pub async fn save_draft(&self, raw: &[u8]) -> String {
        let message = json!({ "message": { "raw": encode(raw) } });
        let draft = self.call(Method::POST, "drafts", &message).await;
        text(&draft, "id")
    }

    /// Saves a draft again.
    pub async fn update_draft(&self, id: &str, raw: &[u8]) {
        let message = json!({ "message": { "raw": encode(raw) } });
        self.call(Method::PUT, &format!("drafts/{id}"), &message).await;
    }

    /// Sends a draft.
    pub async fn send_draft(&self, id: &str) {
        self.call(Method::POST, "drafts/send", &json!({ "id": id })).await;
    }

    /// Deletes every draft.
    pub async fn delete_drafts(&self) {
        for (id, _) in self.view().drafts {
            self.call(Method::DELETE, &format!("drafts/{id}"), &Value::Null)
                .await;
        }
    }

    /// The labels of a message, in the order of their names.
    pub fn labels(&self, id: &str) -> Vec<String> {
        let messages = self.view().messages;
        let message = messages.into_iter().find(|message| message.id == id);
        let mut labels: Vec<String> = message.expect("a message").labels.into_iter().collect();
        labels.sort();
        labels
    }

    /// Adds and removes labels of a message.
    pub async fn label(&self, id: &str, add: &[&str], remove: &[&str]) {
        let change = json!({ "addLabelIds": add, "removeLabelIds": remove });
        self.call(Method::POST, &format!("messages/{id}/modify"), &change)
            .await;
    }

    /// Moves a message to the trash.
    pub async fn trash(&self, id: &str) {
        self.call(Method::POST, &format!("messages/{id}/trash"), &Value::Null)
            .await;
    }

    /// Takes a message out of the trash.
    pub async fn untrash(&self, id: &str) {
        self.call(Method::POST, &format!("messages/{id}/untrash"), &Value::Null)
            .await;
    }

    /// Deletes a message for good.
    pub async fn delete(&self, id: &str) {
        self.call(Method::DELETE, &format!("messages/{id}"), &Value::Null)
            .await;
    }

    /// Stars a message and takes the star away again, so many changes in all.
    pub fn stars_by_turns(&self, id: &str, changes: usize) {
        let star = json!({ "addLabelIds": ["STARRED"], "removeLabelIds": [] });
        let unstar = json!({ "addLabelIds": [], "removeLabelIds": ["STARRED"] });
        let changes = [star, unstar].into_iter().cycle().take(changes);
        self.call_directly("POST", &format!("messages/{id}/modify"), changes);
    }

    /// Saves a draft again and again.
    pub fn autosaves(&self, draft: &str, raw: &[u8], times: usize) {
        let message = json!({ "message": { "raw": encode(raw) } });
        let saves = std::iter::repeat_n(message, times);
        self.call_directly("PUT", &format!("drafts/{draft}"), saves);
    }

    /// Calls with these bodies, one after the other and no socket between: what makes a long history.
    fn call_directly(&self, method: &str, path: &str, bodies: impl Iterator<Item = Value>) {
        let sim = &self.platform.sim;
        let token = self.token();
        for body in bodies {
            let request = http::Request::builder()
                .method(method)
                .uri(format!("https://gmail.googleapis.com/gmail/v1/users/me/{path}"))
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .body(Bytes::from(body.to_string()));
            let answer = sim.handle(request.expect("a request"));
            assert!(answer.status().is_success(), "{path}: {answer:?}");
        }
    }

    fn token(&self) -> String {
        let tokens = self
            .platform
            .sim
            .issue_token(&self.address, &["https://mail.google.com/"]);
        tokens.expect("a mailbox").access_token
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let platform = &self.platform;
        let url = format!("{}/gmail/v1/users/me/{path}", platform.origin);
        let mut request = platform.browser.request(method, url).bearer_auth(self.token());
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let bytes = answer.bytes().await.expect("an answer");
        assert!(
            status.is_success(),
            "{path}: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

fn encode(raw: &[u8]) -> String {
    URL_SAFE.encode(raw)
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().expect("a member").to_owned()
}
