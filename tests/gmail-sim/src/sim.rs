//! The handle on a simulated world: what tests and demos do and see beside the API itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{Request as HttpRequest, Response, header};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::api::{self, Request};
use crate::behaviour::Behaviour;
use crate::config::{Config, Consent, PullSubscription, PushEndpoint};
use crate::errors::ApiError;
use crate::fault::{self, Fault, FaultPlan};
use crate::format::hex;
use crate::headers::http_date;
use crate::mailbox::{Account, Verification};
use crate::oauth::{self, TokenFlaw, Tokens};
use crate::push::{Notification, push_request};
use crate::view::{MailboxView, view};
use crate::world::{OutsideMail, Stats, World, canonical};
use crate::{admin, batch, gzip, people, pubsub, wire};

/// A simulated Gmail. Clones share one world.
#[derive(Clone)]
pub struct Sim {
    world: Arc<Mutex<World>>,
    /// Wakes whoever delivers pushes.
    pub(crate) pushed: Arc<Notify>,
}

/// Mail arriving from outside by SMTP.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// The mailbox, or one of its aliases.
    pub mailbox: String,
    /// The message; line ends become CRLF.
    pub raw: Bytes,
    /// When it is accepted (its `internalDate`), in milliseconds since the epoch; by default now.
    pub at: Option<i64>,
    /// The same key again changes nothing and gives the same ids.
    pub key: Option<String>,
    /// Labels; by default INBOX and UNREAD.
    pub labels: Option<Vec<String>>,
}

impl Delivery {
    /// A message for a mailbox, now, into the inbox.
    pub fn new(mailbox: impl Into<String>, raw: impl Into<Bytes>) -> Self {
        Self {
            mailbox: mailbox.into(),
            raw: raw.into(),
            ..Self::default()
        }
    }
}

/// Where a delivered message went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Message id.
    pub id: String,
    /// Thread id.
    pub thread_id: String,
}

impl Sim {
    /// A new world.
    pub fn new(config: Config) -> Self {
        Self {
            world: Arc::new(Mutex::new(World::new(config))),
            pushed: Arc::new(Notify::new()),
        }
    }

    /// Answers a request: Gmail, People, OAuth, uploads, batches, and the admin API under `/sim`. The host in the URI does not
    /// matter. An answer with the extension [`crate::Wire`] does not reach its client as it is; its body is what arrives.
    pub fn handle(&self, request: HttpRequest<Bytes>) -> Response<Bytes> {
        let mut request = Request::of(request);
        let mut world = self.lock();
        world.settle();
        let now = world.now();
        let body = std::mem::take(&mut request.body);
        let unpacked = gzip::inflate(&request.headers, body, world.limits.inflated_bytes);
        let unpacked = unpacked.map(|body| request.body = body);
        let mut response = match request.path.as_str() {
            _ if unpacked.is_err() => unpacked
                .err()
                .map_or_else(Response::default, |error| error.response()),
            path if path.starts_with("/sim/") => admin::handle(&mut world, &request),
            "/batch" | "/batch/gmail/v1" => {
                let mailbox = world.owner_of(request.bearer());
                fault::under(&mut world, &mailbox, "batch", |world| {
                    batch::handle(world, &request)
                })
            }
            _ => oauth::handle(&mut world, &request)
                .or_else(|| pubsub::handle(&mut world, &request))
                .or_else(|| people::handle(&mut world, &request))
                .unwrap_or_else(|| api::handle(&mut world, &request)),
        };
        let waiting = world.has_notifications();
        drop(world);
        if waiting {
            self.pushed.notify_one();
        }
        wire::shorten(&mut response);
        if let Ok(date) = header::HeaderValue::from_str(&http_date(now)) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }

    /// Makes a mailbox; one that exists stays as it is.
    pub fn create_user(&self, email: &str, display_name: &str) {
        self.lock().create_user(email, display_name);
    }

    /// Gives a mailbox another address to send and receive as. False if there is no such mailbox.
    pub fn add_send_as(
        &self,
        email: &str,
        alias: &str,
        display_name: &str,
        verification: Verification,
    ) -> bool {
        self.lock().add_send_as(email, alias, display_name, verification)
    }

