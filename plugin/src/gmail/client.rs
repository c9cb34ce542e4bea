//! The calls: one method each, quota and retries included.

use std::cell::Cell;

use futures_util::{StreamExt, stream};
use mail_parser::DateTime;
use serde::{Serialize, de::DeserializeOwned};
use url::form_urlencoded::byte_serialize;

use super::{
    API_ORIGIN,
    error::{GmailError, Outcome, RateScope, classify},
    model::{
        Draft, DraftList, Folders, FullAnswer, FullMessage, HistoryPage, ListPage, MessageRef, Metadata,
        Profile, RawAnswer, SendAs, SendAsList, Summary, ThreadAnswer, Watching,
    },
    units::{Call, UnitTable},
};
use crate::{
    contract::{Class, Penalty, QuotaError},
    mail::Envelope,
    ports::{Failure, Host, Incoming, Request, Response, Source},
};

/// The longest ordinary answer, in bytes.
const ANSWER_LIMIT: u64 = 1024 * 1024;
/// The longest page of ids, in bytes: 500 records with several changes each.
const PAGE_LIMIT: u64 = 4 * 1024 * 1024;
/// The longest `format=full` answer, in bytes: text parts come inside it, attachments do not.
const FULL_LIMIT: u64 = 12 * 1024 * 1024;
/// Wait before a message that is said to be gone is asked for again, in milliseconds.
const ASKED_AGAIN_AFTER: u64 = 1_000;
/// Tries of a request that only reads.
const TRIES: u32 = 3;
/// First wait between tries, in milliseconds (Google: at least one second).
const FIRST_WAIT: u64 = 1_000;

/// What a pass has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// HTTP requests.
    pub requests: u32,
    /// Quota units.
    pub units: u32,
}

/// `messages.get` with `format=raw`.
pub enum RawMessage {
    /// The message.
    Whole {
        /// Ids, labels, time, size.
        summary: Summary,
        /// RFC 5322 bytes.
        raw: Vec<u8>,
    },
    /// Longer than was asked for.
    TooLong,
}

/// Gmail, for one mailbox and one pass.
pub struct Gmail<'h, H> {
    host: &'h H,
    table: UnitTable,
    class: Cell<Class>,
    tally: Cell<Tally>,
}

impl<'h, H: Host> Gmail<'h, H> {
    /// Gmail through this host, with this table of costs.
    pub fn new(host: &'h H, table: UnitTable) -> Self {
        Self {
            host,
            table,
            class: Cell::new(Class::Live),
            tally: Cell::default(),
        }
    }

    /// What the calls from now on are for.
    pub fn set_class(&self, class: Class) {
        self.class.set(class);
    }

    /// What was used so far.
    pub fn tally(&self) -> Tally {
        self.tally.get()
    }

    /// How many calls to have in flight.
    pub fn in_flight(&self) -> usize {
        self.host.in_flight().clamp(1, 8) as usize
    }

    /// The mailbox's address and history id.
    pub async fn profile(&self) -> Result<Profile, GmailError> {
        let response = self.read(Call::Profile, get("/profile"), ANSWER_LIMIT).await?;
        let server_time = response
            .header("date")
            .and_then(DateTime::parse_rfc822)
            .and_then(|date| {
                u64::try_from(date.to_timestamp())
                    .ok()
                    .map(|seconds| seconds * 1_000)
            });
        let mut profile: Profile = parse(response.body)?;
        profile.server_time = server_time;
        Ok(profile)
    }

    /// Records after `start`. [`GmailError::Gone`]: the history id has expired (T04).
    pub async fn history(&self, start: &str, page_token: Option<&str>) -> Result<HistoryPage, GmailError> {
        let path = format!(
            "/history?startHistoryId={}&maxResults=500{}",
            query(start),
            page(page_token)
        );
        self.json(Call::HistoryList, get(&path), PAGE_LIMIT).await
    }

    /// Ids of messages accepted after `after` (seconds since the epoch).
    pub async fn list(
        &self,
        after: u64,
        folders: Folders,
        page_token: Option<&str>,
    ) -> Result<ListPage, GmailError> {
        let of_those = match folders {
            Folders::All => "includeSpamTrash=true".to_owned(),
            Folders::AllButSpamAndTrash => "includeSpamTrash=false".to_owned(),
            Folders::Labelled(label) => format!("includeSpamTrash=true&labelIds={label}"),
        };
        let path = format!(
            "/messages?maxResults=500&{of_those}&q=after%3A{after}{}",
            page(page_token)
        );
        self.json(Call::MessagesList, get(&path), PAGE_LIMIT).await
    }

