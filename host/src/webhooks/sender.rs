//! Sends events. The address is a person's word, so it is checked as a guest's is: a public one, connected to as it was
//! checked, no redirect followed.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use tokio::task::AbortHandle;
use url::{Host, Url};

use super::{Due, WebhookError, Webhooks, sign};
use crate::{
    body::Body,
    clock::Clock,
    egress::{
        AddressRule, ClientError, HttpClient, Outgoing, ReqwestClient, Resolver, SystemResolver, resolve,
    },
    problem::utc_rfc3339,
};

/// How often it is looked whether something happened.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Addresses that are asked at once.
const AT_ONCE: usize = 8;
/// Addresses of one round.
const ROUND: u32 = 200;
/// How long an address may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// When an address that did not answer is asked again, seconds, as Standard Webhooks proposes; the last one from then on.
const AGAIN: [u64; 8] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000];
/// Tries after which an event gives way to those after it.
const MOST_TRIES: u32 = 10;
/// How long an address may take none before it is given up, ms.
const GIVEN_UP_AFTER: u64 = 5 * 24 * 3_600_000;

/// The way to the addresses.
#[derive(Clone)]
pub struct Receivers {
    client: Arc<dyn HttpClient>,
    resolver: Arc<dyn Resolver>,
    addresses: AddressRule,
}

impl Receivers {
    /// Over the network, to addresses that this rule allows.
    pub fn new(addresses: AddressRule) -> Result<Self, ClientError> {
        let client = Arc::new(ReqwestClient::new()?);
        Ok(Self::over(client, Arc::new(SystemResolver::default()), addresses))
    }

    /// The same over another client and resolver.
    pub fn over(client: Arc<dyn HttpClient>, resolver: Arc<dyn Resolver>, addresses: AddressRule) -> Self {
        Self {
            client,
            resolver,
            addresses,
        }
    }

    /// The address that a text names, if events may be sent there as far as the text shows.
    pub fn check(&self, text: &str) -> Result<Url, WebhookError> {
        let refused = |why: &str| WebhookError::Refused(why.to_owned());
        let url = Url::parse(text.trim()).map_err(|_| refused("this is not a web address"))?;
        let is_open = self.addresses == AddressRule::Any && url.scheme() == "http";
        if url.scheme() != "https" && !is_open {
            return Err(refused("the address has to begin with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("the address must not have a password in it"));
        }
        let number = match url.host() {
            None => return Err(refused("the address has no host")),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        };
        if number.is_some_and(|number| self.addresses.check(number).is_err()) {
            return Err(refused("the address is not one of the public internet"));
        }
        Ok(url)
    }

    /// Sends an event; why the address did not take it.
    async fn send(&self, due: &Due, now: u64) -> Result<(), NotTaken> {
        let failed = |why: &str| NotTaken::Failed(why.to_owned());
        let url = self.check(&due.url).map_err(|error| failed(&error.to_string()))?;
        let addresses = self.locate(&url).await?;
        let body = format!(
            r#"{{"type":"{}","timestamp":"{}","data":{}}}"#,
            due.event.kind,
            utc_rfc3339(due.event.at),
            due.event.data
        );
        let at = now / 1_000;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let own = [
            ("webhook-id", due.event.id.clone()),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", sign(&due.secret, &due.event.id, at, &body)),
        ];
        for (name, value) in own {
            let value = HeaderValue::from_str(&value).map_err(|_| failed("its event cannot be sent"))?;
            headers.insert(name, value);
        }
        let request = Outgoing {
            method: Method::POST,
            url,
            addresses,
            headers,
            bearer: None,
            body: Body::Inline(body.into()),
            length: None,
        };
        let answer = tokio::time::timeout(PATIENCE, self.client.send(request)).await;
        let answer = answer.map_err(|_| failed("it did not answer in time"))?;
        match answer.map_err(|error| failed(&error.to_string()))?.status {
            200..=299 => Ok(()),
            410 => Err(NotTaken::Gone),
            status => Err(NotTaken::Failed(format!("it answered {status}"))),
        }
    }

    async fn locate(&self, url: &Url) -> Result<Vec<SocketAddr>, NotTaken> {
        let failed = |why: &str| NotTaken::Failed(why.to_owned());
        let found = resolve(&*self.resolver, url).await;
        let found = found.map_err(|_| failed("its name cannot be looked up"))?;
        let checked = self.addresses.check_all(&found);
        checked.map_err(|_| failed("its name leads to an address that is not public"))?;
        Ok(found)
    }
}

/// Why an address did not take an event.
enum NotTaken {
    /// It wants no more.
    Gone,
    /// Not now.
    Failed(String),
}

/// Sends events as they happen; it ends when this is dropped.
pub struct WebhookSender {
    task: AbortHandle,
}

impl WebhookSender {
    /// Starts it.
    pub fn start(webhooks: Webhooks, receivers: Receivers, clock: Arc<dyn Clock>) -> Self {
        let task = tokio::spawn(async move {
            loop {
                match send_due(&webhooks, &receivers, &*clock).await {
                    // There may be more behind what was sent.
                    Ok(sent) if sent > 0 => {}
                    Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
                    Err(error) => {
                        tracing::warn!(%error, "webhooks");
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                }
            }
        });
        Self {
            task: task.abort_handle(),
        }
    }
}

impl Drop for WebhookSender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends the next event of each address that is to be asked now; how many were taken.
pub(super) async fn send_due(
    webhooks: &Webhooks,
    receivers: &Receivers,
    clock: &dyn Clock,
) -> Result<usize, WebhookError> {
    let due = webhooks.due(clock.now(), ROUND).await?;
    let sent = stream::iter(due).map(|due| send_one(webhooks, receivers, clock, due));
    let mut sent = sent.buffer_unordered(AT_ONCE);
    let mut taken = 0;
    while let Some(sent) = sent.next().await {
        taken += usize::from(sent?);
    }
    Ok(taken)
}

/// Sends one event, and notes what became of it; whether it was taken.
async fn send_one(
    webhooks: &Webhooks,
    receivers: &Receivers,
    clock: &dyn Clock,
    due: Due,
) -> Result<bool, WebhookError> {
    let due = &due;
    let result = receivers.send(due, clock.now()).await;
    let now = clock.now();
    let why = match result {
        Ok(()) => {
            webhooks.taken(due, now).await?;
            return Ok(true);
        }
        Err(NotTaken::Gone) => {
            tracing::info!(webhook = %due.endpoint, "wants no more events");
            webhooks
                .give_up(due, now, "it answered that it wants no more")
                .await?;
            return Ok(false);
        }
        Err(NotTaken::Failed(why)) => why,
    };
    tracing::warn!(webhook = %due.endpoint, event = %due.event.id, why, "an event was not taken");
    let since = due.failing_since.unwrap_or(now);
    if now.saturating_sub(since) >= GIVEN_UP_AFTER {
        webhooks.give_up(due, now, &why).await?;
        return Ok(false);
    }
    let tries = usize::try_from(due.event.attempts).unwrap_or(usize::MAX);
    let wait = AGAIN[tries.min(AGAIN.len() - 1)] * 1_000;
    webhooks.put_off(due, now, now + wait, &why).await?;
    if due.event.attempts + 1 >= MOST_TRIES {
        webhooks.skip(due).await?;
    }
    Ok(false)
}
