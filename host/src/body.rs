//! Bytes on their way between a capability and a guest.

use std::{io, pin::Pin};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};

/// Bytes as they come. An `Err` ends it: what came before is not the whole.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The host's side of `http.body`.
#[derive(Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// All bytes at once.
    Inline(Bytes),
    /// Bytes as they come.
    Stream(ByteStream),
}

impl Body {
    /// The body as a stream, whatever it is.
    pub fn into_stream(self) -> ByteStream {
        match self {
            Self::Empty => Box::pin(stream::empty()),
            Self::Inline(bytes) => Box::pin(stream::once(async { Ok(bytes) })),
            Self::Stream(stream) => stream,
        }
    }

    /// All bytes, if there are at most `limit`; a longer body is `InvalidData`.
    pub async fn collect(self, limit: usize) -> io::Result<Bytes> {
        match self.inline_up_to(limit).await? {
            Self::Empty => Ok(Bytes::new()),
            Self::Inline(bytes) => Ok(bytes),
            Self::Stream(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the body is over its limit",
            )),
        }
    }

    /// The same body, inline if it has at most `limit` bytes.
    pub async fn inline_up_to(self, limit: usize) -> io::Result<Self> {
        let mut stream = match self {
            Self::Stream(stream) => stream,
            Self::Inline(bytes) if bytes.len() > limit => {
                return Ok(Self::Stream(Self::Inline(bytes).into_stream()));
            }
            small => return Ok(small),
        };
        let mut start = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            start.extend_from_slice(&chunk?);
            if start.len() > limit {
                let start = stream::once(async { Ok(start.freeze()) });
                return Ok(Self::Stream(Box::pin(start.chain(stream))));
            }
        }
        Ok(Self::Inline(start.freeze()))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
