//! The one way out. Every request of a guest passes [`Outlet::send`], in this order: parse, refuse
//! headers, manifest AND host AND tenant grant, request count, resolve, refuse addresses that are
//! not public, connect to exactly those addresses, attach the credential, follow no redirect, scrub
//! the answer's headers.
//!
//! Names are checked before DNS and addresses after it (a name may point anywhere), and the
//! connection is made to the addresses that were checked and to no others. The credential comes
//! last, when nothing can be refused any more. Redirects are the guest's to follow: the next request
//! passes all of this again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use secrecy::SecretString;
use tracing::Instrument;
use url::{Host, Url};

use crate::{
    body::{Body, ByteStream},
    scope::Scope,
    spans,
    vault::{Freshness, Vault, VaultError},
};

mod address;
mod client;
mod exchange;
mod grants;
mod headers;

pub use address::{AddressRule, NotPublic};
pub use client::{ClientError, HttpClient, Outgoing, ReqwestClient, Resolver, SystemResolver};
pub use exchange::{Credential, Denial, Failure, FailureKind, Request, RequestBudget, Response};
pub use grants::{Grants, Origin, OriginError, StandIns};

/// HTTP as a capability of one pass.
#[async_trait]
pub trait Http: Send + Sync {
    /// Makes one request for the scope's connection, out of the pass's budget.
    async fn send(
        &self,
        scope: &Scope,
        budget: &RequestBudget,
        request: Request,
    ) -> Result<Response, Failure>;
}

/// Sizes and times of the way out.
#[derive(Clone, Copy, Debug)]
pub struct EgressLimits {
    /// The largest inline request or answer, decoded, bytes.
    pub inline: u64,
    /// The largest streamed request or answer, decoded, bytes.
    pub streamed: u64,
    /// How long the head of an answer may take when the request's body is no stream.
    pub inline_timeout: Duration,
    /// How long it may take when the request's body is a stream; then what comes inline of the
    /// answer, and then each part of the rest.
    pub streamed_timeout: Duration,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            inline: 64 << 20,
            streamed: 160 << 20,
            inline_timeout: Duration::from_secs(30),
            streamed_timeout: Duration::from_mins(2),
        }
    }
}

/// The host's way out, shared by all passes.
pub struct Egress {
    client: Arc<dyn HttpClient>,
    resolver: Arc<dyn Resolver>,
    grants: Grants,
    stand_ins: StandIns,
    addresses: AddressRule,
    limits: EgressLimits,
}

impl Egress {
    /// A way out to the origins that the operator grants, over the network.
    pub fn new(grants: Grants) -> Result<Self, ClientError> {
        let client = Arc::new(ReqwestClient::new()?);
        Ok(Self::over(client, Arc::new(SystemResolver::default()), grants))
    }

    /// The same over another client and resolver, such as a simulated world's.
    pub fn over(client: Arc<dyn HttpClient>, resolver: Arc<dyn Resolver>, grants: Grants) -> Self {
        Self {
            client,
            resolver,
            grants,
            stand_ins: StandIns::default(),
            addresses: AddressRule::PublicOnly,
            limits: EgressLimits::default(),
        }
    }

    /// Origins that stand in for granted ones, for tests: the guest and the checks still see the
    /// origin that was asked for. The one case in which a private address is reached.
    #[must_use]
    pub fn stand_ins(mut self, stand_ins: StandIns) -> Self {
        self.stand_ins = stand_ins;
        self
    }

    /// Another client, such as a simulated world.
    #[must_use]
    pub fn client(mut self, client: Arc<dyn HttpClient>) -> Self {
        self.client = client;
        self
    }

    /// Another resolver.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: EgressLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What remains of the way out for one plugin in one tenant.
    pub fn outlet(self: &Arc<Self>, policy: Policy, vault: Arc<dyn Vault>) -> Outlet {
        Outlet {
            egress: self.clone(),
            policy,
            vault,
        }
    }

