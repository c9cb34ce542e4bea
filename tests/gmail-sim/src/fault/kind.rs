//! The catalogue of faults: one line each with its name, when it strikes, what it may strike, its source, what happens.
//!
//! The catalogue makes the enum, its names and [`FaultKind::ALL`], and a test holds the README to it. Grades as in
//! [`crate::Behaviour`]: D discovery document, G Google's pages, L seen live by somebody, U unconfirmed.

use serde::{Deserialize, Serialize};

/// When a fault strikes, seen from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is the answer; nothing happened.
    Before,
    /// The request takes effect, then it is the answer.
    After,
    /// The request takes effect, its answer is spoilt on the way.
    Wire,
    /// The request is carried out under another setting of a switch.
    Twist,
    /// Something else happens first, then the request is carried out.
    Event,
    /// It strikes a notification.
    Push,
}

/// Which methods a fault can strike. OAuth endpoints, batches and notifications count as methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Every request.
    Any,
    /// Methods of the Gmail API and of the People API.
    Google,
    /// Methods of the Gmail API.
    Gmail,
    /// Methods that name something that can be missing.
    Entity,
    Send,
    Watch,
    History,
    Search,
    Import,
    Contacts,
    Token,
    Push,
    /// Where signatures matter.
    Keys,
}

macro_rules! kinds {
    ($($variant:ident $(($($of:ty),+) = ($($sample:expr),+))? $name:literal $stage:ident $reach:ident $source:literal $what:literal;)*) => {
        /// What goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultKind {
            $(
                #[doc = $what]
                #[doc = ""]
                #[doc = concat!("Source: ", $source, ".")]
                $variant $(($($of),+))?
            ),*
        }

        impl FaultKind {
            /// One of each kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant $(($($sample),+))?),*];

            /// Its name in the admin API, the README and [`crate::Sim::faults_hit`].
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant { .. } => $name),* }
            }

            /// What happens, in one line.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant { .. } => $what),* }
            }

            /// Where it is known from: a grade (D, G, L, U) and a name.
            pub fn source(self) -> &'static str {
                match self { $(Self::$variant { .. } => $source),* }
            }

            pub(super) fn stage(self) -> Stage {
                match self { $(Self::$variant { .. } => Stage::$stage),* }
            }

            fn reach(self) -> Reach {
                match self { $(Self::$variant { .. } => Reach::$reach),* }
            }
        }
    };
}

