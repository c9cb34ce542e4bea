//! What passes the way out: requests, answers, and why there is none. The host's side of `wit/http.wit`,
//! without a token anywhere.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::ClientError;
use crate::{body::Body, contract::Field};

/// Which credential the host attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// None.
    None,
    /// The connection's mailbox grant, as a bearer token.
    Mailbox,
}

/// One request of a guest.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// Header fields.
    pub headers: Vec<Field>,
    /// What is sent.
    pub body: Body,
    /// How many bytes a streamed body has, when the guest says so.
    pub length: Option<u64>,
    /// The credential to attach.
    pub credential: Credential,
    /// An answer of at most so many bytes comes inline.
    pub inline_limit: u64,
}

/// One answer.
#[derive(Debug)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// Header fields, names in lower case, scrubbed.
    pub headers: Vec<Field>,
    /// What came, decoded.
    pub body: Body,
    /// How many bytes a streamed body has, when the server said so.
    pub length: Option<u64>,
}

/// The rule that refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// The URL or the method is malformed.
    Malformed,
    /// The manifest does not list the origin.
    Manifest,
    /// The host's operator does not grant the origin.
    HostGrant,
    /// The tenant does not grant the origin.
    TenantGrant,
    /// A header field that only the host may set.
    Header,
    /// The name resolves to an address that is not public.
    Address,
    /// The credential may not go to this origin.
    Credential,
    /// The pass has made all the requests it may.
    RequestLimit,
    /// The request's body is larger than the host accepts.
    BodyLimit,
}

/// What kind of failure it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The host refused; the rule that did.
    Denied(Denial),
    /// S07: the grant is gone for good.
    ReconnectNeeded,
    /// The credential cannot be had just now.
    CredentialUnavailable,
    /// The name did not resolve.
    Dns,
    /// No connection could be made.
    Connect,
    /// TLS failed.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Interrupted,
    /// The answer was not HTTP, or larger than the host accepts.
    Protocol,
    /// Anything else.
    Other(String),
}

/// A request that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("the request failed: {kind:?}")]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// Whether the server may have seen the request.
    pub request_sent: bool,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl Failure {
    /// A failure before anything was sent.
    pub fn unsent(kind: FailureKind) -> Self {
        let retryable = matches!(
            kind,
            FailureKind::CredentialUnavailable
                | FailureKind::Dns
                | FailureKind::Connect
                | FailureKind::Timeout
        );
        Self {
            kind,
            request_sent: false,
            retryable,
        }
    }

    /// A failure after the server may have seen the request.
    pub fn sent(kind: FailureKind) -> Self {
        let retryable = matches!(kind, FailureKind::Timeout | FailureKind::Interrupted);
        Self {
            kind,
            request_sent: true,
            retryable,
        }
    }
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self::unsent(FailureKind::Denied(denial))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Connect => Self::unsent(FailureKind::Connect),
            ClientError::Tls => Self::unsent(FailureKind::Tls),
            ClientError::Timeout => Self::sent(FailureKind::Timeout),
            ClientError::Interrupted => Self::sent(FailureKind::Interrupted),
            ClientError::Protocol => Self::sent(FailureKind::Protocol),
        }
    }
}

/// How many requests a pass has made, and how many it may make.
#[derive(Debug)]
pub struct RequestBudget {
    limit: u32,
    made: AtomicU32,
}

impl RequestBudget {
    /// A budget of so many requests.
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            made: AtomicU32::new(0),
        }
    }

    /// Takes one request.
    pub fn take(&self) -> Result<(), Denial> {
        self.made
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| {
                (made < self.limit).then_some(made + 1)
            })
            .map(|_| ())
            .map_err(|_| Denial::RequestLimit)
    }

    /// How many were made.
    pub fn made(&self) -> u32 {
        self.made.load(Ordering::Relaxed)
    }
}
