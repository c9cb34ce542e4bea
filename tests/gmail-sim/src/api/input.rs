//! A request taken apart, and the helpers that read its parameters.

use axum::http::{HeaderMap, Method as Verb, Request as HttpRequest, header};
use bytes::Bytes;
use serde_json::Value;
use url::form_urlencoded;

use super::Call;
use crate::errors::ApiError;
use crate::format::{Format, decode};
use crate::mailbox::Account;

/// A request, without its transport.
pub(crate) struct Request {
    pub(crate) verb: Verb,
    /// Percent-encoded, without query.
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// `scheme://host:port` the client used.
    pub(crate) origin: String,
}

impl Request {
    /// Takes a request apart.
    pub(crate) fn of(request: HttpRequest<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let authority = parts.uri.authority().map(ToString::to_string);
        let scheme = parts.uri.scheme_str().unwrap_or("http").to_owned();
        let host = authority.or_else(|| {
            parts
                .headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok())
                .map(ToOwned::to_owned)
        });
        Self {
            origin: format!("{scheme}://{}", host.as_deref().unwrap_or("localhost")),
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            verb: parts.method,
            headers: parts.headers,
            body,
        }
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The access token, from the header or the query.
    pub(crate) fn bearer(&self) -> Option<String> {
        let header = self.header(header::AUTHORIZATION.as_str()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| token.trim().to_owned())
        });
        header.or_else(|| self.query.get("access_token").map(ToOwned::to_owned))
    }

    /// The body as JSON; an empty one is `null`.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        parse_json(&self.body)
    }
}

/// Parses a JSON body; an empty one is `null`.
pub(crate) fn parse_json(body: &[u8]) -> Result<Value, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(ApiError::invalid(
            "Invalid JSON payload received. Root element must be a message.",
        )),
        Err(error) => Err(ApiError::invalid(format!(
            "Invalid JSON payload received. {error}"
        ))),
    }
}

/// Query parameters, which may repeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses a query string or a form body.
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first value of a parameter, if it is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Every value of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// All pairs.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// A boolean parameter, false by default.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(ApiError::bad_value(name, other)),
        }
    }

    /// `maxResults`: 100 by default, 500 at most.
    pub(crate) fn max_results(&self) -> Result<usize, ApiError> {
        match self.get("maxResults") {
            None => Ok(100),
            Some(text) => match text.parse::<i64>() {
                Ok(0) => Ok(100),
                Ok(number) if number > 0 => Ok(usize::try_from(number).unwrap_or(500).min(500)),
                _ => Err(ApiError::bad_value("max_results", text)),
            },
        }
    }
}

impl Call<'_> {
    /// The account.
    pub(crate) fn account(&self) -> Result<&Account, ApiError> {
        self.world.accounts.get(&self.key).ok_or_else(ApiError::not_found)
    }

    /// The account, to change.
    pub(crate) fn account_mut(&mut self) -> Result<&mut Account, ApiError> {
        self.world
            .accounts
            .get_mut(&self.key)
            .ok_or_else(ApiError::not_found)
    }

    /// The path parameter at a position.
    pub(crate) fn id_text(&self, position: usize) -> &str {
        self.ids.get(position).map_or("", String::as_str)
    }

    /// The path parameter at a position as a message, thread or draft id.
    pub(crate) fn id(&self, position: usize) -> Result<u64, ApiError> {
        parse_id(self.id_text(position))
    }

    /// A list of strings in the body.
    pub(crate) fn strings(&self, name: &str) -> Result<Vec<String>, ApiError> {
        match self.body.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(|| bad_list(name)))
                .collect(),
            Some(_) => Err(bad_list(name)),
        }
    }

    /// The message in a request: uploaded, or the `raw` of a message resource.
    pub(crate) fn raw_message(&self, message: &Value, limit: usize) -> Result<Bytes, ApiError> {
        let raw = match (&self.media, message.get("raw").and_then(Value::as_str)) {
            (Some(media), _) => media.clone(),
            (None, Some(raw)) => Bytes::from(
                decode(raw).ok_or_else(|| ApiError::invalid("Invalid value for ByteString: raw"))?,
            ),
            (None, None) => Bytes::new(),
        };
        if raw.is_empty() {
            return Err(ApiError::invalid(
                "'raw' RFC822 payload message string or uploading message via /upload/* URL required",
            ));
        }
        crate::transport::check_size(&raw, limit)?;
        Ok(raw)
    }

    /// The `threadId` of a message resource.
    pub(crate) fn named_thread(message: &Value) -> Result<Option<u64>, ApiError> {
        match message
            .get("threadId")
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty())
        {
            Some(id) => parse_id(id)
                .map(Some)
                .map_err(|_| ApiError::invalid("Invalid thread_id value")),
            None => Ok(None),
        }
    }

    /// The `format` parameter with `metadataHeaders`; a metadata-only token may not see bodies.
    pub(crate) fn format(&self) -> Result<Format, ApiError> {
        let text = self.query.get("format").unwrap_or("full");
        let format = match text.to_ascii_lowercase().as_str() {
            "full" | "format_unspecified" => Format::Full,
            "minimal" => Format::Minimal,
            "raw" => Format::Raw,
            "metadata" => Format::Metadata(self.query.all("metadataHeaders")),
            _ => return Err(ApiError::bad_value("format", text)),
        };
        if self.access.metadata_only() && matches!(format, Format::Full | Format::Raw) {
            return Err(ApiError::forbidden(format!(
                "Metadata scope doesn't allow format {}",
                text.to_ascii_uppercase()
            )));
        }
        Ok(format)
    }
}

/// Reads an id of up to 16 hex digits.
pub(crate) fn parse_id(text: &str) -> Result<u64, ApiError> {
    let plausible = !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plausible
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
        .ok_or_else(|| ApiError::invalid("Invalid id value"))
}

fn bad_list(name: &str) -> ApiError {
    ApiError::invalid(format!("Invalid value at '{name}'"))
}