kinds! {
    BackendBefore(u16) = (503) "backend-before" Before Any "G handle-errors"
        "a 5xx `backendError` (500, 502, 503, 504); nothing happened";
    BackendAfter(u16) = (503) "backend-after" After Any "G handle-errors"
        "a 5xx `backendError` although the request took effect";
    Html "html" Before Any "L HTML instead of JSON"
        "502 with an HTML page; nothing happened";
    HtmlAfter "html-after" After Any "L HTML instead of JSON"
        "502 with an HTML page although the request took effect";
    HtmlUnavailable "html-unavailable" Before Any "L HTML instead of JSON"
        "503 with an HTML page; nothing happened";
    HtmlBadRequest "html-bad-request" Before Any "L HTML instead of JSON"
        "400 with an HTML page; nothing happened";
    PreconditionFailed "precondition-failed" Before Google "L handle-errors"
        "400 `failedPrecondition` for a request that is right";
    MailServiceOff "mail-service-off" Before Gmail "L `Mail service not enabled`"
        "400 `failedPrecondition`: the account has no Gmail";
    NotFound "not-found" Before Entity "L lieer#203, OpenArchiver#443"
        "404 `notFound` for what is there; for history.list: the id just handed out has expired";
    Gone "gone" Before Entity "L rare"
        "410 `resourceGone` for what is there";
    Unauthorized "unauthorized" Before Google "L transient 401s"
        "401 for a good token";
    UnauthorizedStorm(u32) = (3) "unauthorized-storm" Before Google "L transient 401s"
        "401 for this and the next requests of the mailbox, this many in all, whatever their token";
    InsufficientScope "insufficient-scope" Before Google "G handle-errors"
        "403 `insufficientPermissions`: a scope is missing all at once";
    DelegationDenied "delegation-denied" Before Gmail "L handle-errors"
        "403 `forbidden`: delegation denied";
    AccessNotConfigured "access-not-configured" Before Google "G SERVICE_DISABLED"
        "403 `accessNotConfigured`: the operator's project has not enabled the API";
    DomainPolicy "domain-policy" Before Gmail "G handle-errors"
        "403 `domainPolicy`: the administrators have disabled Gmail apps";
    DailyLimit "daily-limit" Before Gmail "G handle-errors"
        "403 `dailyLimitExceeded` of the project";
    QuotaExceeded "quota-exceeded" Before Gmail "U Google's global errors"
        "403 `quotaExceeded`";
    UserQuota "user-quota" Before Gmail "L quota metric 'Queries'"
        "403 `rateLimitExceeded`: the user's minute is spent";
    ProjectQuota "project-quota" Before Gmail "L quota metric 'Queries'"
        "403 `rateLimitExceeded`: the project's minute is spent";
    RateForbidden "rate-forbidden" Before Gmail "G handle-errors"
        "403 `rateLimitExceeded` with the short text";
    RateLimited "rate-limited" Before Gmail "G handle-errors"
        "403 `userRateLimitExceeded`";
    QuotaTooMany "quota-too-many" Before Google "L quota metric 'Queries'"
        "429 `rateLimitExceeded`: the user's minute is spent";
    UserRateTooMany "user-rate-too-many" Before Gmail "U handle-errors"
        "429 `userRateLimitExceeded`";
    ResourceExhausted "resource-exhausted" Before Google "L check quota"
        "429 `rateLimitExceeded`: resource has been exhausted";
    Concurrent "concurrent" Before Gmail "L dotnet-client#1982"
        "429 `rateLimitExceeded`: too many concurrent requests for user";
    RetryAfter(i64) = (1_000) "retry-after" Before Gmail "L time in the text"
        "429 with \"Retry after\" in the text, this many milliseconds from now";
    RetryAfterSeconds(i64) = (2_000) "retry-after-seconds" Before Google "U RFC 9110, 10.2.3"
        "429 with `Retry-After` in seconds, given in milliseconds";
    RetryAfterDate(i64) = (2_000) "retry-after-date" Before Google "U RFC 9110, 10.2.3"
        "429 with `Retry-After` as a date, this many milliseconds from now";
    MailSending(i64) = (60_000) "mail-sending" Before Send "L (Mail sending)"
        "429 for sending only, with \"Retry after\" in the text, this many milliseconds from now";
    Blocked(i64) = (60_000) "blocked" Event Gmail "L minutes to hours"
        "429 with \"Retry after\" in the text for every request of the mailbox, for this many milliseconds";
    SendingBlocked(i64) = (60_000) "sending-blocked" Event Send "L (Mail sending)"
        "the same for sending only";
    TopicForbidden "topic-forbidden" Before Watch "L Error sending test message"
        "403: Gmail may not publish to the topic";
    TopicMissing "topic-missing" Before Watch "L Error sending test message"
        "404: there is no such topic";
    DropBefore "drop-before" Before Any "TCP"
        "the connection is cut without an answer; nothing happened";
    DropAfter "drop-after" After Any "TCP"
        "the connection is cut without an answer although the request took effect";
    SilentBefore "silent-before" Before Any "TCP"
        "the request is never answered; nothing happened";
    SilentAfter "silent-after" After Any "TCP"
        "the request is never answered although it took effect";
    CutBody(u32) = (20) "cut-body" Wire Any "TCP"
        "the connection is cut after this many bytes of the answer's body";
    TruncatedBody(u32) = (20) "truncated-body" Wire Any "proxies"
        "the answer's body ends cleanly after this many bytes";
    SlowBody(u32, u32) = (64, 50) "slow-body" Wire Any "TCP"
        "the answer comes in pieces of this many bytes, each after this many milliseconds";
    SentButBounced "sent-but-bounced" Event Send "G handle-errors"
        "200 for a message that is filed in SENT, reaches nobody and bounces";
    HistoryExpired "history-expired" Event History "L OpenArchiver#443, lieer#203"
        "every history id so far expires, also that of the newest message; the next getProfile has a good one";
    HistoryEmptyPage "history-empty-page" Twist History "L lieer#22, #24, #120"
        "an empty page with a `nextPageToken` comes first";
    HistoryShuffled "history-shuffled" Twist History "L google-api-nodejs-client#3508"
        "the records of the page are out of order";
    HistoryPagesSwapped "history-pages-swapped" Twist History "L google-api-nodejs-client#3508"
        "the next page comes before this one";
    HistoryRepeated "history-repeated" Twist History "L records repeat"
        "every record of the page comes twice";
    HistoryLabelsAbsent "history-labels-absent" Twist History "D labelIds are optional"
        "the messages of the page have no `labelIds`";
    HistoryLag(i64) = (5_000) "history-lag" Twist History "L pushed before listed"
        "changes of the last milliseconds are not listed yet";
    SearchLag(i64) = (60_000) "search-lag" Twist Search "L search lags behind writes"
        "`q` does not find what came in the last milliseconds";
    ImportIdChanged "import-id-changed" Twist Import "L import's id may 404"
        "the id that import answers is not the final one";
    SyncTokensExpired "sync-tokens-expired" Event Contacts "G people.connections.list"
        "every sync token of the contacts so far expires";
    PageTokensExpired "page-tokens-expired" Event Contacts "U people.connections.list"
        "every page token of the contacts so far expires";
    ContactsLag(i64) = (300_000) "contacts-lag" Twist Contacts "G people.connections.list"
        "a sync of contacts does not show changes of the last milliseconds yet";
    ClockForward(i64) = (3_600_000) "clock-forward" Event Any "clocks"
        "Google's clock jumps forward by this many milliseconds";
    ClockBackward(i64) = (3_600_000) "clock-backward" Event Any "clocks"
        "Google's clock jumps backward by this many milliseconds";
    AccessTokensExpired "access-tokens-expired" Event Google "G OAuth"
        "after this request the mailbox's access tokens are dead";
    PasswordChanged "password-changed" Event Google "G OAuth"
        "after this request the grants with Gmail scopes are dead";
    ConsentWithdrawn "consent-withdrawn" Event Google "G OAuth"
        "after this request every grant of the mailbox is dead";
    InvalidGrant "invalid-grant" Before Token "G OAuth"
        "400 `invalid_grant` from the token endpoint for a good grant";
    InvalidRapt "invalid-rapt" Before Token "G session control"
        "400 `invalid_grant` with `error_subtype` `invalid_rapt`";
    InvalidClient "invalid-client" Before Token "G OAuth"
        "401 `invalid_client` from the token endpoint";
    KeysRotated "keys-rotated" Event Keys "G certs"
        "the signing key is replaced; the last one stays published";
    PushDuplicate(i64) = (1_000) "push-duplicate" Push Push "G at-least-once"
        "the notification comes again this many milliseconds later";
    PushLost "push-lost" Push Push "G delayed or dropped"
        "the notification never comes";
    PushLate(i64) = (30_000) "push-late" Push Push "G delayed or dropped"
        "the notification comes this many milliseconds late, after those that follow";
    PushWrongKey "push-wrong-key" Push Push "G authenticate-push"
        "before the notification comes a forged one, signed by a key that only claims the published `kid`";
    PushUnknownKey "push-unknown-key" Push Push "G authenticate-push"
        "before the notification comes a forged one, signed by a key that is not published";
    PushUnsigned "push-unsigned" Push Push "RFC 8725, 2.1"
        "before the notification comes a forged one with `alg` `none`";
    PushWrongAudience "push-wrong-audience" Push Push "G authenticate-push"
        "before the notification comes one whose token is for another audience";
    PushWrongEmail "push-wrong-email" Push Push "G authenticate-push"
        "before the notification comes one whose token is another service account's";
    PushUnverifiedEmail "push-unverified-email" Push Push "G authenticate-push"
        "before the notification comes one whose token has `email_verified` false";
    PushWrongIssuer "push-wrong-issuer" Push Push "G authenticate-push"
        "before the notification comes one whose token is from another issuer";
    PushExpired "push-expired" Push Push "G authenticate-push"
        "before the notification comes one whose token has expired";
    PushNotYetValid "push-not-yet-valid" Push Push "G authenticate-push"
        "before the notification comes one whose token is of the future";
    PushWithoutToken "push-without-token" Push Push "G authenticate-push"
        "before the notification comes one without a token";
}

