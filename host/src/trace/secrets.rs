//! What never stands in a trace, whatever a guest or a server writes. The host attaches tokens behind the
//! point where calls are recorded, so none should come this way; what is named like one is hidden all the
//! same. The stand-in depends on the secret alone: an upload's address stays the same address.

use std::borrow::Cow;

use super::content::sha256;
use crate::contract::Field;

/// Parameters of addresses that give a right to whoever knows them.
const PARAMETERS: [&str; 12] = [
    "access_token",
    "assertion",
    "client_secret",
    "code",
    "id_token",
    "key",
    "oauth_token",
    "refresh_token",
    "sig",
    "signature",
    "token",
    "upload_id",
];

/// Members of JSON answers that are tokens (RFC 6749, 5.1; OpenID Connect Core, 3.1.3.3).
const MEMBERS: [&str; 3] = ["\"access_token\"", "\"refresh_token\"", "\"id_token\""];

/// What every stand-in begins with.
const HIDDEN: &str = "hidden-";

/// The address with stand-ins for what gives a right.
pub(crate) fn hidden_in_url(url: &str) -> Cow<'_, str> {
    let Some((base, query)) = url.split_once('?') else {
        return Cow::Borrowed(url);
    };
    let is_secret = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) && !value.starts_with(HIDDEN)
    };
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(url);
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_secret(pair) => format!("{name}={}", stand_in(value)),
        _ => pair.to_owned(),
    });
    Cow::Owned(format!("{base}?{}", pairs.collect::<Vec<_>>().join("&")))
}

/// Header fields with stand-ins for credentials, and for what gives a right in addresses.
pub(crate) fn hidden_in_fields(fields: &[Field]) -> Vec<Field> {
    fields
        .iter()
        .map(|field| Field {
            name: field.name.clone(),
            value: if is_credential(&field.name) {
                stand_in(&field.value)
            } else if field.value.contains("://") {
                hidden_in_url(&field.value).into_owned()
            } else {
                field.value.clone()
            },
        })
        .collect()
}

/// A body in which the values of members that are tokens are replaced by as many `x`.
pub(crate) fn hidden_in_body(text: &str) -> Cow<'_, str> {
    if !MEMBERS.iter().any(|member| text.contains(member)) {
        return Cow::Borrowed(text);
    }
    let mut hidden = text.to_owned();
    for member in MEMBERS {
        let mut from = 0;
        while let Some(at) = hidden.get(from..).and_then(|rest| rest.find(member)) {
            from += at + member.len();
            let Some(value) = string_after_colon(&hidden, from) else {
                continue;
            };
            let stand_in = "x".repeat(value.len());
            from = value.end;
            hidden.replace_range(value, &stand_in);
        }
    }
    Cow::Owned(hidden)
}

/// Where the content of the string is that follows a colon.
fn string_after_colon(text: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let rest = text.get(from..)?;
    let value = rest
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .strip_prefix('"')?;
    let start = text.len() - value.len();
    let length = value.find('"')?;
    Some(start..start + length)
}

/// Fields that carry credentials (RFC 9110, 11; RFC 6265).
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "authorization"
            | "cookie"
            | "cookie2"
            | "set-cookie"
            | "set-cookie2"
            | "x-api-key"
            | "x-goog-api-key"
    ) || name.starts_with("proxy-auth")
}

fn stand_in(secret: &str) -> String {
    if secret.starts_with(HIDDEN) {
        return secret.to_owned();
    }
    let digest = sha256(secret.as_bytes());
    format!("{HIDDEN}{}", digest.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_a_right_in_an_address_is_hidden_the_same_way_each_time() {
        let url = "https://a.example/upload?upload_id=SECRET&pageToken=next";
        let hidden = hidden_in_url(url).into_owned();
        assert!(!hidden.contains("SECRET") && hidden.ends_with("&pageToken=next"));
        assert_eq!(hidden_in_url(&hidden), hidden);
        let location = Field {
            name: "location".into(),
            value: url.into(),
        };
        assert_eq!(hidden_in_fields(&[location])[0].value, hidden);
    }

    #[test]
    fn credentials_in_fields_and_tokens_in_answers_are_hidden() {
        let field = Field {
            name: "Authorization".into(),
            value: "Bearer SECRET".into(),
        };
        assert!(!hidden_in_fields(&[field])[0].value.contains("SECRET"));
        let answer = r#"{"access_token" : "SECRET", "id_token":"ALSO", "scope": "mail"}"#;
        let hidden = hidden_in_body(answer);
        assert!(!hidden.contains("SECRET") && !hidden.contains("ALSO") && hidden.contains("mail"));
        assert_eq!(hidden.len(), answer.len());
        let broken = r#"{"access_token": 7, "refresh_token":"#;
        assert_eq!(hidden_in_body(broken), broken);
    }
}
