//! Bodies that pass while a pass is recorded.
//!
//! What the guest streams is pumped by the guest's own task into the host's reader: a reader in another
//! task would take parts at times that no replay could keep.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::Recorder;
use crate::{
    body::{Body, ByteStream},
    trace::{Content, Step, sha256},
};

/// Moves a body from the guest to the host's reader.
pub(super) struct Pump {
    recorder: Arc<Recorder>,
    call: u64,
    from: ByteStream,
    to: mpsc::Sender<io::Result<Bytes>>,
}

impl Pump {
    /// The body for the host's reader, and what moves it there if it is a stream.
    pub(super) fn of(body: Body, recorder: &Arc<Recorder>, call: u64) -> (Body, Option<Self>) {
        let Body::Stream(from) = body else {
            return (body, None);
        };
        let (to, mut parts) = mpsc::channel(1);
        let pump = Self {
            recorder: recorder.clone(),
            call,
            from,
            to,
        };
        let body = stream::poll_fn(move |task| parts.poll_recv(task));
        (Body::Stream(Box::pin(body)), Some(pump))
    }

    /// Moves parts until `answer` is there.
    pub(super) async fn beside<T>(pump: Option<Self>, answer: impl Future<Output = T>) -> T {
        let Some(pump) = pump else {
            return answer.await;
        };
        let mut answer = std::pin::pin!(answer);
        let mut moving = std::pin::pin!(pump.run());
        let mut is_moving = true;
        std::future::poll_fn(move |task| {
            if let Poll::Ready(output) = answer.as_mut().poll(task) {
                return Poll::Ready(output);
            }
            if is_moving && moving.as_mut().poll(task).is_ready() {
                is_moving = false;
            }
            Poll::Pending
        })
        .await
    }

    async fn run(mut self) {
        let call = self.call;
        while let Some(part) = self.from.next().await {
            let Ok(part) = part else {
                self.recorder.push(Step::TakenAll { call, broken: true });
                let _ = self.to.send(part).await;
                return;
            };
            self.recorder.push(Step::Taken {
                call,
                length: part.len() as u64,
                sha256: sha256(&part),
            });
            if self.to.send(Ok(part)).await.is_err() {
                self.recorder.push(Step::Refused { call });
                return;
            }
        }
        self.recorder.push(Step::TakenAll { call, broken: false });
    }
}

/// A body on its way to the guest, whose parts are written down if it is a stream.
pub(super) fn given(body: Body, recorder: &Arc<Recorder>, call: u64) -> Body {
    match body {
        Body::Stream(stream) => Body::Stream(Box::pin(Given {
            stream,
            recorder: recorder.clone(),
            call,
            waited: false,
        })),
        whole => whole,
    }
}

struct Given {
    stream: ByteStream,
    recorder: Arc<Recorder>,
    call: u64,
    waited: bool,
}

impl Stream for Given {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let next = match self.stream.poll_next_unpin(task) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                self.waited = true;
                return Poll::Pending;
            }
        };
        let call = self.call;
        let waited = std::mem::take(&mut self.waited);
        self.recorder.push(match &next {
            Some(Ok(part)) => Step::Given {
                call,
                waited,
                part: Content(part.clone()),
            },
            ended => Step::GivenAll {
                call,
                waited,
                broken: ended.is_some(),
            },
        });
        Poll::Ready(next)
    }
}