impl FaultKind {
    /// Whether it can strike a method (`messages.send`; `people.connections.list`; `token`, `revoke`, `certs`, `userinfo` for the OAuth endpoints,
    /// `batch` for a batch as a whole, `push` for a notification, `pubsub.pull` and `pubsub.acknowledge`).
    pub fn applies_to(self, method: &str) -> bool {
        let oauth = matches!(method, "token" | "revoke" | "certs" | "userinfo");
        let people = method.starts_with("people.");
        let gmail =
            !people && !oauth && !method.starts_with("pubsub.") && !matches!(method, "batch" | "push");
        match self.reach() {
            Reach::Any => method != "push",
            Reach::Google => gmail || people,
            Reach::Gmail => gmail,
            Reach::Entity => {
                let one = ["get", "modify", "trash", "untrash", "delete", "update", "patch"];
                method == "history.list" || method.rsplit('.').next().is_some_and(|verb| one.contains(&verb))
            }
            Reach::Send => matches!(method, "messages.send" | "drafts.send"),
            Reach::Watch => method == "watch",
            Reach::History => method == "history.list",
            Reach::Search => matches!(method, "messages.list" | "threads.list" | "drafts.list"),
            Reach::Import => method == "messages.import",
            Reach::Contacts => people,
            Reach::Token => method == "token",
            Reach::Push => method == "push",
            Reach::Keys => matches!(method, "push" | "certs"),
        }
    }