    /// Mail arrives from outside. `None` if the mailbox does not exist.
    pub fn deliver(&self, delivery: &Delivery) -> Option<Delivered> {
        let mut world = self.lock();
        world.settle();
        let key = world.find_account(&delivery.mailbox)?;
        let (id, thread) = world.deliver(&key, delivery)?;
        let waiting = world.has_notifications();
        drop(world);
        if waiting {
            self.pushed.notify_one();
        }
        Some(Delivered {
            id: hex(id),
            thread_id: hex(thread),
        })
    }

    /// What a mailbox holds.
    pub fn mailbox(&self, email: &str) -> Option<MailboxView> {
        let mut world = self.lock();
        world.settle();
        let key = world.find_account(email)?;
        let grants = world.oauth.live_grants(&key);
        let now = world.now();
        world.accounts.get(&key).map(|account| view(account, grants, now))
    }

    /// The addresses of all mailboxes.
    pub fn users(&self) -> Vec<String> {
        self.lock()
            .accounts
            .values()
            .map(|account| account.email.clone())
            .collect()
    }

    /// Mail that left for addresses without a mailbox here, in the order of sending.
    pub fn outside(&self) -> Vec<OutsideMail> {
        self.lock().outside.clone()
    }

    /// Requests and quota units so far.
    pub fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    /// Tokens without the OAuth flow, for the first client; scopes as URLs. `None` if the mailbox does not exist.
    pub fn issue_token(&self, email: &str, scopes: &[&str]) -> Option<Tokens> {
        let mut world = self.lock();
        let key = world.find_account(email)?;
        let scopes = scopes
            .iter()
            .map(|scope| oauth::Scope::spelled_out(scope))
            .collect();
        Some(oauth::issue(&mut world, &key, scopes))
    }

    /// Lets every history id expire that was given out so far, that of the newest message too; the next `getProfile` or
    /// `watch` makes a good one. False if there is no such mailbox.
    pub fn expire_all_history(&self, email: &str) -> bool {
        self.with_account(email, |account| account.history.expire_all())
    }

    /// Lets every history id below `before` expire; `None` stands for everything up to now, so that only the newest
    /// id is still good. False if there is no such mailbox.
    pub fn expire_history(&self, email: &str, before: Option<u64>) -> bool {
        self.with_account(email, |account| {
            let before = before.unwrap_or_else(|| account.history.last_id());
            account.history.expire_before(before);
        })
    }

    /// Takes the notifications that were handed out since the last call. Late ones come when their time has come
    /// ([`Self::next_due_ms`]).
    pub fn take_notifications(&self) -> Vec<Notification> {
        self.lock().take_notifications()
    }

    /// When the next thing happens that was put off (a late notification, a bounce, mail to oneself), in milliseconds
    /// since the epoch on the simulator's clock.
    pub fn next_due_ms(&self) -> Option<i64> {
        let world = self.lock();
        let due = world.agenda.next_due()?;
        Some(world.now().saturating_add(due - world.steady()))
    }

    /// The same as the requests that Pub/Sub posts to an endpoint, forged ones among them.
    pub fn take_pushes(&self, endpoint: &PushEndpoint) -> Vec<HttpRequest<Bytes>> {
        let mut world = self.lock();
        let taken = world.take_notifications();
        taken
            .iter()
            .filter_map(|notification| push_request(&mut world, endpoint, notification))
            .collect()
    }

    /// The bearer token of a push by the key in use now, with a flaw or without; `None` where the flaw is that there is
    /// no token.
    pub fn push_token(&self, endpoint: &PushEndpoint, flaw: Option<TokenFlaw>) -> Option<String> {
        self.lock().push_token(endpoint, flaw)
    }

    /// Signs with a new key from now on. The last key stays published, older ones do not.
    pub fn rotate_keys(&self) {
        self.lock().oauth.rotate_keys();
    }

    /// The switches.
    pub fn behaviour(&self) -> Behaviour {
        self.lock().behaviour.clone()
    }

