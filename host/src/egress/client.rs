//! The wire: who resolves names and who makes requests to addresses that were checked.

use std::{
    collections::HashMap,
    error::Error as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use reqwest::{
    Method,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Response;
use crate::{body::Body, contract::Field};

/// A request that passed every check.
#[derive(Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The only addresses that may be connected to.
    pub addresses: Vec<SocketAddr>,
    /// Header fields of the guest.
    pub headers: HeaderMap,
    /// The token to attach.
    pub bearer: Option<SecretString>,
    /// What is sent.
    pub body: Body,
    /// How many bytes a streamed body has, when that is known.
    pub length: Option<u64>,
}

impl Outgoing {
    /// The same request with this body, whatever its own was.
    pub(super) fn with_body(&self, body: Body) -> Self {
        Self {
            method: self.method.clone(),
            url: self.url.clone(),
            addresses: self.addresses.clone(),
            headers: self.headers.clone(),
            bearer: self.bearer.clone(),
            body,
            length: self.length,
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection; nothing was sent.
    #[error("no connection could be made")]
    Connect,
    /// TLS failed; nothing was sent.
    #[error("TLS failed")]
    Tls,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke.
    #[error("the connection broke")]
    Interrupted,
    /// The answer was not HTTP.
    #[error("the answer was not HTTP")]
    Protocol,
}

/// Makes one request: no redirect, no proxy, no cookie, no retry once something was sent. Connects to
/// `request.addresses` alone. The answer's body is decoded; `length` is set only if it is the decoded
/// one.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends the request.
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError>;
}

/// Names to addresses.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name; empty when there is none.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver, with a short memory.
#[derive(Default)]
pub struct SystemResolver {
    known: Mutex<HashMap<String, (tokio::time::Instant, Vec<IpAddr>)>>,
}

/// How long an answer is remembered, and how many are.
const REMEMBERED: Duration = Duration::from_secs(30);
const NAMES: usize = 1_024;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let now = tokio::time::Instant::now();
        let known = |resolver: &Self| {
            let known = resolver.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(name).filter(|(until, _)| *until > now).cloned()
        };
        if let Some((_, addresses)) = known(self) {
            return Ok(addresses);
        }
        let lookup = tokio::net::lookup_host((name, 0));
        let found = tokio::time::timeout(Duration::from_secs(10), lookup)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES {
            known.clear();
        }
        known.insert(name.to_owned(), (now + REMEMBERED, addresses.clone()));
        Ok(addresses)
    }
}

/// The real client. One pool of connections for all passes: a connection is only ever made to
/// addresses that a check has approved for its host, and tokens are attached per request.
pub struct ReqwestClient {
    client: reqwest::Client,
    approved: Approved,
}

impl ReqwestClient {
    /// A client with an empty pool.
    pub fn new() -> Result<Self, ClientError> {
        crate::tls::install();
        let approved = Approved::default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .gzip(true)
            .connect_timeout(Duration::from_secs(10))
            .pool_idle_timeout(Duration::from_mins(1))
            .tcp_nodelay(true)
            .user_agent(concat!("twinbox/", env!("CARGO_PKG_VERSION"), " (gzip)"))
            .dns_resolver(Arc::new(approved.clone()))
            .build()
            .map_err(|_| ClientError::Tls)?;
        Ok(Self { client, approved })
    }
}

#[async_trait]
impl HttpClient for ReqwestClient {
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError> {
        if let Some(url::Host::Domain(host)) = request.url.host() {
            self.approved.set(host, &request.addresses);
        }
        let mut builder = self
            .client
            .request(request.method, request.url)
            .headers(request.headers);
        if let Some(token) = &request.bearer {
            builder = builder.header(AUTHORIZATION, bearer(token)?);
        }
        if let (Body::Stream(_), Some(length)) = (&request.body, request.length) {
            builder = builder.header(CONTENT_LENGTH, length);
        }
        let builder = match request.body {
            Body::Empty => builder,
            Body::Inline(bytes) => builder.body(bytes),
            Body::Stream(stream) => builder.body(reqwest::Body::wrap_stream(stream)),
        };
        let response = builder.send().await.map_err(|error| why(&error))?;
        Ok(answer(response))
    }
}

fn answer(response: reqwest::Response) -> Response {
    let status = response.status().as_u16();
    // reqwest removes the field when it decodes, so what is left counts decoded bytes.
    let length = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| Field {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        })
        .collect();
    let body = Body::Stream(Box::pin(response.bytes_stream().map_err(io::Error::other)));
    Response {
        status,
        headers,
        body,
        length,
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| ClientError::Protocol)?;
    value.set_sensitive(true);
    Ok(value)
}

fn why(error: &reqwest::Error) -> ClientError {
    if error.is_connect() {
        return if is_tls(error) {
            ClientError::Tls
        } else {
            ClientError::Connect
        };
    }
    if error.is_timeout() {
        return ClientError::Timeout;
    }
    if error.is_decode() || error.is_builder() {
        return ClientError::Protocol;
    }
    ClientError::Interrupted
}

fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` hides what it carries from `source`.
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && io
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        source = cause.source();
    }
    false
}

/// The methods a guest may use.
pub(super) fn method(name: &str) -> Option<Method> {
    match name {
        "GET" => Some(Method::GET),
        "POST" => Some(Method::POST),
        "PUT" => Some(Method::PUT),
        "PATCH" => Some(Method::PATCH),
        "DELETE" => Some(Method::DELETE),
        _ => None,
    }
}

/// What the pool may connect to: per host, the addresses that passed the check last. The pool asks
/// here instead of DNS, so that it cannot see another answer than the check saw.
#[derive(Clone, Default)]
struct Approved(Arc<Mutex<HashMap<String, Vec<IpAddr>>>>);

impl Approved {
    fn set(&self, host: &str, addresses: &[SocketAddr]) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ips = addresses.iter().map(SocketAddr::ip);
        if hosts
            .get(host)
            .is_some_and(|held| held.iter().copied().eq(ips.clone()))
        {
            return;
        }
        hosts.insert(host.to_owned(), ips.collect());
    }
}

impl Resolve for Approved {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = hosts.get(name.as_str()).cloned().unwrap_or_default();
        // Port 0 stands for the port of the URL.
        let addresses: Addrs = Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}
