//! Bodies that pass while a pass is recorded.
//!
//! What the guest streams is pumped by the guest's own task into the host's reader: a reader in another
//! task would take parts at times that no replay could keep.

use std::{io, sync::Arc, task::Poll};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
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
        loop {
            let Ok(room) = self.to.reserve().await else {
                self.recorder.gate.turn().await;
                self.recorder.push(Step::Refused { call });
                return;
            };
            self.recorder.gate.turn().await;
            self.recorder.push(Step::Take { call });
            let part = self.from.next().await;
            self.recorder.push(match &part {
                Some(Ok(part)) => Step::Taken {
                    call,
                    length: part.len() as u64,
                    sha256: sha256(part),
                },
                ended => Step::TakenAll {
                    call,
                    broken: ended.is_some(),
                },
            });
            match part {
                Some(Ok(part)) => room.send(Ok(part)),
                Some(Err(error)) => return room.send(Err(error)),
                None => return,
            }
        }
    }
}

/// A body on its way to the guest, whose parts are written down if it is a stream.
pub(super) fn given(body: Body, recorder: &Arc<Recorder>, call: u64) -> Body {
    let Body::Stream(stream) = body else {
        return body;
    };
    let state = (stream, recorder.clone());
    let parts = stream::unfold(state, move |(mut stream, recorder)| async move {
        let (next, waited) = recorder.in_turn(stream.next()).await;
        recorder.push(match &next {
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
        Some((next?, (stream, recorder)))
    });
    Body::Stream(Box::pin(parts))
}
