//! A CRM that lacks, refuses and forgets what it likes, and answers with the wrong number of things.

use async_trait::async_trait;
use twinbox_host::{
    body::Body,
    contract::{
        Attachment, Change, ChangePage, Contact, Disposition, Features, Flags, Mailbox, Message,
        MessageUpdate, Outbound, OutboundAttachment, OutboundKind, OutboundOutcome, Person, PersonOutcome,
        PutOutcome, UpdateOutcome, WhenLimited,
    },
    crm::{Crm, CrmError},
    scope::Scope,
};

use super::{ANN, ME, Scripted, gmail::id};
use crate::Choices;

#[async_trait]
impl Crm for Scripted {
    fn features(&self) -> Features {
        self.decide(|choices| Features {
            server_idempotency: choices.yes(),
            deltas: choices.yes(),
            attachments: !choices.once_in(3),
            edit_after_log: !choices.once_in(3),
            outbound: !choices.once_in(4),
            address_book: !choices.once_in(3),
            body_limit: if choices.once_in(3) {
                choices.number()
            } else {
                1 << 20
            },
            subject_limit: if choices.once_in(3) {
                u32::from(choices.byte())
            } else {
                998
            },
        })
    }

    async fn find_contacts(&self, _: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError> {
        if self.fails(24) {
            return Err(self.decide(refusal));
        }
        Ok(self.decide(|choices| {
            let mut contacts = choices.list(3, |choices| contact(choices, &choices.clone().text()));
            contacts.extend(
                addresses
                    .iter()
                    .filter(|address| address.contains("ann@"))
                    .map(|address| contact(choices, address)),
            );
            contacts
        }))
    }

    async fn put_contacts(&self, _: &Scope, persons: &[Person]) -> Result<Vec<PersonOutcome>, CrmError> {
        if self.fails(24) {
            return Err(self.decide(refusal));
        }
        Ok(self.decide(|choices| {
            choices.list(persons.len() + 1, |choices| {
                let text = choices.text();
                if choices.yes() {
                    PersonOutcome::Stored(text)
                } else {
                    PersonOutcome::Refused(text)
                }
            })
        }))
    }

    async fn remove_contacts(&self, _: &Scope, _: &[String]) -> Result<(), CrmError> {
        if self.fails(24) {
            return Err(self.decide(refusal));
        }
        Ok(())
    }

    async fn put_messages(&self, _: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError> {
        if self.fails(24) {
            return Err(self.decide(refusal));
        }
        Ok(self.decide(|choices| {
            outcomes(choices, messages.len(), |choices| match choices.below(8) {
                0 => PutOutcome::Already(choices.text()),
                1 => PutOutcome::Refused(choices.text()),
                2 => PutOutcome::Unknown,
                _ => PutOutcome::Stored("m".into()),
            })
        }))
    }

    async fn find_messages(&self, _: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError> {
        Ok(self.decide(|choices| outcomes(choices, keys.len(), |choices| choices.option(Choices::text))))
    }

    async fn update_messages(
        &self,
        _: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError> {
        Ok(self.decide(|choices| {
            outcomes(choices, updates.len(), |choices| match choices.below(3) {
                0 => UpdateOutcome::Gone,
                1 => UpdateOutcome::Refused(choices.text()),
                _ => UpdateOutcome::Done,
            })
        }))
    }

    async fn put_attachment(
        &self,
        _: &Scope,
        _: &str,
        _: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError> {
        match self.decide(|choices| choices.below(8)) {
            0 => Err(self.decide(refusal)),
            // Given up before its end.
            1 => Ok(PutOutcome::Refused("too large".into())),
            _ => content
                .collect(64 << 20)
                .await
                .map(|_| PutOutcome::Stored("a".into()))
                .map_err(|error| CrmError::Unavailable(error.to_string())),
        }
    }

    async fn open_attachment(&self, _: &Scope, _: &str, _: &str) -> Result<Body, CrmError> {
        if self.fails(8) {
            return Err(self.decide(refusal));
        }
        Ok(Body::Inline(self.decide(|choices| choices.bytes(200)).into()))
    }

    async fn changes(&self, _: &Scope, _: Option<&str>, _: u32) -> Result<ChangePage, CrmError> {
        Ok(self.decide(|choices| ChangePage {
            changes: choices.list(3, |choices| Change {
                key: choices.text(),
                flags: Flags {
                    unread: choices.yes(),
                    starred: choices.yes(),
                    archived: choices.yes(),
                    trashed: choices.yes(),
                },
                deleted: choices.yes(),
                at: choices.number(),
            }),
            cursor: choices.text(),
            more: choices.yes(),
        }))
    }

    async fn next_outbound(&self, _: &Scope, _: u32) -> Result<Vec<Outbound>, CrmError> {
        if self.fails(24) {
            return Err(self.decide(refusal));
        }
        Ok(self.decide(|choices| choices.list(3, outbound)))
    }

    async fn report_outbound(&self, _: &Scope, _: &str, _: &OutboundOutcome) -> Result<(), CrmError> {
        if self.fails(12) {
            Err(self.decide(refusal))
        } else {
            Ok(())
        }
    }
}

/// One for each, or a wrong number of them.
fn outcomes<T>(
    choices: &mut Choices<'_>,
    number: usize,
    outcome: impl FnMut(&mut Choices<'_>) -> T,
) -> Vec<T> {
    let number = if choices.once_in(12) {
        choices.below(4)
    } else {
        number
    };
    let mut outcome = outcome;
    (0..number).map(|_| outcome(choices)).collect()
}

fn refusal(choices: &mut Choices<'_>) -> CrmError {
    match choices.below(5) {
        0 => CrmError::Unavailable(choices.text()),
        1 => CrmError::RateLimited(choices.number()),
        2 => CrmError::NotFound,
        3 => CrmError::Unsupported,
        _ => CrmError::Refused(choices.text()),
    }
}

fn contact(choices: &mut Choices<'_>, address: &str) -> Contact {
    Contact {
        id: format!("c{}", choices.byte()),
        name: choices.text(),
        addresses: vec![address.to_owned(), choices.text()],
        created_at: choices.number(),
        assigned_user: choices.option(Choices::text),
        private: choices.once_in(8),
    }
}

fn outbound(choices: &mut Choices<'_>) -> Outbound {
    let mailbox = |choices: &mut Choices<'_>| Mailbox {
        name: choices.option(Choices::text),
        address: if choices.once_in(4) {
            choices.text()
        } else {
            ANN.to_owned()
        },
    };
    Outbound {
        id: format!("o{}", choices.below(4)),
        kind: match choices.below(6) {
            0 => OutboundKind::Bulk,
            1 => OutboundKind::Workflow,
            _ => OutboundKind::OneToOne,
        },
        contact_id: choices.text(),
        thread: choices.once_in(3).then(|| format!("gmail/{ME}/{}", id(choices))),
        in_reply_to: choices.once_in(3).then(|| format!("gmail/{ME}/{}", id(choices))),
        sender: choices.once_in(4).then(|| mailbox(choices)),
        to: (0..=choices.below(2)).map(|_| mailbox(choices)).collect(),
        cc: choices.list(2, mailbox),
        bcc: choices.list(2, mailbox),
        subject: choices.text(),
        text: choices.text(),
        html: choices.option(Choices::text),
        attachments: choices.list(2, |choices| OutboundAttachment {
            id: choices.text(),
            name: choices.text(),
            media_type: choices.text(),
            size: choices.number(),
            content_id: choices.option(Choices::text),
            disposition: if choices.yes() {
                Disposition::Inline
            } else {
                Disposition::Attached
            },
        }),
        queued_at: choices.number(),
        when_limited: if choices.yes() {
            WhenLimited::Fail
        } else {
            WhenLimited::Wait
        },
    }
}
