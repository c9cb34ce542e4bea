//! One request for connections: its parameters, what it continues, and its answer.
//!
//! A request that asks for a sync token or has one is a sync: it may lag behind the writes, and no order can be chosen.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::contacts::{FullSync, Version};
use super::person::{self, Listing};
use super::token::{self, Cursor, PageToken, SyncToken};
use crate::api::Query;
use crate::behaviour::Behaviour;
use crate::errors::ApiError;
use crate::mailbox::Account;
use crate::world::World;

/// People on a page unless asked otherwise, and at most.
const PAGE: (usize, usize) = (100, 1_000);
/// The one of `sources` that contacts come from.
const CONTACT_SOURCE: &str = "READ_SOURCE_TYPE_CONTACT";
/// What `sources` may name.
const SOURCES: [&str; 5] = [
    CONTACT_SOURCE,
    "READ_SOURCE_TYPE_PROFILE",
    "READ_SOURCE_TYPE_DOMAIN_CONTACT",
    "READ_SOURCE_TYPE_OTHER_CONTACT",
    "READ_SOURCE_TYPE_UNSPECIFIED",
];
const REFERENCE: &str =
    "Valid paths are documented at https://developers.google.com/people/api/rest/v1/people.connections/list.";

/// Order of the people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    LastModifiedAscending,
    LastModifiedDescending,
    FirstName,
    LastName,
}

/// Whether a sync token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Reading,
    Syncing,
}

/// A request, read and found well-formed.
struct Asked<'a> {
    fields: BTreeSet<&'a str>,
    page_size: usize,
    order: Order,
    sources: BTreeSet<String>,
    purpose: Purpose,
    sync_token: Option<&'a str>,
    page_token: Option<&'a str>,
}

/// The answer of `people.connections.list` for an account.
pub(super) fn list(world: &mut World, key: &str, query: &Query) -> Result<Value, ApiError> {
    let asked = Asked::read(query)?;
    let (now, behaviour) = (world.steady(), &world.behaviour);
    let account = world.accounts.get_mut(key);
    let account = account.ok_or_else(ApiError::invalid_credentials)?;
    let cursor = asked.begin(account, behaviour, now)?;
    Ok(asked.answer(account, cursor, now))
}

impl<'a> Asked<'a> {
    fn read(query: &'a Query) -> Result<Self, ApiError> {
        let asked = Self {
            fields: read_fields(query)?,
            page_size: read_page_size(query)?,
            order: read_order(query)?,
            sources: read_sources(query)?,
            purpose: if query.flag("requestSyncToken")? {
                Purpose::Syncing
            } else {
                Purpose::Reading
            },
            sync_token: query.get("syncToken"),
            page_token: query.get("pageToken"),
        };
        if asked.is_sync() && asked.order != Order::LastModifiedAscending {
            return Err(ApiError::bad_request(
                "Sort order is only allowed when no sync is requested.",
            ));
        }
        Ok(asked)
    }

    fn is_sync(&self) -> bool {
        self.purpose == Purpose::Syncing || self.sync_token.is_some()
    }

    /// What later syncs have to repeat. Whether they ask for a token does not matter: Google's own sample no longer does
    /// when it has one.
    fn sync_fingerprint(&self) -> String {
        token::fingerprint(&format!(
            "{:?} {} {:?} {:?}",
            self.fields, self.page_size, self.order, self.sources
        ))
    }

    /// What later pages have to repeat.
    fn page_fingerprint(&self) -> String {
        token::fingerprint(&format!(
            "{} {:?} {:?}",
            self.sync_fingerprint(),
            self.purpose,
            self.sync_token
        ))
    }

    /// Where the answer begins.
    fn begin(&self, account: &mut Account, behaviour: &Behaviour, now: i64) -> Result<Cursor, ApiError> {
        match (self.page_token, self.sync_token) {
            (Some(page), _) => self.next_page(page, account, behaviour, now),
            (None, Some(sync)) => self.changes_since(sync, account, behaviour, now),
            (None, None) => self.everybody(account, behaviour, now),
        }
    }

