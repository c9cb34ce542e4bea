//! Signing in and out, and another password.
//!
//! A session begins under a new secret, whatever cookie the browser had (OWASP, session fixation). What is
//! wrong, login or password, is not told.

use std::collections::HashMap;

use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header::SET_COOKIE},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use secrecy::SecretString;

use super::{
    Desk, WebState,
    connections::Trouble,
    desk::{Entered, Entrance},
    failure::{Failure, described},
    guard::{CheckedForm, Visitor, cookie, cookie_value, session_cookie},
    layout::{self, Section},
};
use crate::{
    people::{PeopleError, SHORTEST_PASSWORD, SignInError},
    problem::utc_text,
};

/// The longest path that is gone back to after signing in, in bytes.
const NEXT_LIMIT: usize = 2_048;

/// `GET /sign-in`. `next` is the path to go on to.
pub(super) async fn page(
    State(site): State<WebState>,
    visitor: Visitor,
    entered: Option<axum::Extension<Entered>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let next = own_path(query.get("next").map_or("", String::as_str));
    if entered.is_some() {
        return Redirect::to(next).into_response();
    }
    form(&site, &visitor, next, "", None).await.into_response()
}

/// `POST /sign-in`.
pub(super) async fn sign_in(State(site): State<WebState>, visitor: Visitor, input: CheckedForm) -> Response {
    let (login, next) = (input.text("login"), own_path(input.text("next")));
    let password: SecretString = input.text("password").into();
    match site.people.sign_in(login, password).await {
        Ok((_, secret)) => with_session(&site, &secret, Redirect::to(next).into_response()),
        Err(error) => {
            let (status, trouble) = refusal(error);
            let page = form(&site, &visitor, next, login, Some(&trouble)).await;
            (status, page).into_response()
        }
    }
}

