//! The token and revocation endpoints.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{ACCESS_MS, Access, Challenge, Code, Grant, Scope, keys, service_account};
use crate::api::{Query, Request};
use crate::errors::json_response;
use crate::fault;
use crate::world::World;

/// An error of the token endpoint (RFC 6749, section 5.2).
pub(super) struct Refusal {
    status: u16,
    error: &'static str,
    description: &'static str,
}

const BAD_CLIENT: Refusal = Refusal {
    status: 401,
    error: "invalid_client",
    description: "The OAuth client was not found.",
};
const BAD_SECRET: Refusal = Refusal {
    status: 401,
    error: "invalid_client",
    description: "Unauthorized",
};
const BAD_CODE: Refusal = Refusal {
    status: 400,
    error: "invalid_grant",
    description: "Malformed auth code.",
};
const BAD_REDIRECT: Refusal = Refusal {
    status: 400,
    error: "redirect_uri_mismatch",
    description: "Bad Request",
};
const NO_VERIFIER: Refusal = Refusal {
    status: 400,
    error: "invalid_grant",
    description: "Missing code verifier.",
};
const BAD_VERIFIER: Refusal = Refusal {
    status: 400,
    error: "invalid_grant",
    description: "Invalid code verifier.",
};
const DEAD: Refusal = Refusal {
    status: 400,
    error: "invalid_grant",
    description: "Token has been expired or revoked.",
};
const BAD_SCOPE: Refusal = Refusal {
    status: 400,
    error: "invalid_scope",
    description: "Bad Request",
};
const MISSING: Refusal = Refusal {
    status: 400,
    error: "invalid_request",
    description: "Missing required parameter: code",
};
pub(super) const MISSING_ASSERTION: Refusal = Refusal {
    status: 400,
    error: "invalid_request",
    description: "Missing required parameter: assertion",
};
pub(super) const DEAD_ASSERTION: Refusal = Refusal {
    status: 400,
    error: "invalid_grant",
    description: "Invalid JWT Signature.",
};
const BAD_TYPE: Refusal = Refusal {
    status: 400,
    error: "unsupported_grant_type",
    description: "Invalid grant_type: ",
};

/// Answers `POST /token`.
pub(super) fn exchange(world: &mut World, request: &Request) -> Response<Bytes> {
    let form = Query::parse(&request.body);
    let owner = form
        .get("refresh_token")
        .and_then(|token| world.oauth.refresh.get(token))
        .map(|grant| grant.account.clone());
    fault::under(world, &owner.unwrap_or_default(), "token", |world| {
        issue(world, request, &form)
    })
}

fn issue(world: &mut World, request: &Request, form: &Query) -> Response<Bytes> {
    let answer = match form.get("grant_type") {
        Some(service_account::GRANT) => service_account::by_assertion(world, form),
        kind => client(world, request, form).and_then(|client| match kind {
            Some("authorization_code") => by_code(world, &client, form),
            Some("refresh_token") => by_refresh(world, &client, form),
            _ => Err(BAD_TYPE),
        }),
    };
    match answer {
        Ok(value) => json_response(200, &value),
        Err(refusal) => json_response(
            refusal.status,
            &json!({"error": refusal.error, "error_description": refusal.description}),
        ),
    }
}

/// Answers `/revoke`: either token of a pair ends both.
pub(super) fn revoke(world: &mut World, request: &Request) -> Response<Bytes> {
    let form = Query::parse(&request.body);
    let token = form
        .get("token")
        .or_else(|| request.query.get("token"))
        .unwrap_or_default()
        .to_owned();
    let by_access = world.oauth.access.get(&token);
    let refresh = by_access.map_or(Some(token.clone()), |access| access.refresh.clone());
    let grant = refresh
        .as_ref()
        .and_then(|refresh| world.oauth.refresh.get(refresh));
    let owner = by_access
        .map(|access| (access.account.clone(), access.client.clone()))
        .or_else(|| grant.map(|grant| (grant.account.clone(), grant.client.clone())));
    let Some((account, client)) = owner else {
        return json_response(
            400,
            &json!({"error": "invalid_token", "error_description": "Token expired or revoked"}),
        );
    };
    let ends_all = world.behaviour.revoke_ends_all_grants;
    if world.hits.when("revoke_ends_all_grants", ends_all) {
        world.oauth.withdraw(&account, Some(&client));
    } else {
        world.oauth.access.remove(&token);
        if let Some(refresh) = refresh {
            world.oauth.refresh.remove(&refresh);
            world
                .oauth
                .access
                .retain(|_, access| access.refresh.as_ref() != Some(&refresh));
        }
        let left = world
            .oauth
            .refresh
            .values()
            .any(|grant| grant.account == account && grant.client == client);
        if !left {
            world.oauth.consents.remove(&(client, account));
        }
    }
    json_response(200, &json!({}))
}

