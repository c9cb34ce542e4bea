//! `users.getProfile` and `users.settings.sendAs`.

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::errors::ApiError;
use crate::history::anchor;
use crate::mailbox::{SendAs, Verification};

pub(crate) fn profile(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let (behaviour, moment) = (call.world.behaviour.clone(), call.world.moment());
    let account = call.account_mut()?;
    let history_id = anchor(account, &behaviour, moment);
    Ok(Reply::Json(json!({
        "emailAddress": account.email,
        "messagesTotal": account.messages.len(),
        "threadsTotal": account.threads.len(),
        "historyId": history_id.to_string(),
    })))
}

pub(crate) fn send_as_list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let all: Vec<Value> = call.account()?.send_as.iter().map(show).collect();
    Ok(Reply::Json(json!({"sendAs": all})))
}

pub(crate) fn send_as_get(call: &Call<'_>) -> Result<Reply, ApiError> {
    let wanted = call.id_text(0);
    let found = call
        .account()?
        .send_as
        .iter()
        .find(|known| known.email.eq_ignore_ascii_case(wanted));
    found
        .map(|known| Reply::Json(show(known)))
        .ok_or_else(ApiError::not_found)
}

/// `verificationStatus` is absent on the primary address, `isPrimary` on the others.
fn show(send_as: &SendAs) -> Value {
    let mut value = json!({
        "sendAsEmail": send_as.email,
        "displayName": send_as.display_name,
        "replyToAddress": "",
        "signature": "",
        "isDefault": send_as.default,
    });
    if let Some(object) = value.as_object_mut() {
        if send_as.primary {
            object.insert("isPrimary".to_owned(), json!(true));
        } else {
            let status = if send_as.verification == Verification::Accepted {
                "accepted"
            } else {
                "pending"
            };
            object.insert("verificationStatus".to_owned(), json!(status));
            object.insert("treatAsAlias".to_owned(), json!(true));
        }
    }
    value
}
