//! The authorization endpoint: checks the request, asks for consent, redirects back.

use std::collections::BTreeSet;

use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use url::Url;

use super::{CODE_MS, Challenge, Code, Scope, html, page};
use crate::api::{Query, Request};
use crate::config::{Client, Consent, Decision, Redirects};
use crate::world::World;

/// A checked authorization request.
pub(super) struct Asked {
    pub(super) client: String,
    redirect: Url,
    redirect_text: String,
    /// In the order asked for.
    pub(super) scopes: Vec<String>,
    state: Option<String>,
    nonce: Option<String>,
    challenge: Option<Challenge>,
    offline: bool,
    prompt: Vec<String>,
    pub(super) login_hint: Option<String>,
    incremental: bool,
}

/// Why a request is not even redirected (the error page) or goes back with an error.
enum Refusal {
    Page {
        error: &'static str,
        text: String,
    },
    Back {
        redirect: Box<Url>,
        error: &'static str,
        state: Option<String>,
    },
}

/// Answers `GET /o/oauth2/v2/auth`.
pub(super) fn begin(world: &mut World, request: &Request) -> Response<Bytes> {
    let asked = match read(&world.clients, &request.query) {
        Ok(asked) => asked,
        Err(refusal) => return refuse(refusal),
    };
    match world.consent.clone() {
        Consent::Auto { account, decision } => {
            let chosen = account
                .or_else(|| asked.login_hint.clone())
                .and_then(|address| world.find_account(&address))
                .or_else(|| world.accounts.keys().next().cloned());
            finish(world, &asked, chosen, &decision)
        }
        Consent::Page if asked.prompt.iter().any(|prompt| prompt == "none") => silent(world, &asked),
        Consent::Page => html(200, page::consent(world, &asked, request.query.pairs())),
    }
}

/// Answers the form of the consent page.
pub(super) fn decide(world: &mut World, request: &Request) -> Response<Bytes> {
    let form = Query::parse(&request.body);
    let original = Query::parse(form.get(page::REQUEST_FIELD).unwrap_or_default().as_bytes());
    let asked = match read(&world.clients, &original) {
        Ok(asked) => asked,
        Err(refusal) => return refuse(refusal),
    };
    let account = form
        .get("account")
        .and_then(|address| world.find_account(address));
    let decision = if form.get("decision") == Some("allow") {
        Decision::Only(form.all("scope"))
    } else {
        Decision::Deny
    };
    finish(world, &asked, account, &decision)
}

/// `prompt=none`: only what has been consented to before.
fn silent(world: &mut World, asked: &Asked) -> Response<Bytes> {
    let account = asked
        .login_hint
        .as_ref()
        .and_then(|address| world.find_account(address));
    let consented = account
        .as_ref()
        .and_then(|account| world.oauth.consents.get(&(asked.client.clone(), account.clone())));
    if consented.is_some_and(|consented| asked.scopes.iter().all(|scope| consented.contains(scope))) {
        return finish(world, asked, account, &Decision::All);
    }
    back(
        asked.redirect.clone(),
        &[("error", "interaction_required")],
        asked.state.as_deref(),
    )
}

fn finish(world: &mut World, asked: &Asked, account: Option<String>, decision: &Decision) -> Response<Bytes> {
    let ticked = |scope: &String| match decision {
        Decision::All => true,
        Decision::Only(some) => {
            Scope::is_sign_in(scope) || some.iter().any(|one| Scope::spelled_out(one) == *scope)
        }
        Decision::Deny => false,
    };
    let mut granted: BTreeSet<String> = asked
        .scopes
        .iter()
        .filter(|scope| ticked(scope))
        .cloned()
        .collect();
    let account = match account {
        Some(account) if !granted.is_empty() => account,
        _ => {
            return back(
                asked.redirect.clone(),
                &[("error", "access_denied")],
                asked.state.as_deref(),
            );
        }
    };
    let consents = world
        .oauth
        .consents
        .entry((asked.client.clone(), account.clone()))
        .or_default();
    let first = consents.is_empty();
    if asked.incremental {
        granted.extend(consents.iter().cloned());
    }
    consents.extend(granted.iter().cloned());
    let asks_again = asked.prompt.iter().any(|prompt| prompt == "consent");
    let scope_text = granted.iter().cloned().collect::<Vec<_>>().join(" ");
    let code_text = format!("4/0A{}", world.token(70));
    let code = Code {
        client: asked.client.clone(),
        account,
        redirect_uri: asked.redirect_text.clone(),
        scopes: granted,
        nonce: asked.nonce.clone(),
        challenge: asked.challenge.clone(),
        offline: asked.offline && (first || asks_again),
        expires_at: world.now() + CODE_MS,
    };
    world.oauth.codes.insert(code_text.clone(), code);
    let pairs = [("code", code_text.as_str()), ("scope", scope_text.as_str())];
    back(asked.redirect.clone(), &pairs, asked.state.as_deref())
}