    /// Whether a client gets over it alone. After the others a person has to do something, or what the client was
    /// told is not true.
    pub fn is_passing(self) -> bool {
        !matches!(
            self,
            Self::MailServiceOff
                | Self::InsufficientScope
                | Self::DelegationDenied
                | Self::AccessNotConfigured
                | Self::DomainPolicy
                | Self::TopicForbidden
                | Self::TopicMissing
                | Self::PasswordChanged
                | Self::ConsentWithdrawn
                | Self::InvalidGrant
                | Self::InvalidRapt
                | Self::InvalidClient
                | Self::SentButBounced
                | Self::NotFound
                | Self::Gone
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_admin_api_and_unlike_each_other() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in FaultKind::ALL {
            let name = match serde_json::to_value(kind).unwrap() {
                serde_json::Value::String(name) => name,
                serde_json::Value::Object(object) => object.keys().next().unwrap().clone(),
                other => panic!("{other}"),
            };
            assert_eq!(name, kind.name());
            assert!(seen.insert(kind.name()), "{name} twice");
        }
    }

    #[test]
    fn each_kind_strikes_something() {
        let methods = crate::api::Method::ALL.iter().map(|method| method.name());
        let methods: Vec<&str> = methods
            .chain([crate::people::LIST, "token", "push", "batch"])
            .collect();
        for kind in FaultKind::ALL {
            assert!(
                methods.iter().any(|method| kind.applies_to(method)),
                "{}",
                kind.name()
            );
        }
    }
}