    /// The newest ids with label SENT: labels are up to date where searches lag.
    pub async fn list_sent(&self) -> Result<ListPage, GmailError> {
        self.json(
            Call::MessagesList,
            get("/messages?maxResults=50&labelIds=SENT"),
            PAGE_LIMIT,
        )
        .await
    }

    /// Ids of the messages with this Message-ID (without brackets), wherever they are.
    pub async fn with_message_id(&self, message_id: &str) -> Result<Vec<MessageRef>, GmailError> {
        let wanted = query(&format!("rfc822msgid:{message_id}"));
        let path = format!("/messages?maxResults=50&includeSpamTrash=true&q={wanted}");
        let page: ListPage = self.json(Call::MessagesList, get(&path), PAGE_LIMIT).await?;
        Ok(page.messages)
    }

    /// Headers only: what the rules decide on.
    pub async fn metadata(&self, id: &str) -> Result<Metadata, GmailError> {
        let names: String = Envelope::HEADER_NAMES
            .iter()
            .flat_map(|name| ["&metadataHeaders=", name])
            .collect();
        let path = format!("/messages/{}?format=metadata{names}", query(id));
        parse(self.message(get(&path), ANSWER_LIMIT).await?.body)
    }

    /// The headers of several, as many at a time as may be in flight; answers in the order of the ids.
    pub async fn metadata_of(&self, ids: &[&str]) -> Vec<Result<Metadata, GmailError>> {
        let answers = stream::iter(ids).map(|id| self.metadata(id));
        answers.buffered(self.in_flight()).collect().await
    }

    /// The message itself, unless its answer is longer than `limit` bytes (about 4/3 of the message).
    pub async fn raw(&self, id: &str, limit: u64) -> Result<RawMessage, GmailError> {
        let path = format!("/messages/{}?format=raw", query(id));
        let response = self.message(get(&path), limit).await?;
        let Incoming::Whole(bytes) = response.body else {
            return Ok(RawMessage::TooLong);
        };
        let answer: RawAnswer<'_> = serde_json::from_slice(&bytes).map_err(|error| not_gmail(&error))?;
        let (summary, raw) = answer
            .decode()
            .ok_or_else(|| not_gmail(&"raw is not base64url"))?;
        Ok(RawMessage::Whole { summary, raw })
    }

    /// Structure and text, attachments by id.
    pub async fn full(&self, id: &str) -> Result<FullMessage, GmailError> {
        let path = format!("/messages/{}?format=full", query(id));
        let answer: FullAnswer = parse(self.message(get(&path), FULL_LIMIT).await?.body)?;
        Ok(answer.into())
    }

    /// `messages.attachments.get`: JSON with base64url inside, for [`crate::mail::AttachmentDecoder`].
    pub async fn attachment(
        &self,
        id: &str,
        attachment_id: &str,
    ) -> Result<Incoming<Streamed<H>>, GmailError> {
        let path = format!("/messages/{}/attachments/{}", query(id), query(attachment_id));
        Ok(self
            .read(Call::AttachmentsGet, get(&path), ANSWER_LIMIT)
            .await?
            .body)
    }

    /// The addresses the mailbox may send from.
    pub async fn send_as(&self) -> Result<Vec<SendAs>, GmailError> {
        let list: SendAsList = self
            .json(Call::SendAsList, get("/settings/sendAs"), ANSWER_LIMIT)
            .await?;
        Ok(list.send_as)
    }

