//! The replaying twin of each capability: answers what a [`Script`] holds, when it is its turn.
//!
//! Once a replay has differed nothing is answered any more: what waits waits for ever, what cannot wait
//! gets a value that no longer counts. Whoever replays ends the pass then.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Capabilities;
use crate::{
    body::{Body, ByteStream},
    scope::Scope,
    store::Lease,
    trace::{Divergence, Likeness, Next, Question, Script, Taken, heard, heard_plain, sha256},
};

mod twins;

/// Answers what was recorded.
#[derive(Clone, Debug)]
pub struct Replaying {
    script: Arc<Script>,
}

impl Replaying {
    /// Answers out of this script.
    pub fn new(script: &Arc<Script>) -> Self {
        Self {
            script: script.clone(),
        }
    }

    /// Capabilities that are all this twin.
    pub fn capabilities(self, scope: Scope) -> Capabilities {
        let twin = Arc::new(self);
        let lease = Lease {
            connection: scope.connection.clone(),
            fence: 0,
        };
        Capabilities {
            scope,
            lease,
            store: twin.clone(),
            vault: twin.clone(),
            crm: twin.clone(),
            quota: twin.clone(),
            sharing: twin.clone(),
            clock: twin.clone(),
            random: twin.clone(),
            http: twin.clone(),
            log: twin,
        }
    }

    /// The answer to a question that waits; never, once the replay has differed.
    async fn answer<T>(
        &self,
        question: &Question,
        body: Body,
        read: impl FnOnce(u64, &Value) -> Option<T> + Send,
    ) -> T {
        let Some(call) = self.script.ask(question) else {
            return std::future::pending().await;
        };
        let mut sent = Sent {
            body: match body {
                Body::Stream(stream) => Some(stream),
                Body::Empty | Body::Inline(_) => None,
            },
            is_taking: false,
        };
        loop {
            match std::future::poll_fn(|task| sent.poll(&self.script, call, task)).await {
                Event::Next(Next::Answer(result)) => {
                    if let Some(answer) = read(call, &result) {
                        return answer;
                    }
                    self.script.diverge(Divergence::Answer { call });
                    return std::future::pending().await;
                }
                Event::Next(Next::Take) => sent.is_taking = true,
                Event::Next(Next::Refuse) => sent.body = None,
                Event::Part(part) => {
                    sent.is_taking = false;
                    self.taken(call, part);
                }
            }
        }
    }

    async fn told<T: DeserializeOwned, E: DeserializeOwned>(&self, question: Question) -> Result<T, E> {
        self.answer(&question, Body::Empty, |_, result| heard(result))
            .await
    }

    /// Holds what was taken from the guest's body against what was taken of the recorded one.
    fn taken(&self, call: u64, part: Option<io::Result<Bytes>>) {
        let wanted = self.script.taken(call);
        let got = match part {
            Some(Ok(part)) => Taken::Part {
                length: part.len() as u64,
                sha256: sha256(&part),
            },
            Some(Err(_)) => Taken::End { broken: true },
            None => Taken::End { broken: false },
        };
        let is_same = match (self.script.likeness(), &wanted, &got) {
            (Likeness::Function, Some(Taken::Part { .. }), Taken::Part { .. }) => true,
            (_, wanted, got) => wanted.as_ref() == Some(got),
        };
        if !is_same {
            let say = |taken: Option<&Taken>| match taken {
                Some(Taken::Part { length, sha256 }) => {
                    format!("{length} bytes, SHA-256 {}", sha256.get(..12).unwrap_or_default())
                }
                Some(Taken::End { broken: true }) => "a broken body".to_owned(),
                Some(Taken::End { broken: false }) => "its end".to_owned(),
                None => "nothing".to_owned(),
            };
            self.script.diverge(Divergence::Body {
                call,
                expected: say(wanted.as_ref()),
                got: say(Some(&got)),
            });
        }
    }

    fn at_once<T: DeserializeOwned>(&self, question: &Question) -> Option<T> {
        let (call, result) = self.script.call(question)?;
        let answer = heard_plain(result);
        if answer.is_none() {
            self.script.diverge(Divergence::Answer { call });
        }
        answer
    }

    fn stream(&self, call: u64) -> Body {
        Body::Stream(Box::pin(Parts {
            script: self.script.clone(),
            call,
        }))
    }
}

/// A body that the guest streams.
struct Sent {
    body: Option<ByteStream>,
    /// Whether its next part is to be taken.
    is_taking: bool,
}

enum Event {
    Next(Next),
    Part(Option<io::Result<Bytes>>),
}

impl Sent {
    fn poll(&mut self, script: &Script, call: u64, task: &mut Task<'_>) -> Poll<Event> {
        if let Poll::Ready(next) = script.poll_next(call, task) {
            return Poll::Ready(Event::Next(next));
        }
        match &mut self.body {
            Some(body) if self.is_taking => body.poll_next_unpin(task).map(Event::Part),
            _ => Poll::Pending,
        }
    }
}

/// A streamed answer.
struct Parts {
    script: Arc<Script>,
    call: u64,
}

impl Stream for Parts {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let part = std::task::ready!(self.script.poll_part(self.call, task));
        Poll::Ready(part.map(|part| part.map_err(|()| io::ErrorKind::UnexpectedEof.into())))
    }
}