fn read(clients: &[Client], query: &Query) -> Result<Asked, Refusal> {
    let page = |error, text: &str| Refusal::Page {
        error,
        text: text.to_owned(),
    };
    let id = query
        .get("client_id")
        .ok_or_else(|| page("invalid_request", "Missing required parameter: client_id"))?;
    let client = clients
        .iter()
        .find(|client| client.id == id)
        .ok_or_else(|| page("invalid_client", "The OAuth client was not found."))?;
    let redirect_text = query
        .get("redirect_uri")
        .ok_or_else(|| page("invalid_request", "Missing required parameter: redirect_uri"))?
        .to_owned();
    let redirect = Url::parse(&redirect_text)
        .ok()
        .filter(|url| allowed(&client.redirects, &redirect_text, url))
        .ok_or_else(|| {
            page(
                "redirect_uri_mismatch",
                "The redirect URI in the request does not match the registered ones.",
            )
        })?;
    let state = query.get("state").map(ToOwned::to_owned);
    if query.get("response_type") != Some("code") {
        return Err(Refusal::Back {
            redirect: Box::new(redirect),
            error: "unsupported_response_type",
            state,
        });
    }
    let mut scopes: Vec<String> = Vec::new();
    for scope in query
        .get("scope")
        .unwrap_or_default()
        .split_whitespace()
        .map(Scope::spelled_out)
    {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        return Err(page("invalid_request", "Missing required parameter: scope"));
    }
    let challenge = match (query.get("code_challenge"), query.get("code_challenge_method")) {
        (None, _) => None,
        (Some(value), Some("S256")) => Some(Challenge {
            value: value.to_owned(),
            sha256: true,
        }),
        (Some(value), None | Some("plain")) => Some(Challenge {
            value: value.to_owned(),
            sha256: false,
        }),
        (Some(_), Some(_)) => return Err(page("invalid_request", "Invalid code_challenge_method")),
    };
    Ok(Asked {
        client: id.to_owned(),
        redirect,
        redirect_text,
        scopes,
        state,
        nonce: query.get("nonce").map(ToOwned::to_owned),
        challenge,
        offline: query.get("access_type") == Some("offline"),
        prompt: query
            .get("prompt")
            .unwrap_or_default()
            .split_whitespace()
            .map(ToOwned::to_owned)
            .collect(),
        login_hint: query.get("login_hint").map(ToOwned::to_owned),
        incremental: query.get("include_granted_scopes") == Some("true"),
    })
}

fn allowed(redirects: &Redirects, text: &str, url: &Url) -> bool {
    match redirects {
        Redirects::Exact(list) => list.iter().any(|known| known == text),
        Redirects::AnyLoopback => {
            url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
        }
    }
}

fn refuse(refusal: Refusal) -> Response<Bytes> {
    match refusal {
        Refusal::Page { error, text } => html(400, page::error(error, &text)),
        Refusal::Back {
            redirect,
            error,
            state,
        } => back(*redirect, &[("error", error)], state.as_deref()),
    }
}

fn back(mut redirect: Url, pairs: &[(&str, &str)], state: Option<&str>) -> Response<Bytes> {
    {
        let mut query = redirect.query_pairs_mut();
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.extend_pairs(pairs);
    }
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(location) = HeaderValue::from_str(redirect.as_str()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