/// A new access token.
pub(super) fn new_access(
    world: &mut World,
    client: &str,
    account: &str,
    scopes: BTreeSet<String>,
    refresh: Option<&str>,
) -> String {
    let token = format!("ya29.{}", world.token(150));
    let project = world
        .clients
        .iter()
        .find(|known| known.id == client)
        .map_or(0, |known| known.project);
    let access = Access {
        account: account.to_owned(),
        scopes,
        project,
        client: client.to_owned(),
        expires_at: world.now() + ACCESS_MS,
        refresh: refresh.map(ToOwned::to_owned),
    };
    world.oauth.access.insert(token.clone(), Arc::new(access));
    token
}

/// A new refresh token; the oldest dies when the account has too many for the client.
pub(super) fn new_grant(world: &mut World, client: &str, account: &str, scopes: &BTreeSet<String>) -> String {
    let token = format!("1//0{}", world.token(96));
    world.oauth.issued += 1;
    let grant = Grant {
        client: client.to_owned(),
        account: account.to_owned(),
        scopes: scopes.clone(),
        issued_at: world.now(),
        serial: world.oauth.issued,
    };
    world.oauth.refresh.insert(token.clone(), grant);
    let mut live: Vec<(u64, String)> = world
        .oauth
        .refresh
        .iter()
        .filter(|(_, grant)| grant.account == account && grant.client == client)
        .map(|(token, grant)| (grant.serial, token.clone()))
        .collect();
    live.sort_unstable();
    let excess = live
        .len()
        .saturating_sub(world.behaviour.refresh_tokens_per_account);
    for (_, oldest) in live.into_iter().take(excess) {
        world.hits.add("refresh_tokens_per_account");
        world.oauth.refresh.remove(&oldest);
    }
    token
}

/// The authenticated client's id, from the form or HTTP Basic.
fn client(world: &World, request: &Request, form: &Query) -> Result<String, Refusal> {
    let basic = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|encoded| {
            let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
            let (id, secret) = text.split_once(':')?;
            Some((form_decode(id), form_decode(secret)))
        });
    let (id, secret) = match basic {
        Some((id, secret)) => (id, Some(secret)),
        None => (
            form.get("client_id").unwrap_or_default().to_owned(),
            form.get("client_secret").map(str::to_owned),
        ),
    };
    let known = world
        .clients
        .iter()
        .find(|known| known.id == id)
        .ok_or(BAD_CLIENT)?;
    if known.secret.is_some() && known.secret != secret {
        return Err(BAD_SECRET);
    }
    Ok(id)
}

fn by_code(world: &mut World, client: &str, form: &Query) -> Result<Value, Refusal> {
    let now = world.now();
    let code = world
        .oauth
        .codes
        .remove(form.get("code").ok_or(MISSING)?)
        .ok_or(BAD_CODE)?;
    if code.client != client || code.expires_at <= now {
        return Err(BAD_CODE);
    }
    if form.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
        return Err(BAD_REDIRECT);
    }
    check_verifier(code.challenge.as_ref(), form.get("code_verifier"))?;
    let refresh = code
        .offline
        .then(|| new_grant(world, client, &code.account, &code.scopes));
    let access = new_access(
        world,
        client,
        &code.account,
        code.scopes.clone(),
        refresh.as_deref(),
    );
    let mut answer = token_answer(world, client, &code, &access);
    if let (Some(refresh), Some(object)) = (refresh, answer.as_object_mut()) {
        object.insert("refresh_token".to_owned(), json!(refresh));
        if let Some(lifetime) = world.behaviour.refresh_token_lifetime_ms {
            object.insert("refresh_token_expires_in".to_owned(), json!(lifetime / 1000));
        }
    }
    Ok(answer)
}

