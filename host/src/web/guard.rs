//! What every request passes: it was meant for us (Host, against DNS rebinding), a POST comes from
//! our own pages (Origin, Sec-Fetch-Site, CSRF token), somebody is signed in or the page is for everybody,
//! and every answer says how it may be used.
//!
//! The CSRF token is an HMAC of the session cookie under a key of this process: nothing is stored, and
//! a form from before a restart is refused with a page that says so.

use std::collections::HashMap;

use axum::{
    Extension, Form, RequestExt,
    extract::{FromRequest, FromRequestParts, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderName, ORIGIN,
            REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use maud::{Markup, html};
use sha2::Sha256;
use url::Url;

use super::{
    WebState,
    desk::{Entered, Entrance},
    failure::Failure,
    sign_in::{unavailable, way_in},
};
use crate::{api::Problem, people::Person};

/// Policy of our own pages. Frames are the bodies of messages.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Policy where a form's answer leads to the provider: browsers apply `form-action` to redirects too.
const CONNECT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self' https: http://localhost:* http://127.0.0.1:*; \
     base-uri 'none'; frame-ancestors 'none'";
/// Paths that a token opens, and no others: a token is no cookie, and forms need a session.
const FOR_TOKENS: [&str; 2] = ["/metrics", API];
/// Where programs come: no cookie counts there, and refusals are problem documents.
const API: &str = "/api/v1/";
/// The API's document, which everybody may read.
const DOCUMENT: &str = "/api/v1/openapi.json";
/// What is not opened as a page of its own: without a session it is refused instead of led to the sign-in.
const PARTS: [&str; 3] = ["/events", "/metrics", "/messages/"];
/// The longest cookie or token looked at, in bytes.
const TEXT_LIMIT: usize = 4 << 10;

/// Keys of this process.
pub(super) struct Keys {
    csrf: [u8; 64],
}

impl Keys {
    /// New keys.
    pub(super) fn random() -> Self {
        Self { csrf: rand::random() }
    }

    fn mac(&self, session: &str) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new(&self.csrf.into());
        mac.update(session.as_bytes());
        mac
    }
}

/// The browser that asks.
#[derive(Clone)]
pub(super) struct Visitor {
    session: String,
    token: String,
}

impl Visitor {
    fn new(session: String, keys: &Keys) -> Self {
        let token = URL_SAFE_NO_PAD.encode(keys.mac(&session).finalize().into_bytes());
        Self { session, token }
    }

    /// The token as a form's hidden field. It has to be the form's first.
    pub(super) fn field(&self) -> Markup {
        html! { input type="hidden" name="csrf" value=(self.token); }
    }

    /// Whether a form came from a page that was made for this browser.
    pub(super) fn check(&self, token: &str, keys: &Keys) -> Result<(), Failure> {
        let token = URL_SAFE_NO_PAD.decode(token.get(..TEXT_LIMIT.min(token.len())).unwrap_or_default());
        match token {
            Ok(token) if keys.mac(&self.session).verify_slice(&token).is_ok() => Ok(()),
            _ => Err(Failure::forbidden()),
        }
    }
}

impl FromRequestParts<WebState> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let visitor = Extension::<Self>::from_request_parts(parts, state).await;
        visitor
            .map(|Extension(visitor)| visitor)
            .map_err(|_| Failure::forbidden())
    }
}

/// The fields of a form whose token was checked. Of fields with one name the last counts.
pub(super) struct CheckedForm(HashMap<String, String>);

impl CheckedForm {
    /// A field; empty when it is absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl FromRequest<WebState> for CheckedForm {
    type Rejection = Failure;

    async fn from_request(mut request: Request, state: &WebState) -> Result<Self, Failure> {
        let visitor: Visitor = request.extract_parts_with_state(state).await?;
        let Form(fields) = Form::<HashMap<String, String>>::from_request(request, state)
            .await
            .map_err(|rejection| Failure::bad_form(rejection.status()))?;
        let form = Self(fields);
        visitor.check(form.text("csrf"), &state.keys)?;
        Ok(form)
    }
}

/// A cookie for us alone, until the browser ends or for so many seconds.
pub(super) fn cookie(
    state: &WebState,
    name: &str,
    value: &str,
    path: &str,
    seconds: Option<u32>,
) -> Option<HeaderValue> {
    let secure = if state
        .public
        .as_ref()
        .is_some_and(|public| public.scheme() == "https")
    {
        "; Secure"
    } else {
        ""
    };
    let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    HeaderValue::try_from(format!(
        "{name}={value}; Path={path}; HttpOnly; SameSite=Lax{age}{secure}"
    ))
    .ok()
}

