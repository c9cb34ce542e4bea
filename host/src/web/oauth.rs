//! To the provider's consent page and back.
//!
//! A consent is bound to this browser by a cookie of its own, which ends with it. The cookie also
//! keeps the address that was asked for, so that the button after a refusal asks for it again.

use crate::vault::Callback;
use std::collections::HashMap;

use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    WebState,
    connections::Trouble,
    failure::Failure,
    guard::{CheckedForm, Visitor, cookie, cookie_value, random_text},
    html::{Html, html},
};
use crate::contract::Problem;

const COOKIE: &str = "twinbox_connect";
/// How long a consent may take, in seconds; the flow itself lasts as long.
const LIFETIME: u32 = 600;
/// The longest address, state or code, in bytes.
const TEXT_LIMIT: usize = 4 << 10;

/// `POST /oauth/connect`: on to the consent page.
pub(super) async fn connect(State(state): State<WebState>, form: CheckedForm) -> Result<Response, Failure> {
    let expected = expected_address(form.text("address"))?;
    let session = match &expected {
        Some(address) => format!("{}.{}", random_text(), URL_SAFE_NO_PAD.encode(address)),
        None => random_text(),
    };
    let page = state
        .connections
        .begin(&state.tenant, &state.user, &session, expected)
        .await?;
    let mut response = Redirect::to(page.as_str()).into_response();
    if let Some(cookie) = cookie(&state, COOKIE, &session, "/oauth", Some(LIFETIME)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `GET /oauth/callback`: back from the consent page.
pub(super) async fn callback(
    State(state): State<WebState>,
    visitor: Visitor,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let session = cookie_value(&headers, COOKIE).unwrap_or_default();
    let mut response = match finish(&state, session, &query).await {
        Ok(()) => Redirect::to("/settings").into_response(),
        Err(trouble) => {
            let again = connect_form(&visitor, "Connect again", asked_for(session).as_deref());
            Failure::new(StatusCode::BAD_REQUEST, trouble)
                .with_remedy(again)
                .into_response()
        }
    };
    if let Some(cookie) = cookie(&state, COOKIE, "", "/oauth", Some(0)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The form that begins a consent. Without an address there is a field for one.
pub(super) fn connect_form(visitor: &Visitor, button: &str, address: Option<&str>) -> Html {
    let field = if let Some(address) = address {
        html!("<input type=\"hidden\" name=\"address\" value=\"" (address) "\">")
    } else {
        html!(
            "<label>Gmail address (may be left empty)<input type=\"email\" name=\"address\" autocomplete=\"email\"></label>"
        )
    };
    html!(
        "<form class=\"write\" method=\"post\" action=\"/oauth/connect\">" (visitor.field()) (field)
        "<p><button class=\"primary\">" (button) "</button></p></form>"
    )
}

async fn finish(state: &WebState, session: &str, query: &HashMap<String, String>) -> Result<(), Trouble> {
    let flow = query.get("state").map_or("", String::as_str);
    let callback = match (query.get("code"), query.get("error")) {
        (_, Some(error)) => Callback::Error(error.clone()),
        (Some(code), None) => Callback::Code(code.as_str().into()),
        (None, None) => return Err(not_under_way()),
    };
    let long = query.values().any(|value| value.len() > TEXT_LIMIT);
    if session.is_empty() || flow.is_empty() || long {
        return Err(not_under_way());
    }
    let connection = state.connections.finish(flow, session, callback).await?;
    if connection.scope.tenant == state.tenant {
        Ok(())
    } else {
        Err(not_under_way())
    }
}

fn not_under_way() -> Trouble {
    Trouble::new(
        "unknown-flow",
        "This sign-in is not under way in this browser, or it took too long.",
        "Start again from here; cookies must be allowed.",
    )
}

fn expected_address(text: &str) -> Result<Option<String>, Failure> {
    match super::addresses::parse(text) {
        Ok(list) => match list.as_slice() {
            [] => Ok(None),
            [one] if one.name.is_none() => Ok(Some(one.address.clone())),
            _ => Err(Failure::invalid(
                "This is more than one address.",
                "Go back and give one, or none.",
            )),
        },
        Err(wrong) => Err(Failure::problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            &Problem::RecipientInvalid(wrong),
        )),
    }
}

/// The address in the cookie. It only fills a form in, so it need not be authentic.
fn asked_for(session: &str) -> Option<String> {
    let (_, address) = session.split_once('.')?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(address).ok()?).ok()
}