    /// Sets the switches.
    pub fn set_behaviour(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.lock().behaviour);
    }

    /// Sets who answers the consent page.
    pub fn set_consent(&self, consent: Consent) {
        self.lock().consent = consent;
    }

    /// Sets where notifications are posted.
    pub fn set_push(&self, endpoint: Option<PushEndpoint>) {
        self.lock().push = endpoint;
        self.pushed.notify_one();
    }

    /// Where notifications are posted.
    pub fn push(&self) -> Option<PushEndpoint> {
        self.lock().push.clone()
    }

    /// Lets notifications wait to be pulled instead of posting them.
    pub fn set_pull(&self, subscription: Option<PullSubscription>) {
        self.lock().pull = subscription;
    }

    /// Messages that were pulled and are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.lock().pulled.outstanding()
    }

    /// Puts a fault in wait.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.add(fault);
    }

    /// Removes all waiting faults; a plan stays.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// The faults that still wait.
    pub fn waiting_faults(&self) -> Vec<Fault> {
        self.lock().faults.waiting().to_vec()
    }

    /// Begins to strike requests and notifications by seed, or ends it.
    pub fn set_fault_plan(&self, plan: Option<FaultPlan>) {
        self.lock().faults.set_plan(plan);
    }

    /// The plan that strikes requests.
    pub fn fault_plan(&self) -> Option<FaultPlan> {
        self.lock().faults.plan().cloned()
    }

    /// How often each kind of fault struck ([`crate::FaultKind::name`]), and each switch decided something (its name in
    /// [`Behaviour`]).
    pub fn faults_hit(&self) -> BTreeMap<&'static str, u64> {
        self.lock().hits()
    }

    /// Lets Google's clock jump by this many milliseconds, forward or (if negative) backward. What lasts a while
    /// (quota minutes, lags, the second between notifications) is not made longer by a jump backward.
    pub fn jump_clock(&self, by_ms: i64) {
        self.lock().jump_clock(by_ms);
    }

    /// Mail to this address bounces from now on: the sender gets a delivery status notification.
    pub fn bounce(&self, address: &str) {
        self.lock().bouncing.insert(canonical(address));
    }

    /// Refuses all of a mailbox's requests until a time (ms since the epoch) with 429; the time is in the text.
    pub fn block_until(&self, email: &str, until: Option<i64>) -> bool {
        self.with_account(email, |account| account.blocked_until = until)
    }

    /// The same for sending only.
    pub fn block_sending_until(&self, email: &str, until: Option<i64>) -> bool {
        self.with_account(email, |account| account.sending_blocked_until = until)
    }

    /// Whether the account has Gmail at all; without it every call is `Mail service not enabled`.
    pub fn set_mail_enabled(&self, email: &str, enabled: MailService) -> bool {
        self.with_account(email, |account| {
            account.mail_enabled = enabled == MailService::On;
        })
    }

    /// The user changes the password: grants with Gmail scopes end.
    pub fn change_password(&self, email: &str) -> bool {
        self.with_key(email, |world, key| world.oauth.password_changed(key))
    }

    /// The user removes the app's access in the account's settings.
    pub fn withdraw_consent(&self, email: &str) -> bool {
        self.with_key(email, |world, key| world.oauth.withdraw(key, None))
    }

    /// Access tokens of a mailbox expire at once; refresh tokens stay.
    pub fn expire_access_tokens(&self, email: &str) -> bool {
        self.with_key(email, |world, key| world.oauth.expire_access(key))
    }

    /// The scopes, any one of which allows a method (`messages.get`); `None` for a method that is not simulated.
    pub fn scopes_of(&self, method: &str) -> Option<Vec<&'static str>> {
        let found = api::Method::ALL.iter().find(|known| known.name() == method);
        let scopes = match found {
            Some(found) => found.scopes(),
            None => people::scopes(method)?,
        };
        Some(scopes.iter().map(|scope| scope.url()).collect())
    }

    /// Milliseconds since the epoch on the simulator's clock.
    pub fn now_ms(&self) -> i64 {
        self.lock().now()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with_account(&self, email: &str, change: impl FnOnce(&mut Account)) -> bool {
        let mut world = self.lock();
        let key = world.find_account(email);
        let account = key.and_then(|key| world.accounts.get_mut(&key));
        account.map(change).is_some()
    }

    fn with_key(&self, email: &str, change: impl FnOnce(&mut World, &str)) -> bool {
        let mut world = self.lock();
        match world.find_account(email) {
            Some(key) => {
                change(&mut world, &key);
                true
            }
            None => false,
        }
    }
}

/// Whether an account has Gmail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailService {
    /// It has.
    On,
    /// "Mail service not enabled".
    Off,
}

/// The refusal of an admin call for a mailbox that does not exist.
pub(crate) fn no_mailbox() -> Response<Bytes> {
    ApiError::not_found().response()
}