/// The name of the session's cookie. Over `https` with the prefix that binds it to this host and to secure
/// connections (RFC 6265bis, 4.1.3.2).
pub(super) fn session_cookie(site: &WebState) -> &'static str {
    let secure = site
        .public
        .as_ref()
        .is_some_and(|public| public.scheme() == "https");
    if secure {
        "__Host-twinbox_session"
    } else {
        "twinbox_session"
    }
}

/// The value of a cookie.
pub(super) fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, value)| *found == name && value.len() <= TEXT_LIMIT)
        .map(|(_, value)| value)
}

/// Text that cannot be guessed.
pub(crate) fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What every request passes.
pub(super) async fn guard(State(state): State<WebState>, mut request: Request, next: Next) -> Response {
    let connecting =
        request.uri().path().starts_with("/settings") || request.uri().path().starts_with("/oauth");
    let known = cookie_value(request.headers(), session_cookie(&state)).map(str::to_owned);
    let session = known.clone().unwrap_or_else(random_text);
    let mut response = if let Err(response) = enter(&state, &mut request, known.as_deref()).await {
        response
    } else {
        let visitor = Visitor::new(session.clone(), &state.keys);
        request.extensions_mut().insert(visitor);
        next.run(request).await
    };
    let headers = response.headers_mut();
    if known.is_none()
        && is_page(headers)
        && let Some(cookie) = cookie(&state, session_cookie(&state), &session, "/", None)
    {
        headers.append(SET_COOKIE, cookie);
    }
    let policy = if connecting { CONNECT_POLICY } else { PAGE_POLICY };
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with that, browsers send `Origin: null` with our own forms.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Lets a request in, with who it is from; the answer to one that is not let in.
async fn enter(site: &WebState, request: &mut Request, session: Option<&str>) -> Result<(), Response> {
    let api = request.uri().path().starts_with(API);
    let refuse = |failure: Failure| {
        if api {
            Problem::from(failure).into_response()
        } else {
            failure.into_response()
        }
    };
    admit(site, request).map_err(refuse)?;
    let token = token(request).map_err(refuse)?;
    let entered = if api && token.is_none() {
        None
    } else {
        entered(site, token, session).await.map_err(refuse)?
    };
    let path = request.uri().path();
    match entered {
        Some(entered) => {
            request.extensions_mut().insert(entered);
            Ok(())
        }
        None if matches!(path, "/sign-in" | DOCUMENT) || path.starts_with("/assets/") => Ok(()),
        None if !api
            && request.method() == Method::GET
            && !PARTS.iter().any(|part| path.starts_with(part)) =>
        {
            Err(way_in(request.uri()).into_response())
        }
        None => Err(refuse(Failure::not_signed_in())),
    }
}

/// Who a request is from. One with a token is judged by that alone.
async fn entered(
    site: &WebState,
    token: Option<String>,
    session: Option<&str>,
) -> Result<Option<Entered>, Failure> {
    let of = |person: Option<Person>, by| person.map(|person| Entered { person, by });
    if let Some(token) = token {
        let person = site.people.bearer(&token).await.map_err(unavailable)?;
        let entered = of(person, Entrance::Token);
        return entered.map(Some).ok_or_else(Failure::not_signed_in);
    }
    if let Some(session) = session {
        let person = site.people.session(session).await.map_err(unavailable)?;
        if person.is_some() {
            return Ok(of(person, Entrance::Session));
        }
    }
    Ok(of(site.everybody.clone(), Entrance::Open))
}

/// The token of a request, if it brings one where tokens are taken (RFC 6750, 2.1).
fn token(request: &Request) -> Result<Option<String>, Failure> {
    let path = request.uri().path();
    if !FOR_TOKENS.iter().any(|tokens| path.starts_with(tokens)) {
        return Ok(None);
    }
    let Some(field) = request.headers().get(AUTHORIZATION) else {
        return Ok(None);
    };
    let bearer = |field: &str| {
        let (scheme, token) = field.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    };
    let token = field.to_str().ok().and_then(bearer);
    token.map(Some).ok_or_else(Failure::not_signed_in)
}

fn admit(state: &WebState, request: &Request) -> Result<(), Failure> {
    let host = host(request.headers(), request.uri()).ok_or_else(Failure::no_host)?;
    if !is_ours(&host, state.public.as_ref()) {
        return Err(Failure::foreign_host());
    }
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return Ok(());
    }
    let site = request.headers().get("sec-fetch-site");
    let from_us = site.is_none_or(|site| site == "same-origin" || site == "none")
        && request
            .headers()
            .get(ORIGIN)
            .is_none_or(|origin| origin.to_str().is_ok_and(|origin| same_authority(origin, &host)));
    if from_us {
        Ok(())
    } else {
        Err(Failure::forbidden())
    }
}