    fn next_page(
        &self,
        text: &str,
        account: &Account,
        behaviour: &Behaviour,
        now: i64,
    ) -> Result<Cursor, ApiError> {
        let invalid = || ApiError::bad_request("Page token is invalid or expired.");
        let page: PageToken = token::open(&account.subject, text).ok_or_else(invalid)?;
        let too_old = now.saturating_sub(page.given_at) >= behaviour.contacts_page_token_lifetime_ms;
        account.hits.when("contacts_page_token_lifetime_ms", too_old);
        if too_old || page.epoch != account.contacts.page_epoch {
            return Err(invalid());
        }
        if page.asked != self.page_fingerprint() {
            return Err(mismatch("page"));
        }
        Ok(page.cursor)
    }

    fn changes_since(
        &self,
        text: &str,
        account: &Account,
        behaviour: &Behaviour,
        now: i64,
    ) -> Result<Cursor, ApiError> {
        let hits = &account.hits;
        let invalid = || ApiError::bad_request("Sync token is invalid.");
        let sync: SyncToken = token::open(&account.subject, text).ok_or_else(invalid)?;
        let too_old = now.saturating_sub(sync.synced_at) >= behaviour.contacts_sync_token_lifetime_ms;
        hits.when("contacts_sync_token_lifetime_ms", too_old);
        if too_old || sync.epoch != account.contacts.sync_epoch {
            hits.add("contacts_sync_token_refusal");
            return Err(ApiError::sync_token_expired(
                behaviour.contacts_sync_token_refusal,
            ));
        }
        if sync.asked != self.sync_fingerprint() {
            return Err(mismatch("sync"));
        }
        let renewed = hits.when("contacts_sync_renews", behaviour.contacts_sync_renews);
        Ok(Cursor {
            after: Some(sync.position),
            until: visible(account, behaviour, now).max(sync.position),
            offset: 0,
            synced_at: if renewed { now } else { sync.synced_at },
        })
    }

    fn everybody(&self, account: &mut Account, behaviour: &Behaviour, now: i64) -> Result<Cursor, ApiError> {
        let limit = behaviour.contacts_full_syncs_per_minute;
        if self.is_sync() && account.contacts.begin_full_sync(now, limit) == FullSync::Refused {
            account.hits.add("contacts_full_syncs_per_minute");
            return Err(full_sync_quota());
        }
        let until = if self.is_sync() {
            visible(account, behaviour, now)
        } else {
            account.contacts.len()
        };
        Ok(Cursor {
            after: None,
            until,
            offset: 0,
            synced_at: now,
        })
    }

    fn answer(&self, account: &Account, cursor: Cursor, now: i64) -> Value {
        let contacts = &account.contacts;
        let mut all = if self.shows_contacts() {
            contacts.newest(cursor.after, cursor.until)
        } else {
            Vec::new()
        };
        self.sort(&mut all);
        let listing = match cursor.after {
            Some(_) => Listing::Changes,
            None => Listing::Full,
        };
        let page = all.iter().skip(cursor.offset).take(self.page_size);
        let page: Vec<Value> = page
            .map(|version| person::show(version, &self.fields, listing))
            .collect();
        let mut answer = Map::new();
        let offset = cursor.offset + page.len();
        if !page.is_empty() {
            answer.insert("connections".to_owned(), json!(page));
        }
        if offset < all.len() {
            let next = PageToken {
                cursor: Cursor { offset, ..cursor },
                given_at: now,
                epoch: contacts.page_epoch,
                asked: self.page_fingerprint(),
            };
            let next = token::seal(&account.subject, &next);
            answer.insert("nextPageToken".to_owned(), json!(next));
        } else if self.is_sync() {
            let next = SyncToken {
                position: cursor.until,
                synced_at: cursor.synced_at,
                epoch: contacts.sync_epoch,
                asked: self.sync_fingerprint(),
            };
            let next = token::seal(&account.subject, &next);
            answer.insert("nextSyncToken".to_owned(), json!(next));
        }
        // A number that is zero is absent, as any field without content.
        if !all.is_empty() {
            answer.insert("totalPeople".to_owned(), json!(all.len()));
            answer.insert("totalItems".to_owned(), json!(all.len()));
        }
        Value::Object(answer)
    }

