//! Mail that somebody writes with some client: it arrives, or the user sends it from Gmail.

use gmail_sim::Delivery;

use crate::{ANN, File, World, mime};

/// A message to be written. From Ann to the user, unless told otherwise.
#[must_use]
pub struct Mail<'w> {
    world: &'w World,
    /// In order; a later field of a name replaces an earlier one.
    fields: Vec<(&'static str, String)>,
    text: String,
    html: Option<String>,
    files: Vec<File>,
    at: Option<i64>,
    labels: Option<Vec<String>>,
}

/// A message in the user's mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The provider's id.
    pub id: String,
    /// The provider's thread id.
    pub thread: String,
    /// Message-ID with its brackets, as it was written.
    pub message_id: String,
}

impl<'w> Mail<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let number = world.next_number();
        let mail = Self {
            world,
            fields: Vec::new(),
            text: format!("This is message {number}."),
            html: None,
            files: Vec::new(),
            at: None,
            labels: None,
        };
        mail.from(&format!("Ann <{ANN}>"))
            .to(&world.seat.mailbox)
            .subject(&format!("Message {number}"))
            .header("Message-ID", &format!("<{number}@written.example>"))
    }

    /// Sets From.
    pub fn from(self, from: &str) -> Self {
        self.header("From", from)
    }

    /// The user writes it, from their address.
    pub fn from_me(self) -> Self {
        let from = format!("Mia Meyer <{}>", self.world.seat.mailbox);
        self.from(&from)
    }

    /// Sets To.
    pub fn to(self, to: &str) -> Self {
        self.header("To", to)
    }

    /// Sets Cc.
    pub fn cc(self, cc: &str) -> Self {
        self.header("Cc", cc)
    }

    /// Sets Bcc.
    pub fn bcc(self, bcc: &str) -> Self {
        self.header("Bcc", bcc)
    }

    /// Sets the subject.
    pub fn subject(self, subject: &str) -> Self {
        self.header("Subject", subject)
    }

    /// Sets any header field.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value.to_owned()));
        self
    }

    /// Answers a message: In-Reply-To and References name it.
    pub fn answering(self, message_id: &str) -> Self {
        self.header("In-Reply-To", message_id)
            .header("References", message_id)
    }

    /// Sets the text.
    pub fn text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    /// Adds HTML beside the text.
    pub fn html(mut self, html: &str) -> Self {
        self.html = Some(html.to_owned());
        self
    }

    /// Adds a file.
    pub fn carrying(mut self, file: File) -> Self {
        self.files.push(file);
        self
    }

    /// Gmail accepted it at this time, ms since the epoch.
    pub fn accepted_at(mut self, at: u64) -> Self {
        self.at = Some(i64::try_from(at).expect("a time"));
        self
    }

    /// Sets its labels.
    pub fn labelled(mut self, labels: &[&str]) -> Self {
        self.labels = Some(labels.iter().map(|&label| label.to_owned()).collect());
        self
    }

    /// It arrives in the user's mailbox, from outside.
    pub fn arrives(self) -> Arrived {
        self.world.tick(1_000);
        let message_id = self.field("Message-ID");
        let delivery = Delivery {
            at: self.at,
            labels: self.labels.clone(),
            ..Delivery::new(self.world.seat.mailbox.clone(), self.raw())
        };
        let delivered = self.world.sim().deliver(&delivery).expect("a mailbox");
        Arrived {
            id: delivered.id,
            thread: delivered.thread_id,
            message_id,
        }
    }

    /// The user sends it, from Gmail; the provider's id.
    pub async fn is_sent_from_gmail(self) -> String {
        self.world.tick(1_000);
        self.world.gmail().send(&self.raw()).await
    }

    /// The user saves it as a draft in Gmail; the draft's id.
    pub async fn is_drafted_in_gmail(self) -> String {
        self.world.tick(1_000);
        self.world.gmail().save_draft(&self.raw()).await
    }

    /// Its bytes.
    pub fn raw(&self) -> Vec<u8> {
        let mut raw = String::new();
        for (name, value) in &self.fields {
            raw.extend([name, ": ", value, "\r\n"]);
        }
        raw.push_str("MIME-Version: 1.0\r\n");
        raw.push_str(&mime::entity(&self.text, self.html.as_deref(), &self.files));
        raw.into_bytes()
    }

    fn field(&self, name: &str) -> String {
        let field = self.fields.iter().find(|(known, _)| *known == name);
        field.map(|(_, value)| value.clone()).unwrap_or_default()
    }
}