/// `POST /sign-out`.
pub(super) async fn sign_out(
    State(site): State<WebState>,
    headers: HeaderMap,
    _form: CheckedForm,
) -> Result<Response, Failure> {
    let name = session_cookie(&site);
    if let Some(secret) = cookie_value(&headers, name) {
        site.people.sign_out(secret).await.map_err(unavailable)?;
    }
    let mut response = Redirect::to("/sign-in").into_response();
    if let Some(cookie) = cookie(&site, name, "", "/", Some(0)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    // Drafts are in the browser's storage: who signs out leaves none behind.
    let storage = HeaderValue::from_static("\"storage\"");
    response.headers_mut().insert("clear-site-data", storage);
    Ok(response)
}

/// `POST /settings/password`: another password. All other sessions of the person end.
pub(super) async fn change_password(desk: Desk, form: CheckedForm) -> Result<Response, Failure> {
    if desk.entered.by != Entrance::Session {
        return Err(Failure::not_found());
    }
    let (people, login) = (&desk.site.people, &desk.entered.person.login);
    let refused = |error| {
        let (status, trouble) = refusal(error);
        Failure::new(status, trouble)
    };
    people
        .proved(login, form.text("current").into())
        .await
        .map_err(refused)?;
    let new: SecretString = form.text("new").into();
    people
        .set_password(login, new.clone())
        .await
        .map_err(|error| refused(error.into()))?;
    let (_, secret) = people.sign_in(login, new).await.map_err(refused)?;
    Ok(with_session(
        &desk.site,
        &secret,
        Redirect::to("/settings").into_response(),
    ))
}

/// Who is signed in, for the settings; nothing where nobody signs in.
pub(super) fn account(desk: &Desk, visitor: &Visitor) -> Option<Markup> {
    let person = &desk.entered.person;
    (desk.entered.by == Entrance::Session).then(|| {
        html! {
            h2 { "Your account" }
            div.card {
                h3 { (person.name) }
                p.muted { (person.login) " · " (person.role.as_str()) " of " (person.tenant.as_str()) }
                form method="post" action="/sign-out" { (visitor.field()) button { "Sign out" } }
                details {
                    summary { "Change the password" }
                    form.write method="post" action="/settings/password" {
                        (visitor.field())
                        label {
                            "Password now"
                            input type="password" name="current" autocomplete="current-password" required;
                        }
                        label {
                            "New password, at least " (SHORTEST_PASSWORD) " characters"
                            input type="password" name="new" autocomplete="new-password"
                                minlength=(SHORTEST_PASSWORD) required;
                        }
                        p.muted { "You are signed out everywhere else." }
                        p { button { "Change" } }
                    }
                }
            }
        }
    })
}

/// The sign-in page that leads back to where somebody wanted to go.
pub(super) fn way_in(uri: &Uri) -> Redirect {
    let wanted = uri.path_and_query().map_or("/", |path| path.as_str());
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", own_path(wanted))
        .finish();
    Redirect::to(&format!("/sign-in?{query}"))
}

/// That the accounts could not be read or written.
pub(super) fn unavailable(error: PeopleError) -> Failure {
    let (status, trouble) = refusal(error.into());
    Failure::new(status, trouble)
}

fn with_session(site: &WebState, secret: &str, mut response: Response) -> Response {
    if let Some(cookie) = cookie(site, session_cookie(site), secret, "/", None) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// A path of ours, as it may be asked for by anybody: never another site's.
fn own_path(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_plain && path.starts_with('/') && !path.starts_with("//") && path.len() <= NEXT_LIMIT {
        path
    } else {
        "/"
    }
}

async fn form(
    site: &WebState,
    visitor: &Visitor,
    next: &str,
    login: &str,
    trouble: Option<&Trouble>,
) -> Markup {
    let nobody = site.people.list().await.is_ok_and(|people| people.is_empty());
    let main = html! {
        main.narrow.sign-in {
            h1 { "Sign in" }
            @if let Some(trouble) = trouble { (described(trouble)) }
            @if nobody {
                p.note {
                    "There are no accounts yet. Whoever runs this server makes one with "
                    code { "twinbox user add LOGIN" } "."
                }
            }
            form.card.write method="post" action="/sign-in" {
                (visitor.field())
                input type="hidden" name="next" value=(next);
                label {
                    "Login"
                    input type="text" name="login" value=(login) autocomplete="username" autocapitalize="none"
                        spellcheck="false" required;
                }
                label {
                    "Password"
                    input type="password" name="password" autocomplete="current-password" required;
                }
                p { button.primary { "Sign in" } }
            }
        }
    };
    layout::page("Sign in", Section::SignIn, &main)
}

fn refusal(error: SignInError) -> (StatusCode, Trouble) {
    match error {
        SignInError::Wrong => (
            StatusCode::UNAUTHORIZED,
            Trouble::new(
                "sign-in-wrong",
                "The login or the password is wrong.",
                "Try again; whoever runs this server can give you another password.",
            ),
        ),
        SignInError::Wait(until) => (
            StatusCode::TOO_MANY_REQUESTS,
            Trouble::new(
                "rate-limited",
                "There were too many wrong passwords for this login.",
                format!("Try again after {}.", utc_text(until)),
            ),
        ),
        SignInError::Failed(PeopleError::Invalid(why)) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Trouble::new(
                "form-invalid",
                format!("This was not accepted: {why}."),
                "Go back and change it.",
            ),
        ),
        SignInError::Failed(error) => {
            tracing::warn!(%error, "accounts");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Trouble::new(
                    "storage-unavailable",
                    "The accounts cannot be read or written now.",
                    "Try again in a moment; if it happens again, look at the log.",
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_paths_of_this_site_alone() {
        for own in ["/", "/settings?x=1", "/conversations/a%20b"] {
            assert_eq!(own_path(own), own);
        }
        for foreign in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "/ä",
        ] {
            assert_eq!(own_path(foreign), "/", "{foreign}");
        }
    }
}