/// The host and port a request is for, if it says so once and plainly (RFC 9112, 3.2).
fn host(headers: &HeaderMap, uri: &Uri) -> Option<Url> {
    let mut values = headers.get_all(HOST).iter();
    let authority = match (values.next(), values.next()) {
        (Some(host), None) => host.to_str().ok()?,
        (None, _) => uri.authority()?.as_str(),
        _ => return None,
    };
    if authority.contains(['/', '@', '?', '#', '\\']) {
        return None;
    }
    Url::parse(&format!("http://{authority}/")).ok()
}

fn is_ours(host: &Url, public: Option<&Url>) -> bool {
    let name = host.host_str();
    matches!(name, Some("localhost" | "127.0.0.1" | "[::1]"))
        || public.is_some_and(|public| public.host_str() == name)
}

fn same_authority(origin: &str, host: &Url) -> bool {
    // `Host` does not say the scheme: what is a default port is told apart by the origin's.
    let Ok(origin) = Url::parse(origin) else {
        return false;
    };
    let port = host.port();
    origin.host_str() == host.host_str()
        && (origin.port() == port || (origin.port().is_none() && port == origin.port_or_known_default()))
}

fn is_page(headers: &HeaderMap) -> bool {
    headers
        .get(axum::http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// The status that a body over its limit has.
pub(super) const TOO_LARGE: StatusCode = StatusCode::PAYLOAD_TOO_LARGE;

#[cfg(test)]
mod tests {
    use super::*;

    fn url(authority: &str) -> Url {
        Url::parse(&format!("http://{authority}/")).unwrap()
    }

    #[test]
    fn only_loopback_names_and_the_public_host_are_ours() {
        let public = Url::parse("https://crm.example.com").unwrap();
        for ours in [
            "localhost:8080",
            "127.0.0.1",
            "[::1]:1",
            "LOCALHOST",
            "crm.example.com",
        ] {
            assert!(is_ours(&url(ours), Some(&public)), "{ours}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "10.0.0.1",
        ] {
            assert!(!is_ours(&url(foreign), Some(&public)), "{foreign}");
        }
        assert!(!is_ours(&url("crm.example.com"), None));
    }

    #[test]
    fn an_origin_is_ours_only_with_the_same_host_and_port() {
        assert!(same_authority("http://localhost:8080", &url("localhost:8080")));
        assert!(same_authority("https://crm.example.com", &url("crm.example.com")));
        assert!(same_authority(
            "https://crm.example.com",
            &url("crm.example.com:443")
        ));
        for foreign in [
            "null",
            "http://localhost:8081",
            "http://evil.example:8080",
            "http://localhost",
        ] {
            assert!(!same_authority(foreign, &url("localhost:8080")), "{foreign}");
        }
    }

    #[test]
    fn a_host_that_is_said_twice_or_oddly_is_none() {
        let uri = Uri::from_static("/");
        let mut headers = HeaderMap::new();
        assert!(host(&headers, &uri).is_none());
        headers.append(HOST, HeaderValue::from_static("localhost@evil.example"));
        assert!(host(&headers, &uri).is_none());
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        headers.append(HOST, HeaderValue::from_static("evil.example"));
        assert!(host(&headers, &uri).is_none());
    }

    #[test]
    fn a_token_is_good_for_its_own_session_only() {
        let keys = Keys::random();
        let (one, other) = (
            Visitor::new("one".into(), &keys),
            Visitor::new("other".into(), &keys),
        );
        assert!(one.check(&one.token, &keys).is_ok());
        assert!(other.check(&one.token, &keys).is_err());
        assert!(one.check("", &keys).is_err());
        assert!(one.check(&one.token, &Keys::random()).is_err());
    }
}
