//! `http`: requests through the one way out, [`crate::egress`].

use wasmtime::{
    Result,
    component::{Accessor, StreamReader},
};

use super::{Context, Imports, pipe};
use crate::{
    body::Body,
    contract::imports::http as wit,
    egress::{Credential, Denial, Failure, FailureKind, Request},
};

impl wit::Host for Context {}

impl<T: Send + 'static> wit::HostWithStore<T> for Imports {
    async fn send(
        accessor: &Accessor<T, Self>,
        request: wit::Request,
    ) -> Result<Result<wit::Response, wit::Failure>> {
        let (to, budget) =
            accessor.with(|mut access| (access.get().capabilities.clone(), access.get().requests.clone()));
        let request = lifted(accessor, request)?;
        match to.http.send(&to.scope, &budget, request).await {
            Ok(response) => {
                let body = Lowered {
                    body: response.body,
                    length: response.length,
                };
                Ok(Ok(wit::Response {
                    status: response.status,
                    headers: response.headers,
                    body: body.into_guest(accessor)?,
                }))
            }
            Err(error) => Ok(Err(failure(error))),
        }
    }
}

/// A guest's request, as the way out takes it.
pub(super) fn lifted<T: Send + 'static>(
    accessor: &Accessor<T, Imports>,
    request: wit::Request,
) -> Result<Request> {
    let body = pipe::lift(accessor, request.body, None)?;
    Ok(Request {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: body.body,
        length: body.length,
        credential: match request.credential {
            wit::Credential::None => Credential::None,
            wit::Credential::Mailbox => Credential::Mailbox,
        },
        inline_limit: request.inline_limit,
    })
}

/// A body on its way into the guest.
pub(super) struct Lowered {
    pub(super) body: Body,
    /// Decoded bytes, when they are known beforehand.
    pub(super) length: Option<u64>,
}

impl Lowered {
    pub(super) fn into_guest<T: Send + 'static>(self, accessor: &Accessor<T, Imports>) -> Result<wit::Body> {
        Ok(match self.body {
            Body::Empty => wit::Body::Empty,
            Body::Inline(bytes) => wit::Body::Inline(bytes.into()),
            Body::Stream(stream) => {
                let producer = pipe::Producer::new(stream, self.length);
                let bytes = accessor.with(|access| StreamReader::new(access, producer))?;
                wit::Body::Streamed(wit::Streamed {
                    bytes,
                    length: self.length,
                })
            }
        })
    }
}

fn failure(failure: Failure) -> wit::Failure {
    wit::Failure {
        kind: match failure.kind {
            FailureKind::Denied(denial) => wit::FailureKind::Denied(denied(denial)),
            FailureKind::ReconnectNeeded => wit::FailureKind::ReconnectNeeded,
            FailureKind::CredentialUnavailable => wit::FailureKind::CredentialUnavailable,
            FailureKind::Dns => wit::FailureKind::Dns,
            FailureKind::Connect => wit::FailureKind::Connect,
            FailureKind::Tls => wit::FailureKind::Tls,
            FailureKind::Timeout => wit::FailureKind::Timeout,
            FailureKind::Interrupted => wit::FailureKind::Interrupted,
            FailureKind::Protocol => wit::FailureKind::Protocol,
            FailureKind::Other(why) => wit::FailureKind::Other(why),
        },
        request_sent: failure.request_sent,
        retryable: failure.retryable,
    }
}

fn denied(denial: Denial) -> wit::Denial {
    match denial {
        Denial::Malformed => wit::Denial::Malformed,
        Denial::Manifest => wit::Denial::Manifest,
        Denial::HostGrant => wit::Denial::HostGrant,
        Denial::TenantGrant => wit::Denial::TenantGrant,
        Denial::Header => wit::Denial::Header,
        Denial::Address => wit::Denial::Address,
        Denial::Credential => wit::Denial::Credential,
        Denial::RequestLimit => wit::Denial::RequestLimit,
        Denial::BodyLimit => wit::Denial::BodyLimit,
    }
}
