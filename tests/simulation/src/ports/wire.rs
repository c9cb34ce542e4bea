//! The way to Gmail: the simulator in process, behind the host's real egress.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr},
};

use async_trait::async_trait;
use axum::http;
use bytes::Bytes;
use futures_util::stream;
use gmail_sim::{Table, Wire};
use secrecy::ExposeSecret;
use twinbox_host::{
    body::Body,
    clock::Clock,
    contract::Field,
    egress::{ClientError, HttpClient, Outgoing, Resolver, Response},
};
use url::Url;

use super::Ports;
use crate::{
    plan::{Port, TrapKind},
    world::{TaskId, Turn, World},
};

/// The largest request here, bytes.
const REQUEST: usize = 4 << 20;
/// Entries asked for by whoever reads page by page.
const LISTING: u32 = 100;
/// How long a host waits for an answer that does not come, ms.
const PATIENCE: u64 = 30_000;
/// Google's minute, ms.
const MINUTE: u64 = 60_000;

/// What the wire is and what it saw.
#[derive(Default)]
pub(crate) struct WireState {
    /// Units a minute that the host promised to keep.
    pub(crate) rate: u64,
    /// Entries of a page at most.
    pub(crate) page: u32,
    /// Gmail is down until then, ms since the epoch.
    pub(crate) down_until: u64,
    /// What each mailbox spent in the last minute.
    pub(crate) spent: BTreeMap<String, VecDeque<(u64, u64)>>,
    /// Whether the request at hand is one of a host that stood still before it.
    pub(crate) is_late: bool,
    /// Whose request that is.
    pub(crate) task: TaskId,
    /// Tasks that make a late request again, as its token had expired meanwhile.
    pub(crate) late_again: BTreeSet<TaskId>,
    /// How often each message was said to be gone.
    pub(crate) gone: BTreeMap<String, u32>,
    /// How often each message could not be had.
    pub(crate) unanswered: BTreeMap<String, u32>,
}

impl WireState {
    /// A request of this task is served now.
    pub(crate) fn serve(&mut self, task: TaskId, has_stalled: bool) {
        self.task = task;
        self.is_late = self.late_again.remove(&task) || has_stalled;
    }

    fn comes_again(&mut self) {
        if self.is_late {
            self.late_again.insert(self.task);
        }
    }
}

/// What comes back, and how long that takes, ms.
struct Answer {
    result: Result<Response, ClientError>,
    takes: u64,
}

impl Answer {
    fn at_once(result: Result<Response, ClientError>) -> Self {
        Self { result, takes: 0 }
    }
}

impl World {
    fn answer(&self, request: http::Request<Bytes>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        if self.is_down() {
            return Answer::at_once(Ok(plain(503, "down")));
        }
        let response = self.sim.handle(request);
        let message = path.strip_prefix("/gmail/v1/users/me/messages/");
        let status = response.status().as_u16();
        let mut state = self.lock();
        if let Some(message) = message.filter(|_| status == 404 || status == 410) {
            *state.wire.gone.entry(message.to_owned()).or_default() += 1;
        }
        let is_spoilt = Wire::of(&response).is_some_and(|wire| !wire.is_whole());
        if let Some(message) = message.filter(|_| (status >= 400 && status != 404) || is_spoilt) {
            *state.wire.unanswered.entry(message.to_owned()).or_default() += 1;
        }
        let wire = Wire::of(&response);
        match wire {
            Some(Wire::Dropped) => return Answer::at_once(Err(ClientError::Interrupted)),
            Some(Wire::Silent) => {
                return Answer {
                    result: Err(ClientError::Timeout),
                    takes: PATIENCE,
                };
            }
            _ => {}
        }
        let takes = wire.and_then(|wire| wire.takes_ms(response.body().len()));
        state
            .trace
            .mix(&(method.as_str(), &path, status, response.body().len()));
        drop(state);
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter().map(|(name, value)| Field {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        });
        let (length, body) = match wire {
            Some(Wire::CutAt(_)) => {
                let pieces = [Ok(body), Err(io::ErrorKind::ConnectionReset.into())];
                (None, Body::Stream(Box::pin(stream::iter(pieces))))
            }
            Some(Wire::Truncated(_)) => (None, Body::Inline(body)),
            _ => (Some(body.len() as u64), Body::Inline(body)),
        };
        Answer {
            result: Ok(Response {
                status,
                headers: headers.collect(),
                length,
                body,
            }),
            takes: takes.unwrap_or_default().min(PATIENCE),
        }
    }

    fn is_down(&self) -> bool {
        let mut state = self.lock();
        let is_down = state.wire.down_until > state.now;
        if is_down {
            state.coverage.hit("Gmail outage");
        }
        is_down
    }

