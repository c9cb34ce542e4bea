//! The SMTP server for BCC addresses.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::AbortHandle,
    time::timeout,
};

use super::{
    BccAddresses, Spool, TlsFiles,
    rate::{Buckets, Rate},
    session::{After, Privacy, Refused, serve},
    spool::Held,
};
use crate::{
    clock::Clock,
    scope::ConnectionId,
    store::{ConnectionStatus, Registry},
};

/// So many full addresses one connection may have had: whoever is flooded gets another, but not for ever.
const FULL_ADDRESSES: u64 = 5;

/// What one server may take from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// The largest message, bytes: Gmail's largest, encoded.
    pub message: u64,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one IP address.
    pub connections_of_one: usize,
    /// Recipients of one mail.
    pub recipients: usize,
    /// Commands of one session.
    pub commands: u32,
    /// How long one command, or the next lines of a message, may take.
    pub idle: Duration,
    /// How long one session may last.
    pub session: Duration,
    /// Mails to one address at once.
    pub burst: u32,
    /// Mails to one address a minute, from then on.
    pub per_minute: u32,
    /// Mails to one address that may wait, those included that no component could handle yet. Whoever is flooded gets
    /// another address, and has room again.
    pub held: u64,
    /// Their bytes.
    pub held_bytes: u64,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            message: 36 << 20,
            connections: 128,
            connections_of_one: 16,
            recipients: 20,
            commands: 1_000,
            idle: Duration::from_mins(5),
            session: Duration::from_mins(30),
            burst: 120,
            per_minute: 60,
            held: 2_000,
            held_bytes: 2 << 30,
        }
    }
}

/// What all sessions share.
pub(super) struct Shared {
    pub(super) hostname: String,
    pub(super) limits: ListenerLimits,
    pub(super) tls: Option<TlsFiles>,
    pub(super) spool: Spool,
    pub(super) clock: Arc<dyn Clock>,
    addresses: BccAddresses,
    registry: Arc<dyn Registry>,
    rates: Buckets<ConnectionId>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Shared {
    /// Whose mail to this address is, if it may come now.
    pub(super) async fn admit(&self, address: &str) -> Result<ConnectionId, Refused> {
        let found = self.addresses.find(address).await.map_err(Refused::Store)?;
        let connection = found.ok_or(Refused::Unknown)?;
        let row = self.registry.find(&connection).await.map_err(Refused::Store)?;
        // S06: a connection that was ended has no address.
        if row.is_none_or(|row| row.status == ConnectionStatus::Disconnected) {
            return Err(Refused::Unknown);
        }
        if !self.rates.take(&connection, self.clock.now()) {
            return Err(Refused::TooOften);
        }
        let held = self
            .spool
            .held(&connection, address)
            .await
            .map_err(Refused::Store)?;
        let is_full = |held: Held, addresses: u64| {
            held.mails >= self.limits.held * addresses || held.bytes >= self.limits.held_bytes * addresses
        };
        if is_full(held.address, 1) || is_full(held.connection, FULL_ADDRESSES) {
            return Err(Refused::Full);
        }
        Ok(connection)
    }
}

/// The server; it ends when this is dropped.
pub struct Listener {
    shared: Arc<Shared>,
}

/// A server that runs; it ends when this is dropped.
pub struct Listening {
    address: SocketAddr,
    task: AbortHandle,
}

impl Listener {
    /// A server that calls itself `hostname`.
    pub fn new(
        hostname: String,
        addresses: BccAddresses,
        spool: Spool,
        registry: Arc<dyn Registry>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let limits = ListenerLimits::default();
        Self {
            shared: Arc::new(Shared {
                hostname,
                limits,
                tls: None,
                spool,
                clock,
                addresses,
                registry,
                rates: Buckets::new(rate(&limits)),
                open: Mutex::default(),
            }),
        }
    }

    /// The same, with other limits.
    #[must_use]
    pub fn limited(mut self, limits: ListenerLimits) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.limits = limits;
            shared.rates = Buckets::new(rate(&limits));
        }
        self
    }

    /// The same, offering TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsFiles) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.tls = Some(tls);
        }
        self
    }

    /// Serves one connection that was accepted elsewhere, until it ends.
    pub async fn serve<S>(&self, stream: S, peer: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        session(self.shared.clone(), stream, peer).await;
    }

    /// Serves the connections of a socket.
    pub async fn start(self, address: SocketAddr) -> std::io::Result<Listening> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(accept(self.shared, socket)).abort_handle();
        Ok(Listening { address, task })
    }
}

impl Listening {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn rate(limits: &ListenerLimits) -> Rate {
    Rate {
        burst: limits.burst,
        per_minute: limits.per_minute,
    }
}

async fn accept(shared: Arc<Shared>, socket: TcpListener) {
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let peer = peer.ip().to_canonical();
                let session = session(shared.clone(), stream, peer);
                let limit = shared.limits.session;
                sessions.spawn(async move {
                    let _ = timeout(limit, session).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn session<S>(shared: Arc<Shared>, mut stream: S, peer: IpAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Some(_open) = Open::enter(&shared, peer) else {
        // Whoever does not take it in time goes without.
        let _ = timeout(
            Duration::from_secs(5),
            stream.write_all(b"421 4.7.0 Too many connections\r\n"),
        )
        .await;
        return;
    };
    let After::Tls(plain) = serve(shared.clone(), stream, peer, Privacy::Plain).await else {
        return;
    };
    let Some(tls) = &shared.tls else { return };
    match timeout(shared.limits.idle, tls.acceptor().accept(plain)).await {
        Ok(Ok(stream)) => {
            serve(shared, stream, peer, Privacy::Tls).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS came about"),
        Err(_) => {}
    }
}

/// A connection that counts; it stops counting when this is dropped.
struct Open {
    shared: Arc<Shared>,
    peer: IpAddr,
}

impl Open {
    fn enter(shared: &Arc<Shared>, peer: IpAddr) -> Option<Self> {
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let of_one = open.get(&peer).copied().unwrap_or_default();
        if all >= shared.limits.connections || of_one >= shared.limits.connections_of_one {
            return None;
        }
        open.insert(peer, of_one + 1);
        Some(Self {
            shared: shared.clone(),
            peer,
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = open.get_mut(&self.peer) {
            *number -= 1;
            if *number == 0 {
                open.remove(&self.peer);
            }
        }
    }
}