    /// Where the request really goes, and the addresses it may connect to.
    async fn locate(&self, url: &Url, origin: &Origin) -> Result<(Url, Vec<SocketAddr>), Failure> {
        if let Some(stand_in) = self.stand_ins.of(origin) {
            let url = stand_in
                .rebase(url)
                .ok_or_else(|| Failure::from(Denial::Malformed))?;
            let addresses = resolve(&*self.resolver, &url).await?;
            return Ok((url, addresses));
        }
        let addresses = resolve(&*self.resolver, url).await?;
        self.addresses
            .check_all(&addresses)
            .map_err(|_| Denial::Address)?;
        Ok((url.clone(), addresses))
    }
}

/// The addresses that a URL leads to, unchecked; at least one.
pub(crate) async fn resolve(resolver: &dyn Resolver, url: &Url) -> Result<Vec<SocketAddr>, Failure> {
    let port = url.port_or_known_default().ok_or(Denial::Malformed)?;
    let addresses = match url.host() {
        Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
        Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
        Some(Host::Domain(name)) => resolver
            .resolve(name)
            .await
            .map_err(|_| Failure::unsent(FailureKind::Dns))?,
        None => return Err(Denial::Malformed.into()),
    };
    if addresses.is_empty() {
        return Err(Failure::unsent(FailureKind::Dns));
    }
    Ok(addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect())
}

/// What one plugin may reach in one tenant.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// What the plugin's manifest asks for.
    pub manifest: Grants,
    /// Origins of the manifest that get the mailbox credential.
    pub credential: Grants,
    /// What the tenant grants.
    pub tenant: Grants,
}

/// The way out of one pass.
pub struct Outlet {
    egress: Arc<Egress>,
    policy: Policy,
    vault: Arc<dyn Vault>,
}

#[async_trait]
impl Http for Outlet {
    async fn send(
        &self,
        scope: &Scope,
        budget: &RequestBudget,
        request: Request,
    ) -> Result<Response, Failure> {
        let span = spans::request();
        let result = self.pass(scope, budget, request).instrument(span.clone()).await;
        match &result {
            Ok(response) => {
                spans::answered(&span, Ok(response.status));
                tracing::debug!(connection = %scope.connection, status = response.status, "answered");
            }
            Err(failure) => {
                spans::answered(&span, Err(&failure.kind));
                tracing::debug!(connection = %scope.connection, kind = ?failure.kind, "not answered");
            }
        }
        result
    }
}

impl Outlet {
    async fn pass(
        &self,
        scope: &Scope,
        budget: &RequestBudget,
        request: Request,
    ) -> Result<Response, Failure> {
        let method = client::method(&request.method).ok_or(Denial::Malformed)?;
        let (url, origin) = grants::parse(&request.url).ok_or(Denial::Malformed)?;
        let headers = headers::outgoing(&request.headers)?;
        self.granted(&origin, request.credential)?;
        spans::granted(method.as_str(), &url);
        let body = self.within_limit(request.body, request.length)?;
        budget.take()?;
        let (located, addresses) = self.egress.locate(&url, &origin).await?;
        let replay = body.again();
        let mut outgoing = Outgoing {
            method,
            url: located,
            addresses,
            headers,
            bearer: None,
            body: body.body,
            length: body.length,
        };
        if request.credential == Credential::None {
            return self.exchange(outgoing, request.inline_limit).await;
        }
        outgoing.bearer = Some(self.token(scope, Freshness::Valid).await?);
        let again = replay.map(|body| outgoing.with_body(body));
        let response = self.exchange(outgoing, request.inline_limit).await?;
        let Some(mut again) = again.filter(|_| response.status == 401) else {
            return Ok(response);
        };
        // A request like any other to the server, so to the budget too.
        budget.take()?;
        again.bearer = Some(self.token(scope, Freshness::Refreshed).await?);
        self.exchange(again, request.inline_limit).await
    }