    /// The host promised to keep a rate; the provider counts by a sliding minute.
    fn charge(&self, token: &str, method: &http::Method, path: &str) {
        let Some(units) = method_name(method, path).and_then(|name| Table::New.units_of(name)) else {
            return;
        };
        let mut state = self.lock();
        // A host that stood still had its units in time: nothing can take the request back.
        if state.wire.is_late {
            return;
        }
        let (now, rate) = (state.now, state.wire.rate);
        let mailbox = state.vault.mailbox_of(token).unwrap_or_default();
        let spent = state.wire.spent.entry(mailbox.clone()).or_default();
        while spent.front().is_some_and(|(at, _)| *at + MINUTE <= now) {
            spent.pop_front();
        }
        spent.push_back((now, units));
        let sum: u64 = spent.iter().map(|(_, units)| units).sum();
        if sum > rate {
            state.violation(
                "quota",
                format!("{mailbox} spent {sum} of {rate} units in a minute"),
            );
        }
    }
}

/// The method of Google's tables that a request is, as far as it is counted.
fn method_name(method: &http::Method, path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/upload").unwrap_or(path);
    let mut parts = path.strip_prefix("/gmail/v1/users/me/")?.split('/');
    let (kind, id, more) = (parts.next()?, parts.next(), parts.next());
    let is_get = method == http::Method::GET;
    Some(match (kind, id, more) {
        ("profile", ..) => "getProfile",
        ("history", ..) => "history.list",
        ("messages", None, _) if is_get => "messages.list",
        ("messages", Some(_), None) if is_get => "messages.get",
        ("messages", Some(_), Some("modify")) => "messages.modify",
        ("messages", Some(_), Some("trash")) => "messages.trash",
        ("messages", Some(_), Some("untrash")) => "messages.untrash",
        ("drafts", None, _) if is_get => "drafts.list",
        ("drafts", None, _) => "drafts.create",
        ("drafts", Some("send"), _) => "drafts.send",
        ("drafts", Some(_), _) if is_get => "drafts.get",
        ("drafts", Some(_), _) => "drafts.delete",
        ("threads", Some(_), None) if is_get => "threads.get",
        _ => return None,
    })
}

fn plain(status: u16, text: &'static str) -> Response {
    Response {
        status,
        headers: Vec::new(),
        length: Some(text.len() as u64),
        body: Body::Inline(Bytes::from_static(text.as_bytes())),
    }
}

#[async_trait]
impl HttpClient for Ports {
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError> {
        let url = self.paged(request.url);
        let token = request
            .bearer
            .map(|token| token.expose_secret().to_owned())
            .unwrap_or_default();
        let body = request.body.collect(REQUEST).await;
        let body = body.map_err(|_| ClientError::Interrupted)?;
        let line = || format!("{} {}", request.method, &url[url::Position::BeforePath..]);
        let mut built = http::Request::builder()
            .method(request.method.clone())
            .uri(url.as_str())
            .body(body)
            .map_err(|_| ClientError::Protocol)?;
        *built.headers_mut() = request.headers;
        if let Ok(value) = http::HeaderValue::from_str(&format!("Bearer {token}")) {
            built.headers_mut().insert(http::header::AUTHORIZATION, value);
        }
        let turn = self.world.turn(self.host, Port::Http, line, |world| {
            let (method, path) = (built.method().clone(), built.uri().path().to_owned());
            let answer = world.answer(built);
            // A request that is made again with a new token is one request to the guest.
            if answer.result.as_ref().is_ok_and(|answer| answer.status == 401) {
                world.lock().wire.comes_again();
            } else if answer.result.is_ok() {
                world.charge(&token, &method, &path);
            }
            answer
        });
        match turn.await {
            Turn::Done(Answer { result, takes }) => {
                if takes > 0 {
                    self.sleep(takes).await;
                }
                result
            }
            Turn::Refused(TrapKind::FailBefore) => Err(ClientError::Connect),
            Turn::Refused(_) | Turn::Lost(_) => Err(ClientError::Timeout),
        }
    }
}

impl Ports {
    /// Gmail may give fewer entries than were asked for.
    fn paged(&self, mut url: Url) -> Url {
        let page = self.world.lock().wire.page;
        let is_listing = ["/history", "/messages", "/connections"]
            .iter()
            .any(|kind| url.path().ends_with(kind));
        if is_listing
            && url
                .query()
                .is_some_and(|query| query.contains("maxResults=") || query.contains("pageSize="))
        {
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let mut query = url.query_pairs_mut();
            query.clear();
            for (name, value) in pairs {
                let asked: u32 = value.parse().unwrap_or_default();
                if ["maxResults", "pageSize"].contains(&name.as_str()) && asked >= LISTING {
                    query.append_pair(&name, &page.to_string());
                } else {
                    query.append_pair(&name, &value);
                }
            }
        }
        url
    }
}

/// Every name has the same public address.
pub(crate) struct OneAddress;

#[async_trait]
impl Resolver for OneAddress {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34))])
    }
}
