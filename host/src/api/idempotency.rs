//! `Idempotency-Key`: a `POST` that is repeated under its key is answered as it was, and done once
//! (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! Effect and note are two transactions, so a request is noted before it is done: what a dying process began and
//! did not note the end of is not done again, its key answers 409. Mail needs no note: it is queued under its
//! key, in one transaction, and compared by what it says (see `outbound`).

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{BODY_LIMIT, outbound, problem::Problem};
use crate::{
    people::{Answer, Asked, LONGEST_ANSWER, LONGEST_KEY, People, Person},
    web::{Entered, Trouble},
};

/// The header.
pub(super) const HEADER: &str = "idempotency-key";

/// Does a request once.
pub(super) async fn once(State(people): State<People>, request: Request, next: Next) -> Response {
    let counts = request.method() == Method::POST && !outbound::is_mail(request.uri().path());
    let key = match counts.then(|| key(request.headers())).transpose() {
        Ok(key) => key.flatten(),
        Err(problem) => return problem.into_response(),
    };
    let entered = request.extensions().get::<Entered>().cloned();
    match (key, entered) {
        (Some(key), Some(entered)) => remembered(&people, &entered.person, &key, request, next)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        _ => next.run(request).await,
    }
}

async fn remembered(
    people: &People,
    person: &Person,
    key: &str,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.map_err(|_| {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Problem::malformed(status, "the body is over the limit, or broke off")
    })?;
    let digest = Sha256::new()
        .chain_update(parts.uri.path())
        .chain_update([0])
        .chain_update(&body)
        .finalize();
    match people.begin_request(person, key, digest.into()).await? {
        Asked::Never => {}
        Asked::Answered(answer) => return Ok(again(answer)),
        Asked::UnderWay => {
            return Err(refused(
                StatusCode::CONFLICT,
                "request-under-way",
                "A request with this key was begun, and what became of it is not known yet.",
                "Ask again in a moment. If this stays, look whether it was done before you ask under another key.",
            ));
        }
        Asked::Otherwise => {
            return Err(refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-used",
                "Another request had this idempotency key.",
                "Give each request a key of its own.",
            ));
        }
    }
    // A task of its own: a client that goes away does not leave it half done.
    let (people, person, key) = (people.clone(), person.clone(), key.to_owned());
    let request = Request::from_parts(parts, Body::from(body));
    tokio::spawn(async move { noted(&people, &person, &key, request, next).await })
        .await
        .map_err(|_| {
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "failed",
                "The request broke off, and may have been done.",
                "Look whether it was done before you ask under another key.",
            )
        })?
}

/// Does a request that was begun, and notes its answer.
async fn noted(
    people: &People,
    person: &Person,
    key: &str,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let response = next.run(request).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // What failed for a reason of ours may be tried again under the same key.
    let keep = !parts.status.is_server_error() && body.len() <= LONGEST_ANSWER;
    let answer = keep.then(|| match parts.extensions.get::<ToldOnce>() {
        None => kept(parts.status, &parts.headers, &body),
        Some(ToldOnce) => done_and_told(),
    });
    people.end_request(person, key, answer).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// The key of a request.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if text.is_empty() || text.len() > LONGEST_KEY {
        return Err(Problem::malformed(
            StatusCode::BAD_REQUEST,
            "an idempotency key is 1 to 255 visible characters",
        ));
    }
    Ok(Some(text.to_owned()))
}

/// An answer with a secret in it: it is not kept, so a repeated request is told that it was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToldOnce;

fn done_and_told() -> Answer {
    let problem = refused(
        StatusCode::CONFLICT,
        "request-done",
        "This was done, and its answer held a secret that is told once.",
        "Look for what was made; if the answer was lost, remove that and make another.",
    );
    Answer {
        status: problem.status,
        media_type: "application/problem+json".to_owned(),
        body: serde_json::to_vec(&problem).unwrap_or_default(),
    }
}

fn kept(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Answer {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Answer {
        status: status.as_u16(),
        media_type: media_type.unwrap_or_default().to_owned(),
        body: body.to_vec(),
    }
}

fn again(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if answer.media_type.is_empty() {
        return status.into_response();
    }
    (status, [(CONTENT_TYPE, answer.media_type)], answer.body).into_response()
}

fn refused(status: StatusCode, code: &'static str, happened: &str, advice: &str) -> Problem {
    Problem::new(status, Trouble::new(code, happened, advice))
}

#[cfg(test)]
mod tests;
