//! Streams across the sandbox's wall, one part at a time: a side that does not take stops the side
//! that gives.
//!
//! Out of the guest, a part waits in a slot that host code reads as a [`ByteStream`]; the stream fails
//! if it ends short of, or goes beyond, the number of bytes that was announced, and if the pass ends
//! before the guest closed it: half a body is never taken for a whole one. Into the guest, a stream of
//! known length that breaks ends early; one of unknown length that breaks ends the pass, since the
//! guest could not tell.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as Task, Poll, Waker},
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use wasmtime::{
    Result, StoreContextMut,
    component::{Accessor, Destination, Source, StreamConsumer, StreamProducer, StreamResult, VecBuffer},
};

use super::Imports;
use crate::{
    body::{Body, ByteStream},
    contract::imports::http as wit,
    sandbox::Refusal,
};

/// The most bytes that are taken from a guest at once.
const PART: usize = 64 << 10;

/// Whether the pass that feeds a stream is over.
#[derive(Clone, Default)]
pub(crate) struct Over(Arc<AtomicBool>);

impl Over {
    /// From now on a stream that its guest did not close is broken.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A guest's body on the host's side.
pub(super) struct Lifted {
    pub(super) body: Body,
    pub(super) length: Option<u64>,
}

/// Takes a body out of the guest. `expected` is how many bytes it must have, when that is known from
/// elsewhere.
pub(super) fn lift<T: Send + 'static>(
    accessor: &Accessor<T, Imports>,
    body: wit::Body,
    expected: Option<u64>,
) -> Result<Lifted> {
    Ok(match body {
        wit::Body::Empty => Lifted {
            body: Body::Empty,
            length: None,
        },
        wit::Body::Inline(bytes) => Lifted {
            body: Body::Inline(bytes.into()),
            length: None,
        },
        wit::Body::Streamed(streamed) => {
            let length = expected.or(streamed.length);
            let slot = Arc::new(Slot::default());
            let consumer = Consumer(slot.clone());
            let over = accessor.with(|mut access| {
                let over = access.get().over();
                streamed.bytes.pipe(access, consumer).map(|()| over)
            })?;
            let outlet = Outlet {
                slot,
                over,
                seen: 0,
                length,
                ended: false,
            };
            Lifted {
                body: Body::Stream(Box::pin(outlet)),
                length,
            }
        }
    })
}

/// Room for one part, between the guest's write and the host's read.
#[derive(Default)]
struct Slot(Mutex<Room>);

#[derive(Default)]
struct Room {
    part: Option<Bytes>,
    writer_gone: bool,
    reader_gone: bool,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl Slot {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what the guest writes.
struct Consumer(Arc<Slot>);

impl<D> StreamConsumer<D> for Consumer {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        store: StoreContextMut<D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let mut room = self.0.room();
        if room.reader_gone {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        if room.part.is_some() {
            if finish {
                return Poll::Ready(Ok(StreamResult::Cancelled));
            }
            room.writer = Some(task.waker().clone());
            return Poll::Pending;
        }
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        let taken = bytes.len().min(PART);
        if taken > 0 {
            room.part = Some(Bytes::copy_from_slice(&bytes[..taken]));
            source.mark_read(taken);
        }
        if let Some(reader) = room.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut room = self.0.room();
        room.writer_gone = true;
        if let Some(reader) = room.reader.take() {
            reader.wake();
        }
    }
}

/// Gives host code what the guest wrote.
struct Outlet {
    slot: Arc<Slot>,
    over: Over,
    seen: u64,
    length: Option<u64>,
    ended: bool,
}

impl Outlet {
    fn next_part(&self, task: &Task<'_>) -> Poll<Option<Bytes>> {
        let mut room = self.slot.room();
        if let Some(part) = room.part.take() {
            if let Some(writer) = room.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(part));
        }
        if room.writer_gone {
            return Poll::Ready(None);
        }
        room.reader = Some(task.waker().clone());
        Poll::Pending
    }
}

impl Stream for Outlet {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = std::task::ready!(self.next_part(task));
        let Some(part) = part else {
            self.ended = true;
            let short = self.length.is_some_and(|length| self.seen != length);
            let broken = short || (self.length.is_none() && self.over.is_set());
            return Poll::Ready(broken.then(|| Err(io::ErrorKind::UnexpectedEof.into())));
        };
        self.seen += part.len() as u64;
        if self.length.is_some_and(|length| self.seen > length) {
            self.ended = true;
            let error = io::Error::new(io::ErrorKind::InvalidData, "more bytes than announced");
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(Some(Ok(part)))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut room = self.slot.room();
        room.reader_gone = true;
        if let Some(writer) = room.writer.take() {
            writer.wake();
        }
    }
}

/// Gives the guest what host code reads.
pub(crate) struct Producer {
    stream: ByteStream,
    part: Bytes,
    length: Option<u64>,
}

impl Producer {
    pub(crate) fn new(stream: ByteStream, length: Option<u64>) -> Self {
        Self {
            stream,
            part: Bytes::new(),
            length,
        }
    }
}

impl<D: 'static> StreamProducer<D> for Producer {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, VecBuffer<u8>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        while self.part.is_empty() {
            match self.stream.poll_next_unpin(task) {
                Poll::Ready(Some(Ok(part))) => self.part = part,
                Poll::Ready(Some(Err(_))) if self.length.is_none() => {
                    return Poll::Ready(Err(Refusal::BrokenStream.into()));
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut direct = destination.as_direct(store, PART);
        let room = direct.remaining();
        let written = room.len().min(self.part.len());
        room[..written].copy_from_slice(&self.part[..written]);
        direct.mark_written(written);
        self.part.advance(written);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
