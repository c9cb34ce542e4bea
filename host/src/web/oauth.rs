//! To the provider's consent page and back.
//!
//! A consent is bound to this browser by a cookie of its own, which ends with it. The cookie also
//! keeps what was asked for, so that the button after a refusal asks for it again. It is bound to who is
//! signed in as well.

use crate::vault::Callback;
use std::collections::HashMap;

use axum::{
    extract::Query,
    http::{HeaderMap, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use maud::{Markup, html};

use super::{
    Desk,
    connections::Trouble,
    failure::Failure,
    guard::{CheckedForm, Visitor, cookie, cookie_value, random_text},
};
use crate::{
    choices::{Choices, GOOGLE_CONTACTS, Wanted},
    contract::{OptionalScope, Problem},
};

const COOKIE: &str = "twinbox_connect";
/// How long a consent may take, in seconds; the flow itself lasts as long.
const LIFETIME: u32 = 600;
/// The longest address, state or code, in bytes.
const TEXT_LIMIT: usize = 4 << 10;

/// `POST /oauth/connect`: on to the consent page.
pub(super) async fn connect(desk: Desk, form: CheckedForm) -> Result<Response, Failure> {
    let wanted = Wanted {
        address: expected_address(form.text("address"))?,
        choices: ticked(&form),
    };
    begin(&desk, wanted).await
}

/// What a form ticks.
pub(super) fn ticked(form: &CheckedForm) -> Choices {
    let ticked = !form.text(GOOGLE_CONTACTS).is_empty();
    Choices::ticked(ticked.then_some(GOOGLE_CONTACTS))
}

/// Sends the browser to the consent page.
pub(super) async fn begin(desk: &Desk, wanted: Wanted) -> Result<Response, Failure> {
    let session = session_for(&wanted);
    let page = desk
        .connections
        .begin(&desk.tenant, &desk.user, &bound(desk, &session), wanted)
        .await?;
    let mut response = Redirect::to(page.as_str()).into_response();
    if let Some(cookie) = cookie(&desk.site, COOKIE, &session, "/oauth", Some(LIFETIME)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `GET /oauth/callback`: back from the consent page.
pub(super) async fn callback(
    desk: Desk,
    visitor: Visitor,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let session = cookie_value(&headers, COOKIE).unwrap_or_default();
    let mut response = match finish(&desk, session, &query).await {
        Ok(()) => Redirect::to("/settings").into_response(),
        Err(trouble) => {
            let again = connect_again(&visitor, &asked_for(session));
            Failure::new(StatusCode::BAD_REQUEST, trouble)
                .with_remedy(again)
                .into_response()
        }
    };
    if let Some(cookie) = cookie(&desk.site, COOKIE, "", "/oauth", Some(0)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The form that begins a consent, with a field for the address and one for each choice that is offered.
pub(super) fn connect_form(
    visitor: &Visitor,
    button: &str,
    offers: &[OptionalScope],
    chosen: &Choices,
) -> Markup {
    html! {
        form.write method="post" action="/oauth/connect" {
            (visitor.field())
            label {
                "Gmail address (may be left empty)"
                input type="email" name="address" autocomplete="email";
            }
            @if let Some(field) = contacts_field(offers, chosen) { (field) }
            p { button.primary { (button) } }
        }
    }
}

/// The button that asks for the same once more.
pub(super) fn connect_again(visitor: &Visitor, wanted: &Wanted) -> Markup {
    html! {
        form.write method="post" action="/oauth/connect" {
            (visitor.field())
            @if let Some(address) = &wanted.address { input type="hidden" name="address" value=(address); }
            @if wanted.choices.has(GOOGLE_CONTACTS) { input type="hidden" name=(GOOGLE_CONTACTS) value="on"; }
            p { button.primary { "Connect again" } }
        }
    }
}

/// The box for the contacts of the account (S08), where the component offers to bring them.
pub(super) fn contacts_field(offers: &[OptionalScope], chosen: &Choices) -> Option<Markup> {
    let is_offered = offers.iter().any(|offer| offer.setting == GOOGLE_CONTACTS);
    is_offered.then(|| {
        html! {
            label.check {
                input type="checkbox" name=(GOOGLE_CONTACTS) value="on" checked[chosen.has(GOOGLE_CONTACTS)];
                " Bring the contacts of the Google account into the CRM"
            }
        }
    })
}

async fn finish(desk: &Desk, session: &str, query: &HashMap<String, String>) -> Result<(), Trouble> {
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
    let session = bound(desk, session);
    desk.connections.finish(flow, &session, callback).await?;
    Ok(())
}

/// What a consent is bound to: this browser, and who is signed in. If somebody else has signed in
/// meanwhile, it is not under way.
pub(crate) fn bound(desk: &Desk, session: &str) -> String {
    format!("{} {} {session}", desk.tenant, desk.user)
}

fn not_under_way() -> Trouble {
    Trouble::new(
        "unknown-flow",
        "This sign-in is not under way in this browser, or it took too long.",
        "Start again from here; cookies must be allowed.",
    )
}

pub(crate) fn expected_address(text: &str) -> Result<Option<String>, Failure> {
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

/// What only this browser has, and what it asks for.
fn session_for(wanted: &Wanted) -> String {
    if *wanted == Wanted::default() {
        return random_text();
    }
    let wanted = serde_json::to_vec(wanted).unwrap_or_default();
    format!("{}.{}", random_text(), URL_SAFE_NO_PAD.encode(wanted))
}

/// What the cookie says was asked for. It only fills a form in, so it need not be authentic.
fn asked_for(session: &str) -> Wanted {
    let read = || {
        let (_, wanted) = session.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(wanted).ok()?).ok()
    };
    read().unwrap_or_default()
}