fn by_refresh(world: &mut World, client: &str, form: &Query) -> Result<Value, Refusal> {
    let now = world.now();
    let token = form.get("refresh_token").ok_or(MISSING)?.to_owned();
    let lifetime = world.behaviour.refresh_token_lifetime_ms;
    let grant = world
        .oauth
        .refresh
        .get(&token)
        .filter(|grant| grant.client == client)
        .filter(|grant| {
            let old = lifetime.is_some_and(|lifetime| now >= grant.issued_at.saturating_add(lifetime));
            !world.hits.when("refresh_token_lifetime_ms", old)
        })
        .cloned()
        .ok_or(DEAD)?;
    let scopes = match form.get("scope") {
        None => grant.scopes.clone(),
        Some(text) => {
            let asked: BTreeSet<String> = text.split_whitespace().map(Scope::spelled_out).collect();
            if !asked.is_subset(&grant.scopes) {
                return Err(BAD_SCOPE);
            }
            asked
        }
    };
    let access = new_access(world, client, &grant.account, scopes.clone(), Some(&token));
    Ok(json!({
        "access_token": access,
        "expires_in": ACCESS_MS / 1000 - 1,
        "scope": joined(&scopes),
        "token_type": "Bearer",
    }))
}

fn token_answer(world: &World, client: &str, code: &Code, access: &str) -> Value {
    let mut answer = json!({
        "access_token": access,
        "expires_in": ACCESS_MS / 1000 - 1,
        "scope": joined(&code.scopes),
        "token_type": "Bearer",
    });
    if let (true, Some(object)) = (
        code.scopes.iter().any(|scope| Scope::is_sign_in(scope)),
        answer.as_object_mut(),
    ) {
        object.insert(
            "id_token".to_owned(),
            json!(id_token(world, client, code, access)),
        );
    }
    answer
}

/// OpenID Connect Core, section 2, with Google's claims.
fn id_token(world: &World, client: &str, code: &Code, access: &str) -> String {
    let now = world.now().div_euclid(1000);
    let hash = Sha256::digest(access.as_bytes());
    let mut claims = json!({
        "iss": keys::ISSUER,
        "azp": client,
        "aud": client,
        "iat": now,
        "exp": now + 3600,
        "at_hash": URL_SAFE_NO_PAD.encode(&hash[..16]),
    });
    if let (Some(account), Some(object)) = (world.accounts.get(&code.account), claims.as_object_mut()) {
        object.insert("sub".to_owned(), json!(account.subject));
        if code.scopes.contains(Scope::Email.url()) {
            object.insert("email".to_owned(), json!(account.email));
            object.insert("email_verified".to_owned(), json!(true));
        }
        if code.scopes.contains(Scope::Profile.url()) {
            object.insert("name".to_owned(), json!(account.display_name));
        }
        if let Some(nonce) = &code.nonce {
            object.insert("nonce".to_owned(), json!(nonce));
        }
    }
    world.oauth.keys.sign(&claims)
}

/// RFC 7636, section 4.6.
fn check_verifier(challenge: Option<&Challenge>, verifier: Option<&str>) -> Result<(), Refusal> {
    let (challenge, verifier) = match (challenge, verifier) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(BAD_VERIFIER),
        (Some(_), None) => return Err(NO_VERIFIER),
        (Some(challenge), Some(verifier)) => (challenge, verifier),
    };
    let sent = if challenge.sha256 {
        URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
    } else {
        verifier.to_owned()
    };
    let plausible = (43..=128).contains(&verifier.len());
    if plausible && sent == challenge.value {
        Ok(())
    } else {
        Err(BAD_VERIFIER)
    }
}

fn joined(scopes: &BTreeSet<String>) -> String {
    scopes.iter().cloned().collect::<Vec<_>>().join(" ")
}

fn form_decode(text: &str) -> String {
    let pair = format!("x={text}");
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
