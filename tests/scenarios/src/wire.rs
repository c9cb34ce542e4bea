//! The host's way out, watched: the request lines as the simulator sees them, and what a test makes
//! happen between two of them.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use secrecy::ExposeSecret;
use tokio::sync::Notify;
use twinbox_host::egress::{ClientError, HttpClient, Outgoing, ReqwestClient, Response};

/// Something that happens once.
type Happening = Pin<Box<dyn Future<Output = ()> + Send>>;

/// When, at a request, a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the request is made.
    Before,
    /// When it has taken effect and its answer has come.
    After,
}

/// The real client.
pub(crate) struct Wire {
    client: ReqwestClient,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    tokens: BTreeSet<String>,
    happenings: Vec<(String, Happening)>,
    death: Option<Death>,
}

struct Death {
    /// Requests that pass before it.
    passing: usize,
    moment: Moment,
    killed: Arc<Notify>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            client: ReqwestClient::new().expect("a client"),
            state: Mutex::default(),
        }
    }

    /// `GET /gmail/v1/users/me/…`, in order, since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lines)
    }

    /// Every token that was ever attached.
    pub(crate) fn tokens(&self) -> BTreeSet<String> {
        self.lock().tokens.clone()
    }

    pub(crate) fn before(&self, text: &str, happening: Happening) {
        self.lock().happenings.push((text.to_owned(), happening));
    }

    /// The request after `n` others never ends; whoever waits is told that it was reached.
    pub(crate) fn kill_at(&self, n: usize, moment: Moment) -> Arc<Notify> {
        let killed = Arc::new(Notify::new());
        self.lock().death = Some(Death {
            passing: n,
            moment,
            killed: killed.clone(),
        });
        killed
    }

    pub(crate) fn let_live(&self) {
        self.lock().death = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn happening(&mut self, line: &str) -> Option<Happening> {
        let position = self.happenings.iter().position(|(text, _)| line.contains(text))?;
        Some(self.happenings.remove(position).1)
    }

    /// How this request ends the process, if it does.
    fn dies(&mut self) -> Option<(Moment, Arc<Notify>)> {
        let death = self.death.as_mut()?;
        if death.passing > 0 {
            death.passing -= 1;
            return None;
        }
        Some((death.moment, death.killed.clone()))
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError> {
        let query = request.url.query().map(|query| format!("?{query}"));
        let line = format!(
            "{} {}{}",
            request.method,
            request.url.path(),
            query.unwrap_or_default()
        );
        let (happening, death) = {
            let mut state = self.lock();
            let happening = state.happening(&line);
            state.lines.push(line);
            let bearer = request.bearer.as_ref();
            state
                .tokens
                .extend(bearer.map(|token| token.expose_secret().to_owned()));
            (happening, state.dies())
        };
        if let Some(happening) = happening {
            happening.await;
        }
        match death {
            None => self.client.send(request).await,
            Some((moment, killed)) => {
                if moment == Moment::After {
                    let _ = self.client.send(request).await;
                }
                killed.notify_one();
                std::future::pending().await
            }
        }
    }
}
