//! `crm`: the tenant's contacts and conversations.

use std::time::Duration;

use tracing::Instrument;
use wasmtime::{Result, component::Accessor};

use super::{ANSWER_WITHIN, CRM_WITHIN, Context, Imports, http::Lowered, pipe, taken, within};
use crate::{
    contract::{
        Attachment, ChangePage, Contact, Features, Message, MessageUpdate, Outbound, OutboundOutcome, Person,
        PersonOutcome, PutOutcome, UpdateOutcome,
        imports::{crm as wit, http},
    },
    crm::CrmError,
    spans,
};

/// The most addresses, persons, messages or keys of one call.
const BATCH: usize = 1_000;

/// The longest attachment given inline, whatever the guest asks for, bytes.
const INLINE_ATTACHMENT: usize = 8 << 20;

impl wit::Host for Context {
    fn supported(&mut self) -> Result<Features> {
        Ok(self.capabilities.crm.features())
    }

    fn user(&mut self) -> Result<String> {
        Ok(self.capabilities.scope.user.as_str().to_owned())
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Imports {
    async fn find_contacts(
        accessor: &Accessor<T, Self>,
        addresses: Vec<String>,
    ) -> Result<Result<Vec<Contact>, wit::CrmError>> {
        let to = taken(accessor);
        if addresses.len() > BATCH {
            return Ok(Err(too_many(addresses.len())));
        }
        let contacts = to.crm.find_contacts(&to.scope, &addresses);
        Ok(called("find-contacts", ANSWER_WITHIN, contacts)
            .await
            .map_err(error))
    }

    async fn put_contacts(
        accessor: &Accessor<T, Self>,
        persons: Vec<Person>,
    ) -> Result<Result<Vec<PersonOutcome>, wit::CrmError>> {
        let to = taken(accessor);
        if persons.len() > BATCH {
            return Ok(Err(too_many(persons.len())));
        }
        let outcomes = to.crm.put_contacts(&to.scope, &persons);
        Ok(called("put-contacts", CRM_WITHIN, outcomes).await.map_err(error))
    }

    async fn remove_contacts(
        accessor: &Accessor<T, Self>,
        keys: Vec<String>,
    ) -> Result<Result<(), wit::CrmError>> {
        let to = taken(accessor);
        if keys.len() > BATCH {
            return Ok(Err(too_many(keys.len())));
        }
        let removed = to.crm.remove_contacts(&to.scope, &keys);
        Ok(called("remove-contacts", CRM_WITHIN, removed)
            .await
            .map_err(error))
    }

    async fn put_messages(
        accessor: &Accessor<T, Self>,
        messages: Vec<Message>,
    ) -> Result<Result<Vec<PutOutcome>, wit::CrmError>> {
        let to = taken(accessor);
        if messages.len() > BATCH {
            return Ok(Err(too_many(messages.len())));
        }
        let outcomes = to.crm.put_messages(&to.scope, &messages);
        Ok(called("put-messages", CRM_WITHIN, outcomes).await.map_err(error))
    }

    async fn find_messages(
        accessor: &Accessor<T, Self>,
        keys: Vec<String>,
    ) -> Result<Result<Vec<Option<String>>, wit::CrmError>> {
        let to = taken(accessor);
        if keys.len() > BATCH {
            return Ok(Err(too_many(keys.len())));
        }
        let ids = to.crm.find_messages(&to.scope, &keys);
        Ok(called("find-messages", ANSWER_WITHIN, ids).await.map_err(error))
    }

    async fn update_messages(
        accessor: &Accessor<T, Self>,
        updates: Vec<MessageUpdate>,
    ) -> Result<Result<Vec<UpdateOutcome>, wit::CrmError>> {
        let to = taken(accessor);
        if updates.len() > BATCH {
            return Ok(Err(too_many(updates.len())));
        }
        let outcomes = to.crm.update_messages(&to.scope, &updates);
        Ok(called("update-messages", CRM_WITHIN, outcomes)
            .await
            .map_err(error))
    }

    async fn put_attachment(
        accessor: &Accessor<T, Self>,
        message_key: String,
        attachment: Attachment,
        content: http::Body,
    ) -> Result<Result<PutOutcome, wit::CrmError>> {
        let to = taken(accessor);
        // An attachment is all of its bytes or nothing, whatever the stream itself announces.
        let content = pipe::lift(accessor, content, Some(attachment.size))?;
        let outcome = to
            .crm
            .put_attachment(&to.scope, &message_key, &attachment, content.body);
        Ok(called("put-attachment", CRM_WITHIN, outcome).await.map_err(error))
    }

    async fn open_attachment(
        accessor: &Accessor<T, Self>,
        outbound_id: String,
        attachment_id: String,
        inline_limit: u64,
    ) -> Result<Result<http::Body, wit::CrmError>> {
        let to = taken(accessor);
        let open = async {
            let body = to
                .crm
                .open_attachment(&to.scope, &outbound_id, &attachment_id)
                .await?;
            let limit = usize::try_from(inline_limit)
                .unwrap_or(usize::MAX)
                .min(INLINE_ATTACHMENT);
            body.inline_up_to(limit)
                .await
                .map_err(|error| CrmError::Unavailable(error.to_string()))
        };
        match called("open-attachment", CRM_WITHIN, open).await {
            Ok(body) => Lowered { body, length: None }.into_guest(accessor).map(Ok),
            Err(why) => Ok(Err(error(why))),
        }
    }

    async fn changes(
        accessor: &Accessor<T, Self>,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<Result<ChangePage, wit::CrmError>> {
        let to = taken(accessor);
        let page = to.crm.changes(&to.scope, cursor.as_deref(), limit.min(1_000));
        Ok(called("changes", ANSWER_WITHIN, page).await.map_err(error))
    }

    async fn next_outbound(
        accessor: &Accessor<T, Self>,
        limit: u32,
    ) -> Result<Result<Vec<Outbound>, wit::CrmError>> {
        let to = taken(accessor);
        let waiting = to.crm.next_outbound(&to.scope, limit.min(1_000));
        Ok(called("next-outbound", ANSWER_WITHIN, waiting)
            .await
            .map_err(error))
    }

    async fn report_outbound(
        accessor: &Accessor<T, Self>,
        id: String,
        outcome: OutboundOutcome,
    ) -> Result<Result<(), wit::CrmError>> {
        let to = taken(accessor);
        let report = to.crm.report_outbound(&to.scope, &id, &outcome);
        Ok(called("report-outbound", ANSWER_WITHIN, report)
            .await
            .map_err(error))
    }
}

/// A call of the CRM within its time, under its name in the contract.
async fn called<T>(
    name: &'static str,
    limit: Duration,
    call: impl Future<Output = std::result::Result<T, CrmError>>,
) -> std::result::Result<T, CrmError> {
    let span = spans::crm(name);
    let answer = within(limit, late, call).instrument(span.clone()).await;
    spans::called(&span, &answer);
    answer
}

pub(super) fn late() -> CrmError {
    CrmError::Unavailable("no answer in time".into())
}

fn too_many(number: usize) -> wit::CrmError {
    wit::CrmError::Refused(format!("{number} at once; {BATCH} is the most"))
}

fn error(error: CrmError) -> wit::CrmError {
    match error {
        CrmError::Unavailable(why) => wit::CrmError::Unavailable(why),
        CrmError::RateLimited(until) => wit::CrmError::RateLimited(until),
        CrmError::NotFound => wit::CrmError::NotFound,
        CrmError::Unsupported => wit::CrmError::Unsupported,
        CrmError::Refused(why) => wit::CrmError::Refused(why),
    }
}
