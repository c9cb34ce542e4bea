//! What becomes of an answer on its way: a typed extension of the answer in process, the real thing on a socket.
//!
//! In process the body of a marked answer is already what arrives of it, so that a client's transport can be built on
//! [`crate::Sim::handle`]: read the body, then do what the mark says. Source: RFC 9112, section 8 (incomplete messages).

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

/// How long the server keeps a connection that it will not answer on.
const SILENCE: Duration = Duration::from_mins(10);
/// Between the last byte and the cut, so that the bytes leave before the connection ends.
const FLUSH: Duration = Duration::from_millis(20);

/// Marks (as an extension) an answer which does not reach the client as it is. The body of such an answer is what
/// arrives of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The connection is cut before the first byte.
    Dropped,
    /// The connection is cut after this many bytes of the body.
    CutAt(usize),
    /// The body ends after this many bytes as if it were whole.
    Truncated(usize),
    /// The body comes in pieces.
    Slow {
        /// Bytes of a piece.
        chunk: usize,
        /// Milliseconds before each piece.
        per_chunk_ms: u64,
    },
    /// There is never an answer, and the connection stays.
    Silent,
}

impl Wire {
    /// What becomes of an answer of [`crate::Sim::handle`]; `None` if it arrives whole and at once.
    pub fn of(response: &Response<Bytes>) -> Option<Self> {
        response.extensions().get::<Self>().copied()
    }

    /// Whether the body arrives whole.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Slow { .. })
    }

    /// How long a body of this many bytes takes to arrive, in milliseconds; `None` if the answer never ends.
    pub fn takes_ms(self, bytes: usize) -> Option<u64> {
        match self {
            Self::Silent => None,
            Self::Slow { chunk, per_chunk_ms } => {
                let chunks = bytes.div_ceil(chunk.max(1)).max(1);
                Some(per_chunk_ms.saturating_mul(u64::try_from(chunks).unwrap_or(u64::MAX)))
            }
            Self::Dropped | Self::CutAt(_) | Self::Truncated(_) => Some(0),
        }
    }
}

/// Leaves of a marked answer's body what arrives of it; at least its last byte is lost where it is cut.
pub(crate) fn shorten(response: &mut Response<Bytes>) {
    let length = response.body().len();
    let cut = |at: usize| at.min(length.saturating_sub(1));
    let (wire, kept) = match Wire::of(response) {
        None | Some(Wire::Slow { .. }) => return,
        Some(Wire::CutAt(at)) => (Wire::CutAt(cut(at)), cut(at)),
        Some(Wire::Truncated(at)) => (Wire::Truncated(cut(at)), cut(at)),
        Some(wire @ (Wire::Dropped | Wire::Silent)) => (wire, 0),
    };
    response.body_mut().truncate(kept);
    response.extensions_mut().insert(wire);
}

/// The answer as the server sends it.
pub(crate) async fn send(response: Response<Bytes>) -> Response<Body> {
    match Wire::of(&response) {
        None | Some(Wire::Truncated(_)) => response.map(Body::from),
        Some(Wire::Dropped) => Response::new(cut_off()),
        Some(Wire::Silent) => {
            tokio::time::sleep(SILENCE).await;
            Response::new(cut_off())
        }
        Some(Wire::CutAt(_)) if response.body().is_empty() => Response::new(cut_off()),
        Some(Wire::CutAt(_)) => response.map(|body| {
            let broken = stream::once(async {
                tokio::time::sleep(FLUSH).await;
                Err(aborted())
            });
            Body::from_stream(stream::once(async { Ok(body) }).chain(broken))
        }),
        Some(Wire::Slow { chunk, per_chunk_ms }) => {
            response.map(|body| Body::from_stream(slowly(body, chunk.max(1), per_chunk_ms)))
        }
    }
}

fn slowly(
    body: Bytes,
    chunk: usize,
    per_chunk_ms: u64,
) -> Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>> {
    Box::pin(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(per_chunk_ms)).await;
        let piece = rest.split_to(chunk.min(rest.len()));
        Some((Ok(piece), rest))
    }))
}

/// A body that fails before its first byte: hyper then closes the connection without an answer.
fn cut_off() -> Body {
    Body::from_stream(stream::once(async { Err::<Bytes, _>(aborted()) }))
}

fn aborted() -> std::io::Error {
    std::io::ErrorKind::ConnectionAborted.into()
}