    /// A draft, or `None` when it is gone.
    pub async fn draft(&self, id: &str) -> Result<Option<Draft>, GmailError> {
        let path = format!("/drafts/{}?format=minimal", query(id));
        match self.json(Call::DraftsGet, get(&path), ANSWER_LIMIT).await {
            Ok(draft) => Ok(Some(draft)),
            Err(GmailError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest drafts.
    pub async fn drafts(&self) -> Result<Vec<Draft>, GmailError> {
        let list: DraftList = self
            .json(Call::DraftsList, get("/drafts?maxResults=100"), PAGE_LIMIT)
            .await?;
        Ok(list.drafts)
    }

    /// Sends a draft. Never tried twice: see [`crate::rules::s23_exactly_once`].
    pub async fn send_draft(&self, id: &str) -> Result<Summary, GmailError> {
        let request = Request {
            method: "POST",
            url: url("/drafts/send"),
            content_type: Some("application/json".to_owned()),
            body: json(&DraftId { id }),
            inline_limit: ANSWER_LIMIT,
        };
        let response = self.once(Call::DraftsSend, request).await?;
        parse(response.body)
    }

    /// Asks Gmail to publish to a topic (`projects/…/topics/…`) what happens to the mailbox, for seven days from now.
    /// Until when it does, ms since the epoch, as far as it says.
    pub async fn watch(&self, topic: &str) -> Result<Option<u64>, GmailError> {
        let request = Request {
            method: "POST",
            url: url("/watch"),
            content_type: Some("application/json".to_owned()),
            body: json(&Topic { topic_name: topic }),
            inline_limit: ANSWER_LIMIT,
        };
        // It watches, whatever the answer says besides.
        let answer: Result<Watching, _> = parse(self.once(Call::Watch, request).await?.body);
        Ok(answer.ok().map(|watching| watching.expiration))
    }

    /// Adds and removes labels; the message after it. The same again changes nothing.
    pub async fn modify(&self, id: &str, add: &[&str], remove: &[&str]) -> Result<Summary, GmailError> {
        let body = json(&Labels {
            add_label_ids: add,
            remove_label_ids: remove,
        });
        self.change(Call::MessagesModify, id, "modify", body).await
    }

    /// Moves a message into the trash; the message after it. The same again changes nothing.
    pub async fn trash(&self, id: &str) -> Result<Summary, GmailError> {
        self.change(Call::MessagesTrash, id, "trash", Vec::new()).await
    }

    /// Takes a message out of the trash; the message after it. The same again changes nothing.
    pub async fn untrash(&self, id: &str) -> Result<Summary, GmailError> {
        self.change(Call::MessagesUntrash, id, "untrash", Vec::new())
            .await
    }

    async fn change(&self, call: Call, id: &str, verb: &str, body: Vec<u8>) -> Result<Summary, GmailError> {
        let request = Request {
            method: "POST",
            url: url(&format!("/messages/{}/{verb}", query(id))),
            content_type: (!body.is_empty()).then(|| "application/json".to_owned()),
            body,
            inline_limit: ANSWER_LIMIT,
        };
        parse(self.once(call, request).await?.body)
    }

    /// Takes a draft away for good. One that is gone is taken away already.
    pub async fn delete_draft(&self, id: &str) -> Result<(), GmailError> {
        let request = Request {
            method: "DELETE",
            url: url(&format!("/drafts/{}", query(id))),
            content_type: None,
            body: Vec::new(),
            inline_limit: ANSWER_LIMIT,
        };
        match self.once(Call::DraftsDelete, request).await {
            Ok(_) | Err(GmailError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The messages of a thread with their headers; none when the thread is gone.
    pub async fn thread(&self, id: &str) -> Result<Vec<Metadata>, GmailError> {
        let path = format!("/threads/{}?format=metadata", query(id));
        match self
            .json::<ThreadAnswer>(Call::ThreadsGet, get(&path), PAGE_LIMIT)
            .await
        {
            Ok(thread) => Ok(thread.messages),
            Err(GmailError::Gone) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// `messages.get`. That a message is gone is final, and now and then Gmail says so of one that is there:
    /// it has to say so twice.
    async fn message(&self, path: Path, limit: u64) -> Result<Response<Streamed<H>>, GmailError> {
        match self.read(Call::MessagesGet, path.clone(), limit).await {
            Err(GmailError::Gone) => {
                self.host.sleep(ASKED_AGAIN_AFTER).await;
                self.read(Call::MessagesGet, path, limit).await
            }
            answer => answer,
        }
    }

    async fn json<T: DeserializeOwned>(&self, call: Call, path: Path, limit: u64) -> Result<T, GmailError> {
        parse(self.read(call, path, limit).await?.body)
    }

    /// A request that only reads: tried again when Gmail does not answer.
    async fn read(&self, call: Call, path: Path, limit: u64) -> Result<Response<Streamed<H>>, GmailError> {
        let mut tries = 1;
        loop {
            let request = Request {
                method: "GET",
                url: path.0.clone(),
                content_type: None,
                body: Vec::new(),
                inline_limit: limit,
            };
            match self.once(call, request).await {
                Err(GmailError::Unavailable { .. }) if tries < TRIES => {
                    self.host.sleep(wait(tries, &self.host.bytes(2))).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    async fn once(&self, call: Call, request: Request) -> Result<Response<Streamed<H>>, GmailError> {
        self.turn(call).await?;
        let answer = self.host.send(request).await;
        self.judge(answer).await
    }

    /// Waits for quota and counts.
    pub(super) async fn turn(&self, call: Call) -> Result<(), GmailError> {
        let units = self.table.cost(call);
        self.host
            .acquire(units, self.class.get())
            .await
            .map_err(|error| match error {
                QuotaError::WaitUntil(until) => GmailError::RateLimited {
                    until,
                    scope: RateScope::Mailbox,
                },
                QuotaError::Other(message) => GmailError::Unavailable {
                    message,
                    outcome: Outcome::NotDone,
                },
            })?;
        let mut tally = self.tally.get();
        tally.requests += 1;
        tally.units += units;
        self.tally.set(tally);
        Ok(())
    }

    /// A success, or what the failure means; a rate limit is told to the host.
    pub(super) async fn judge(
        &self,
        answer: Result<Response<Streamed<H>>, Failure>,
    ) -> Result<Response<Streamed<H>>, GmailError> {
        let response = answer?;
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        let retry_after = response.header("retry-after").map(str::to_owned);
        let status = response.status;
        let body = match response.body {
            Incoming::Whole(bytes) => bytes,
            Incoming::Stream(mut stream) => stream.next().await.unwrap_or_default(),
        };
        let error = classify(status, retry_after.as_deref(), &body, self.host.now());
        if let GmailError::RateLimited { until, scope } = error {
            self.host.report(match scope {
                RateScope::Mailbox => Penalty::MailboxUntil(until),
                RateScope::Sending => Penalty::SendingUntil(until),
                RateScope::Project => Penalty::ProjectUntil(until),
                RateScope::Concurrency => Penalty::Concurrency,
            });
        }
        Err(error)
    }

    pub(super) fn host(&self) -> &'h H {
        self.host
    }
}

/// The id of a draft.
#[derive(Serialize)]
struct DraftId<'r> {
    id: &'r str,
}

/// What to publish to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Topic<'r> {
    topic_name: &'r str,
}

/// Labels to put on and take off.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Labels<'r> {
    add_label_ids: &'r [&'r str],
    remove_label_ids: &'r [&'r str],
}

/// A request's body. Nothing that is written here fails to be JSON: all keys are texts.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

pub(super) type Streamed<H> = <H as crate::ports::Http>::Source;

#[derive(Clone)]
struct Path(String);

fn get(path: &str) -> Path {
    Path(url(path))
}

pub(super) fn url(path: &str) -> String {
    format!("{API_ORIGIN}/gmail/v1/users/me{path}")
}

fn query(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect()
}

fn page(token: Option<&str>) -> String {
    token
        .map(|token| format!("&pageToken={}", query(token)))
        .unwrap_or_default()
}

/// Exponential, with up to half of it as jitter.
fn wait(tries: u32, random: &[u8]) -> u64 {
    let base = FIRST_WAIT << (tries - 1).min(6);
    let jitter = random
        .iter()
        .fold(0_u64, |sum, byte| sum * 256 + u64::from(*byte))
        % (base / 2 + 1);
    base + jitter
}

pub(super) fn parse<T: DeserializeOwned, S>(body: Incoming<S>) -> Result<T, GmailError> {
    match body {
        Incoming::Whole(bytes) => serde_json::from_slice(&bytes).map_err(|error| not_gmail(&error)),
        Incoming::Stream(_) => Err(GmailError::TooLarge),
    }
}

fn not_gmail(error: &dyn std::fmt::Display) -> GmailError {
    GmailError::Unavailable {
        message: format!("the answer is not Gmail's: {error}"),
        outcome: Outcome::Unknown,
    }
}
