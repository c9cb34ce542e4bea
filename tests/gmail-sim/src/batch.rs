//! The batch endpoint: several calls in one `multipart/mixed` request.
//!
//! Each part is an HTTP request with a path only; it inherits the outer `Authorization` unless it has its own, costs
//! what it costs alone, and fails alone; only what happens to the connection happens to the whole. No uploads, no batches within. Source: Gmail's batch guide.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, Response};
use bytes::Bytes;
use rand::seq::SliceRandom as _;

use crate::api::{self, Query, Request};
use crate::errors::{ApiError, bytes_response};
use crate::multipart;
use crate::wire::Wire;
use crate::world::World;

const BOUNDARY: &str = "batch_gmail_sim";

/// Answers `POST /batch` and `/batch/gmail/v1`.
pub(crate) fn handle(world: &mut World, request: &Request) -> Response<Bytes> {
    let most = world.limits.batch;
    let content_type = request.header("content-type").unwrap_or_default();
    if !content_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/mixed")
    {
        return ApiError::invalid("Batch request must be multipart/mixed").response();
    }
    let Some(parts) = multipart::parse(content_type, &request.body, most) else {
        return ApiError::invalid(format!(
            "The batch is empty, malformed or has more than {most} calls"
        ))
        .response();
    };
    let at_once = world.behaviour.batch_concurrent.unwrap_or(usize::MAX);
    let mut answers = Vec::with_capacity(parts.len());
    for (position, part) in parts.iter().enumerate() {
        let refused = world.hits.when("batch_concurrent", position >= at_once);
        let answer = match inner(request, part.body) {
            _ if refused => ApiError::concurrent().response(),
            Some(inner) => api::handle(world, &inner),
            None => ApiError::invalid("Failed to parse batch part").response(),
        };
        answers.push((part.header("content-id").map(response_id), answer));
    }
    let shuffles = world.behaviour.batch_shuffled && answers.len() > 1;
    if world.hits.when("batch_shuffled", shuffles) {
        answers.shuffle(&mut world.rng);
    }
    let mut out: Vec<u8> = Vec::new();
    for (id, answer) in &answers {
        write_part(&mut out, id.as_deref(), answer);
    }
    out.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let wire = answers.iter().find_map(|(_, answer)| Wire::of(answer));
    let mut response = bytes_response(200, "multipart/mixed; boundary=batch_gmail_sim", out);
    if let Some(wire) = wire {
        response.extensions_mut().insert(wire);
    }
    response
}

/// `<x>` becomes `<response-x>`.
fn response_id(id: &str) -> String {
    match id.strip_prefix('<') {
        Some(rest) => format!("<response-{rest}"),
        None => format!("response-{id}"),
    }
}

fn inner(outer: &Request, bytes: &[u8]) -> Option<Request> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end + 1)?;
    let line = std::str::from_utf8(line).ok()?.trim();
    let mut words = line.split_whitespace();
    let verb: Verb = words.next()?.parse().ok()?;
    let target = words.next()?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if !path.starts_with("/gmail/v1/") {
        return None;
    }
    let part = multipart::part(rest);
    let mut headers = HeaderMap::new();
    if let Some(authorization) = outer.headers.get("authorization") {
        headers.insert("authorization", authorization.clone());
    }
    for (name, value) in &part.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    Some(Request {
        verb,
        path: path.to_owned(),
        query: Query::parse(query.as_bytes()),
        headers,
        body: Bytes::copy_from_slice(part.body.trim_ascii()),
        origin: outer.origin.clone(),
    })
}

fn write_part(out: &mut Vec<u8>, id: Option<&str>, answer: &Response<Bytes>) {
    out.extend_from_slice(format!("--{BOUNDARY}\r\nContent-Type: application/http\r\n").as_bytes());
    if let Some(id) = id {
        out.extend_from_slice(format!("Content-ID: {id}\r\n").as_bytes());
    }
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(format!("\r\nHTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
    for (name, value) in answer.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", answer.body().len()).as_bytes());
    out.extend_from_slice(answer.body());
    out.extend_from_slice(b"\r\n");
}