    fn shows_contacts(&self) -> bool {
        self.sources.is_empty() || self.sources.contains(CONTACT_SOURCE)
    }

    fn sort(&self, all: &mut [&Version]) {
        match self.order {
            Order::LastModifiedAscending => {}
            Order::LastModifiedDescending => all.sort_by_key(|version| Reverse(version.position)),
            Order::FirstName => all.sort_by_key(|version| person::first_name(version)),
            Order::LastName => all.sort_by_key(|version| person::last_name(version)),
        }
    }
}

/// The position up to which a sync sees changes.
fn visible(account: &Account, behaviour: &Behaviour, now: i64) -> usize {
    let contacts = &account.contacts;
    let until = contacts.visible(now, behaviour.contacts_lag_ms);
    account.hits.when("contacts_lag_ms", until < contacts.len());
    until
}

fn read_fields(query: &Query) -> Result<BTreeSet<&str>, ApiError> {
    let text = query.get("personFields").ok_or_else(|| {
        ApiError::bad_request(format!(
            "personFields mask is required. Please specify one or more valid paths. {REFERENCE}"
        ))
    })?;
    let fields: BTreeSet<&str> = text.split(',').map(str::trim).collect();
    match fields.iter().find(|field| !person::FIELDS.contains(field)) {
        Some(unknown) => Err(ApiError::bad_request(format!(
            "Invalid personFields mask path: \"{unknown}\". {REFERENCE}"
        ))),
        None => Ok(fields),
    }
}

/// 0 stands for the default.
fn read_page_size(query: &Query) -> Result<usize, ApiError> {
    let Some(text) = query.get("pageSize") else {
        return Ok(PAGE.0);
    };
    match text.parse::<i32>() {
        Ok(0) => Ok(PAGE.0),
        Ok(number) => match usize::try_from(number) {
            Ok(size) if size <= PAGE.1 => Ok(size),
            _ => Err(ApiError::bad_request(format!(
                "Page size must be between 1 and {}.",
                PAGE.1
            ))),
        },
        Err(_) => Err(ApiError::bad_value("page_size", text)),
    }
}

fn read_order(query: &Query) -> Result<Order, ApiError> {
    match query.get("sortOrder") {
        None | Some("LAST_MODIFIED_ASCENDING") => Ok(Order::LastModifiedAscending),
        Some("LAST_MODIFIED_DESCENDING") => Ok(Order::LastModifiedDescending),
        Some("FIRST_NAME_ASCENDING") => Ok(Order::FirstName),
        Some("LAST_NAME_ASCENDING") => Ok(Order::LastName),
        Some(other) => Err(ApiError::bad_value("sort_order", other)),
    }
}

fn read_sources(query: &Query) -> Result<BTreeSet<String>, ApiError> {
    let sources: BTreeSet<String> = query.all("sources").into_iter().collect();
    match sources.iter().find(|source| !SOURCES.contains(&source.as_str())) {
        Some(unknown) => Err(ApiError::bad_value("sources", unknown)),
        None => Ok(sources),
    }
}

fn mismatch(token: &str) -> ApiError {
    ApiError::bad_request(format!(
        "All other request parameters must match the first call that provided the {token} token."
    ))
}

/// As seen in php-google-people-api#45.
fn full_sync_quota() -> ApiError {
    ApiError::too_many("Resource has been exhausted (e.g. check quota).").with_details(json!([{
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"subject": "QUOTA_EXCEEDED", "description": "FBS quota limit exceeded"}],
    }]))
}
