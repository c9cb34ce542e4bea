//! Header fields on their way out and in.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::Denial;
use crate::contract::Field;

/// The most fields of a request, and the most bytes of all of them.
const FIELDS: usize = 64;
const BYTES: usize = 32 << 10;

/// The fields of a request, if all of them are the guest's to set.
pub(super) fn outgoing(fields: &[Field]) -> Result<HeaderMap, Denial> {
    let bytes: usize = fields
        .iter()
        .map(|field| field.name.len() + field.value.len())
        .sum();
    if fields.len() > FIELDS || bytes > BYTES {
        return Err(Denial::Header);
    }
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Denial::Header)?;
        let value = HeaderValue::from_str(&field.value).map_err(|_| Denial::Header)?;
        if is_the_hosts(name.as_str()) {
            return Err(Denial::Header);
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// What the guest may see of an answer's fields.
pub(super) fn incoming(mut fields: Vec<Field>) -> Vec<Field> {
    fields.retain(|field| !carries_credentials(&field.name));
    fields
}

/// Credentials, framing, routing and what speaks for a proxy (RFC 9110, 7.6 and 11; RFC 7239).
fn is_the_hosts(name: &str) -> bool {
    matches!(
        name,
        "accept-encoding"
            | "authorization"
            | "connection"
            | "content-length"
            | "cookie"
            | "cookie2"
            | "expect"
            | "forwarded"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "via"
            | "x-goog-api-key"
            | "x-http-method-override"
    ) || name.starts_with("proxy-")
        || name.starts_with("x-forwarded-")
        || name.starts_with("sec-")
}

fn carries_credentials(name: &str) -> bool {
    matches!(
        name,
        "set-cookie" | "set-cookie2" | "authorization" | "authentication-info" | "x-api-key"
    ) || name.starts_with("proxy-auth")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> Field {
        Field {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn a_guest_cannot_set_what_only_the_host_may() {
        for name in [
            "Authorization",
            "COOKIE",
            "host",
            "connection",
            "transfer-encoding",
            "content-length",
            "proxy-authorization",
            "Proxy-Connection",
            "x-forwarded-for",
            "upgrade",
            "",
            "a b",
            "a\r\nb",
        ] {
            assert_eq!(
                outgoing(&[field(name, "x")]).err(),
                Some(Denial::Header),
                "{name}"
            );
        }
        assert_eq!(
            outgoing(&[field("x-a", "a\r\nhost: b")]).err(),
            Some(Denial::Header)
        );
        assert!(outgoing(&[field("Content-Type", "a/b"), field("if-none-match", "x")]).is_ok());
    }

    #[test]
    fn cookies_never_reach_the_guest() {
        let seen = incoming(vec![
            field("set-cookie", "s"),
            field("www-authenticate", "Bearer"),
        ]);
        assert_eq!(seen, [field("www-authenticate", "Bearer")]);
    }
}
