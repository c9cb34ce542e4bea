//! `POST /push/gmail`: where Pub/Sub posts ([`crate::push`]). No browser comes here: no cookie, no form token,
//! and any `Host`; what counts is the token. Nothing of a body is read before its sender is proved.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
    routing::post,
};

use crate::push::{BODY_LIMIT, PushAnswer, PushReceiver, Unreadable};

/// Where it is.
pub const PUSH_PATH: &str = "/push/gmail";
/// How long a proved sender may take to send its body.
const READING: Duration = Duration::from_secs(8);

/// The endpoint, which needs nothing of the pages.
pub fn push_router(receiver: Arc<PushReceiver>) -> Router {
    Router::new()
        .route(PUSH_PATH, post(receive))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(receiver)
}

async fn receive(State(receiver): State<Arc<PushReceiver>>, request: Request) -> Response {
    let answer = match receiver.admit(authorization(request.headers())).await {
        Ok(()) => take(&receiver, request).await,
        Err(answer) => answer,
    };
    match answer {
        PushAnswer::Done => StatusCode::OK.into_response(),
        PushAnswer::Unauthorized => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response()
        }
        PushAnswer::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn take(receiver: &PushReceiver, request: Request) -> PushAnswer {
    match tokio::time::timeout(READING, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => receiver.receive(&body).await,
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            receiver.drop_unreadable(Unreadable::TooLarge)
        }
        // It broke off: it may come whole another time.
        Ok(Err(_)) | Err(_) => PushAnswer::Unavailable,
    }
}

/// The one `Authorization` of a request.
fn authorization(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