    fn granted(&self, origin: &Origin, credential: Credential) -> Result<(), Denial> {
        if !self.policy.manifest.allow(origin) {
            return Err(Denial::Manifest);
        }
        if !self.egress.grants.allow(origin) {
            return Err(Denial::HostGrant);
        }
        if !self.policy.tenant.allow(origin) {
            return Err(Denial::TenantGrant);
        }
        if credential == Credential::Mailbox && !self.policy.credential.allow(origin) {
            return Err(Denial::Credential);
        }
        Ok(())
    }

    fn within_limit(&self, body: Body, length: Option<u64>) -> Result<Sized, Denial> {
        let limits = &self.egress.limits;
        match body {
            Body::Inline(bytes) if bytes.len() as u64 > limits.inline => Err(Denial::BodyLimit),
            Body::Stream(_) if length.is_some_and(|length| length > limits.streamed) => {
                Err(Denial::BodyLimit)
            }
            Body::Stream(stream) => Ok(Sized {
                body: Body::Stream(cut_at(stream, limits.streamed, None)),
                length,
            }),
            body => Ok(Sized { body, length: None }),
        }
    }

    async fn token(&self, scope: &Scope, freshness: Freshness) -> Result<SecretString, Failure> {
        self.vault
            .access_token(&scope.connection, freshness)
            .await
            .map_err(|error| {
                Failure::unsent(match error {
                    VaultError::ReconnectNeeded | VaultError::NoGrant => FailureKind::ReconnectNeeded,
                    _ => FailureKind::CredentialUnavailable,
                })
            })
    }

    /// One request on the wire, in time; its answer, scrubbed and within its limits.
    async fn exchange(&self, outgoing: Outgoing, inline_limit: u64) -> Result<Response, Failure> {
        let limits = &self.egress.limits;
        let patience = match outgoing.body {
            Body::Stream(_) => limits.streamed_timeout,
            Body::Empty | Body::Inline(_) => limits.inline_timeout,
        };
        let late = |_| Failure::sent(FailureKind::Timeout);
        let head = self.egress.client.send(outgoing);
        let mut response = tokio::time::timeout(patience, head).await.map_err(late)??;
        response.headers = headers::incoming(response.headers);
        let body = match response.body {
            Body::Stream(stream) => {
                Body::Stream(cut_at(stream, limits.streamed, Some(limits.streamed_timeout)))
            }
            whole => whole,
        };
        let inline = usize::try_from(inline_limit.min(limits.inline)).unwrap_or(usize::MAX);
        response.body = tokio::time::timeout(limits.streamed_timeout, body.inline_up_to(inline))
            .await
            .map_err(late)?
            .map_err(|_| Failure::sent(FailureKind::Interrupted))?;
        Ok(response)
    }
}

/// A body and how long it is.
struct Sized {
    body: Body,
    length: Option<u64>,
}

impl Sized {
    /// The same body once more; `None` for a stream, which is there but once.
    fn again(&self) -> Option<Body> {
        match &self.body {
            Body::Empty => Some(Body::Empty),
            Body::Inline(bytes) => Some(Body::Inline(bytes.clone())),
            Body::Stream(_) => None,
        }
    }
}

/// The stream, ended with an error when it goes beyond `limit` bytes or a part takes too long.
fn cut_at(stream: ByteStream, limit: u64, patience: Option<Duration>) -> ByteStream {
    let parts = futures_util::stream::unfold(Some((stream, 0_u64)), move |state| async move {
        let (mut stream, seen) = state?;
        let next = match patience {
            None => stream.next().await,
            Some(patience) => match tokio::time::timeout(patience, stream.next()).await {
                Ok(next) => next,
                Err(_) => return Some((Err(std::io::ErrorKind::TimedOut.into()), None)),
            },
        };
        let part: std::io::Result<Bytes> = next?;
        match part {
            Ok(part) if seen + part.len() as u64 <= limit => {
                let seen = seen + part.len() as u64;
                Some((Ok(part), Some((stream, seen))))
            }
            Ok(_) => Some((Err(std::io::Error::other("the body is over its limit")), None)),
            Err(error) => Some((Err(error), None)),
        }
    });
    Box::pin(parts)
}
