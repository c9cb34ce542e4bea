//! The consent page: choose an account, tick scopes, allow or cancel. Plain HTML without scripts.

use std::fmt::Write as _;

use url::form_urlencoded;

use super::Scope;
use super::authorize::Asked;
use crate::world::World;

/// Where the form goes.
pub(super) const DECISION_PATH: &str = "/o/oauth2/v2/auth/decision";
/// The field that carries the original request.
pub(super) const REQUEST_FIELD: &str = "request";

const STYLE: &str = "body{font:16px system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem;color:#202124}\
    fieldset{border:1px solid #dadce0;border-radius:8px;margin:0 0 1rem;padding:1rem}label{display:block;padding:.25rem 0}\
    button{font:inherit;padding:.5rem 1.5rem;border-radius:4px;border:1px solid #dadce0;background:#fff;cursor:pointer}\
    button[value=allow]{background:#1a73e8;color:#fff;border-color:#1a73e8}small{color:#5f6368}";

/// The page that asks.
pub(super) fn consent(world: &World, asked: &Asked, request: &[(String, String)]) -> String {
    let hinted = asked
        .login_hint
        .as_ref()
        .and_then(|address| world.find_account(address));
    let mut accounts = String::new();
    for (position, (key, account)) in world.accounts.iter().enumerate() {
        let checked = hinted.as_ref().map_or(position == 0, |hinted| hinted == key);
        let _ = write!(
            accounts,
            "<label><input type=radio name=account value=\"{email}\"{checked}> {name} <small>{email}</small></label>",
            email = escape(&account.email),
            name = escape(&account.display_name),
            checked = if checked { " checked" } else { "" },
        );
    }
    let boxes: Vec<&String> = asked
        .scopes
        .iter()
        .filter(|scope| !Scope::is_sign_in(scope))
        .collect();
    // Google ticks a single box beforehand and leaves several for the user to tick.
    let ticked = if boxes.len() == 1 { " checked" } else { "" };
    let mut scopes = String::new();
    for scope in boxes {
        let _ = write!(
            scopes,
            "<label><input type=checkbox name=scope value=\"{url}\"{ticked}> {text} <small>{url}</small></label>",
            url = escape(scope),
            text = describe(scope),
        );
    }
    let original = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(request)
        .finish();
    format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Sign in - simulated Google Account</title><style>{STYLE}</style><h1>{client} wants access</h1>\
         <p><small>This is a simulator. No real account is involved.</small></p>\
         <form method=post action=\"{DECISION_PATH}\"><input type=hidden name={REQUEST_FIELD} value=\"{original}\">\
         <fieldset><legend>Choose an account</legend>{accounts}</fieldset>\
         <fieldset><legend>Select what {client} can access</legend>{scopes}</fieldset>\
         <button name=decision value=cancel>Cancel</button> <button name=decision value=allow>Continue</button></form></html>",
        client = escape(&asked.client),
        original = escape(&original),
    )
}

/// The page for a request that cannot be sent back.
pub(super) fn error(code: &str, text: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Error 400: {code}</title><style>{STYLE}</style>\
         <h1>Access blocked: authorization error</h1><p>{}</p><p><small>Error 400: {code}</small></p></html>",
        escape(text)
    )
}

fn describe(scope: &str) -> &'static str {
    match scope {
        known if known == Scope::Mail.url() => "Read, compose, send, and permanently delete all your email",
        known if known == Scope::Modify.url() => "Read, compose, and send emails from your Gmail account",
        known if known == Scope::Readonly.url() => "View your email messages and settings",
        known if known == Scope::Send.url() => "Send email on your behalf",
        known if known == Scope::Compose.url() => "Manage drafts and send emails",
        known if known == Scope::Metadata.url() => "View your email message metadata",
        known if known == Scope::Labels.url() => "See and edit your email labels",
        known if known == Scope::Contacts.url() => {
            "See, edit, download, and permanently delete your contacts"
        }
        known if known == Scope::ContactsReadonly.url() => "See and download your contacts",
        _ => "Use this permission",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
