//! What is asked and answered, as it stands in a trace. Recording and replaying make their questions
//! here, so that the same call is the same question in both.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Content,
    secrets::{hidden_in_body, hidden_in_fields, hidden_in_url},
};
use crate::{
    body::Body,
    capability::Line,
    contract::{Attachment, Message, MessageUpdate, OutboundOutcome, Person},
    egress::{Request, Response},
    quota::{Class, Penalty},
    store::{Change, Expectation},
};

/// One call of a capability.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// Interface and function.
    pub(crate) function: &'static str,
    /// With what.
    pub(crate) arguments: Value,
}

impl Question {
    fn new(function: &'static str, arguments: Value) -> Self {
        Self { function, arguments }
    }

    pub(crate) fn get(keys: &[String]) -> Self {
        Self::new("storage.get", json!({ "keys": keys }))
    }

    pub(crate) fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Self {
        let arguments = json!({ "prefix": prefix, "after": after, "limit": limit });
        Self::new("storage.scan", arguments)
    }

    pub(crate) fn commit(expectations: &[Expectation], changes: &[Change]) -> Self {
        let arguments = json!({ "expectations": expectations, "changes": changes });
        Self::new("storage.commit", arguments)
    }

    pub(crate) fn grant() -> Self {
        Self::new("oauth.grant", Value::Null)
    }

    pub(crate) fn release() -> Self {
        Self::new("oauth.release", Value::Null)
    }

    pub(crate) fn features() -> Self {
        Self::new("crm.supported", Value::Null)
    }

    pub(crate) fn find_contacts(addresses: &[String]) -> Self {
        Self::new("crm.find-contacts", json!({ "addresses": addresses }))
    }

    pub(crate) fn put_contacts(persons: &[Person]) -> Self {
        Self::new("crm.put-contacts", json!({ "persons": persons }))
    }

    pub(crate) fn remove_contacts(keys: &[String]) -> Self {
        Self::new("crm.remove-contacts", json!({ "keys": keys }))
    }

    pub(crate) fn put_messages(messages: &[Message]) -> Self {
        Self::new("crm.put-messages", json!({ "messages": messages }))
    }

    pub(crate) fn find_messages(keys: &[String]) -> Self {
        Self::new("crm.find-messages", json!({ "keys": keys }))
    }

    pub(crate) fn update_messages(updates: &[MessageUpdate]) -> Self {
        Self::new("crm.update-messages", json!({ "updates": updates }))
    }

    pub(crate) fn put_attachment(key: &str, attachment: &Attachment, content: &Body) -> Self {
        let arguments = json!({ "message-key": key, "attachment": attachment, "content": body(content) });
        Self::new("crm.put-attachment", arguments)
    }

    pub(crate) fn open_attachment(outbound: &str, attachment: &str) -> Self {
        let arguments = json!({ "outbound-id": outbound, "attachment-id": attachment });
        Self::new("crm.open-attachment", arguments)
    }

    pub(crate) fn changes(cursor: Option<&str>, limit: u32) -> Self {
        Self::new("crm.changes", json!({ "cursor": cursor, "limit": limit }))
    }

    pub(crate) fn next_outbound(limit: u32) -> Self {
        Self::new("crm.next-outbound", json!({ "limit": limit }))
    }

    pub(crate) fn report_outbound(id: &str, outcome: &OutboundOutcome) -> Self {
        Self::new("crm.report-outbound", json!({ "id": id, "outcome": outcome }))
    }

    pub(crate) fn acquire(units: u32, class: Class) -> Self {
        Self::new("quota.acquire", json!({ "units": units, "class": class }))
    }

    pub(crate) fn penalty(penalty: Penalty) -> Self {
        Self::new("quota.report", json!({ "penalty": penalty }))
    }

    pub(crate) fn in_flight() -> Self {
        Self::new("quota.in-flight", Value::Null)
    }

    pub(crate) fn claim(address: &str) -> Self {
        Self::new("sharing.claim", json!({ "contact-address": address }))
    }

    pub(crate) fn standings(addresses: &[String]) -> Self {
        Self::new("sharing.standings", json!({ "contact-addresses": addresses }))
    }

    pub(crate) fn release_contact(address: &str) -> Self {
        Self::new("sharing.release", json!({ "contact-address": address }))
    }

    pub(crate) fn now() -> Self {
        Self::new("clock.now", Value::Null)
    }

    pub(crate) fn sleep(milliseconds: u64) -> Self {
        Self::new("clock.sleep", json!({ "milliseconds": milliseconds }))
    }

    pub(crate) fn random(length: usize) -> Self {
        Self::new("random.bytes", json!({ "length": length }))
    }

    pub(crate) fn line(line: &Line) -> Self {
        Self::new("log.write", json!(line))
    }

    pub(crate) fn send(request: &Request) -> Self {
        let arguments = json!({
            "method": request.method,
            "url": hidden_in_url(&request.url),
            "headers": hidden_in_fields(&request.headers),
            "body": body(&request.body),
            "length": request.length,
            "credential": request.credential,
            "inline-limit": request.inline_limit,
        });
        Self::new("http.send", arguments)
    }
}

/// An answer of a call that can fail.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said<T, E> {
    Ok(T),
    Error(E),
}

/// A result as it stands in a trace.
pub(crate) fn told<T: Serialize, E: Serialize>(result: &Result<T, E>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": error }),
    }
}

/// An answer of a call that cannot fail.
pub(crate) fn plain<T: Serialize>(value: T) -> Value {
    json!({ "ok": value })
}

/// The result that [`told`] wrote.
pub(crate) fn heard<T: DeserializeOwned, E: DeserializeOwned>(value: &Value) -> Option<Result<T, E>> {
    match Said::deserialize(value).ok()? {
        Said::Ok(value) => Some(Ok(value)),
        Said::Error(error) => Some(Err(error)),
    }
}

/// The answer that [`plain`] wrote.
pub(crate) fn heard_plain<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value.get("ok")?).ok()
}

/// A response without the bytes of a streamed body.
pub(crate) fn response(response: &Response) -> Value {
    json!({ "ok": {
        "status": response.status,
        "headers": hidden_in_fields(&response.headers),
        "body": body(&response.body),
        "length": response.length,
    }})
}

/// The response that [`response`] wrote; `stream` is its body if that was streamed.
pub(crate) fn heard_response(value: &Value, stream: impl FnOnce() -> Body) -> Option<Response> {
    let answer = value.get("ok")?;
    Some(Response {
        status: u16::try_from(answer.get("status")?.as_u64()?).ok()?,
        headers: Deserialize::deserialize(answer.get("headers")?).ok()?,
        body: heard_body(answer.get("body")?, stream)?,
        length: answer.get("length").and_then(Value::as_u64),
    })
}

/// A body without the bytes of a stream.
pub(crate) fn body(body: &Body) -> Value {
    match body {
        Body::Empty => json!("empty"),
        Body::Inline(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!({ "inline": hidden_in_body(text) }),
            Err(_) => json!({ "inline": Content::value(bytes) }),
        },
        Body::Stream(_) => json!("stream"),
    }
}

/// The body that [`body`] wrote.
pub(crate) fn heard_body(value: &Value, stream: impl FnOnce() -> Body) -> Option<Body> {
    match value.as_str() {
        Some("empty") => Some(Body::Empty),
        Some("stream") => Some(stream()),
        _ => Some(Body::Inline(Content::of_value(value.get("inline")?)?)),
    }
}
