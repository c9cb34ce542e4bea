//! What the user's address book says: `people.connections.list` of Google's People API v1, as it is made for
//! keeping a copy (<https://developers.google.com/people/api/rest/v1/people.connections/list>). The only module
//! that knows its URLs and JSON; its errors have the envelope that Gmail's have.

use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::{
    gmail::{GmailError, Outcome, classify},
    ports::{Host, Incoming, Request, Source},
};

/// Where the API is.
pub const API_ORIGIN: &str = "https://people.googleapis.com";
/// The scope to read the address book.
pub const SCOPE: &str = "https://www.googleapis.com/auth/contacts.readonly";
/// The scope that includes it.
const SCOPE_WRITE: &str = "https://www.googleapis.com/auth/contacts";
/// The longest page, in bytes: 1,000 people with several names and addresses each.
const PAGE_LIMIT: u64 = 8 * 1024 * 1024;

/// Whether these scopes let the address book be read.
pub fn is_granted(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| scope == SCOPE || scope == SCOPE_WRITE)
}

/// A page of people.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeoplePage {
    /// The people.
    pub connections: Vec<GooglePerson>,
    /// The page after it.
    pub next_page_token: Option<String>,
    /// On the last page: brings what changes from now on, for seven days.
    pub next_sync_token: Option<String>,
}

/// One of the address book.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GooglePerson {
    /// `people/…`; stays the same for ever.
    pub resource_name: String,
    /// What Google says of the entry.
    pub metadata: PersonMetadata,
    /// The names.
    pub names: Vec<Field>,
    /// The addresses, in the user's order.
    pub email_addresses: Vec<Field>,
}

/// What Google says of an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PersonMetadata {
    /// Whether it left the address book.
    pub deleted: bool,
}

/// A name or an address.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Field {
    /// A name, as the user reads it.
    pub display_name: String,
    /// An address, as the user wrote it.
    pub value: String,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The tokens are too old (seven days) or not Google's: everything has to be listed again.
    #[error("the sync token has expired")]
    StartOver,
    /// Anything else.
    #[error(transparent)]
    Google(GmailError),
}

/// A page of the people that changed since the sync token was given; without one, of all.
pub async fn list(
    host: &impl Host,
    sync_token: Option<&str>,
    page_token: Option<&str>,
) -> Result<PeoplePage, PeopleError> {
    let mut query = Serializer::new(String::new());
    // With a token Google wants all parameters as they were when it was given.
    query.append_pair("personFields", "metadata,names,emailAddresses");
    query.append_pair("pageSize", "1000");
    query.append_pair("requestSyncToken", "true");
    for (name, token) in [("syncToken", sync_token), ("pageToken", page_token)] {
        if let Some(token) = token {
            query.append_pair(name, token);
        }
    }
    let request = Request {
        method: "GET",
        url: format!("{API_ORIGIN}/v1/people/me/connections?{}", query.finish()),
        content_type: None,
        body: Vec::new(),
        inline_limit: PAGE_LIMIT,
    };
    let response = host
        .send(request)
        .await
        .map_err(|failure| PeopleError::Google(failure.into()))?;
    let retry_after = response.header("retry-after").map(str::to_owned);
    let status = response.status;
    let body = match response.body {
        Incoming::Whole(bytes) => bytes,
        Incoming::Stream(_) if status == 200 => return Err(PeopleError::Google(GmailError::TooLarge)),
        Incoming::Stream(mut stream) => stream.next().await.unwrap_or_default(),
    };
    match status {
        200 => serde_json::from_slice(&body).map_err(|error| {
            PeopleError::Google(GmailError::Unavailable {
                message: format!("the answer is not Google's: {error}"),
                outcome: Outcome::NotDone,
            })
        }),
        // EXPIRED_SYNC_TOKEN, a page token that is too old, or parameters of another version.
        400 | 410 if sync_token.or(page_token).is_some() => Err(PeopleError::StartOver),
        _ => Err(PeopleError::Google(classify(
            status,
            retry_after.as_deref(),
            &body,
            host.now(),
        ))),
    }
}
