//! How a request's body comes: as JSON, or as an upload (media, multipart, resumable).
//!
//! Source: Gmail's uploads guide. Chunks of a resumable upload are multiples of 256 KiB except the last; an unfinished
//! one is answered with 308 and `Range`; `bytes */total` asks how much has come.

use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use serde_json::Value;

use crate::api::{Method, Request, parse_json};
use crate::api::{Route, Way};
use crate::errors::{ApiError, bytes_response};
use crate::multipart;
use crate::oauth::Access;
use crate::world::World;

/// Chunks but the last are multiples of this.
const CHUNK: usize = 256 * 1024;

/// What was read of a request.
pub(crate) enum Input {
    /// The method can run.
    Whole { body: Value, media: Option<Bytes> },
    /// A resumable upload goes on: this is its answer.
    Session(Response<Bytes>),
}

/// A resumable upload.
#[derive(Debug)]
pub(crate) struct Session {
    account: String,
    method: Method,
    metadata: Value,
    total: Option<usize>,
    received: Vec<u8>,
}

/// Reads the body of a request.
pub(crate) fn read(
    world: &mut World,
    request: &Request,
    route: &Route,
    access: &Access,
) -> Result<Input, ApiError> {
    let limit = route.method.upload_limit(&world.limits);
    match (route.way, limit) {
        (Way::Upload, Some(limit)) => upload(world, request, route, access, limit),
        (_, Some(_)) if request.body.len() > world.limits.json_bytes => {
            Err(ApiError::too_large(world.limits.json_bytes))
        }
        _ => Ok(Input::Whole {
            body: request.json()?,
            media: None,
        }),
    }
}

fn upload(
    world: &mut World,
    request: &Request,
    route: &Route,
    access: &Access,
    limit: usize,
) -> Result<Input, ApiError> {
    if let Some(id) = request.query.get("upload_id") {
        return resume(world, request, route, access, id, limit);
    }
    match request
        .query
        .get("uploadType")
        .or_else(|| request.query.get("upload_protocol"))
    {
        Some("media" | "raw") => whole(Value::Null, request.body.clone(), limit),
        Some("multipart") => {
            let content_type = request.header("content-type").unwrap_or_default();
            let parts = multipart::parse(content_type, &request.body, 2)
                .ok_or_else(|| ApiError::invalid("Missing end boundary in multipart body."))?;
            let [metadata, media] = parts.as_slice() else {
                return Err(ApiError::invalid("Multipart must have exactly two parts"));
            };
            whole(
                parse_json(metadata.body)?,
                request.body.slice_ref(media.body),
                limit,
            )
        }
        Some("resumable") => begin(world, request, route, access, limit).map(Input::Session),
        other => Err(ApiError::bad_value("upload_type", other.unwrap_or_default())),
    }
}

fn whole(body: Value, media: Bytes, limit: usize) -> Result<Input, ApiError> {
    crate::transport::check_size(&media, limit)?;
    Ok(Input::Whole {
        body,
        media: Some(media),
    })
}

fn begin(
    world: &mut World,
    request: &Request,
    route: &Route,
    access: &Access,
    limit: usize,
) -> Result<Response<Bytes>, ApiError> {
    let total = match request.header("x-upload-content-length") {
        Some(text) => Some(
            text.parse()
                .map_err(|_| ApiError::invalid("Invalid X-Upload-Content-Length"))?,
        ),
        None => None,
    };
    if total.is_some_and(|total: usize| total > limit) {
        return Err(ApiError::too_large(limit));
    }
    let metadata = request.json()?;
    let id = world.token(40);
    let session = Session {
        account: access.account.clone(),
        method: route.method,
        metadata,
        total,
        received: Vec::new(),
    };
    world.uploads.insert(id.clone(), session);
    let location = format!(
        "{}{}?uploadType=resumable&upload_id={id}",
        request.origin, request.path
    );
    let mut response = bytes_response(200, "text/plain; charset=utf-8", Bytes::new());
    for (name, value) in [("location", location), ("x-guploader-uploadid", id)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn resume(
    world: &mut World,
    request: &Request,
    route: &Route,
    access: &Access,
    id: &str,
    limit: usize,
) -> Result<Input, ApiError> {
    let session = world
        .uploads
        .get_mut(id)
        .filter(|session| session.account == access.account && session.method == route.method)
        .ok_or_else(ApiError::not_found)?;
    let range = Range::read(request.header(header::CONTENT_RANGE.as_str()), request.body.len())?;
    session.total = range.total.or(session.total);
    if let Some(from) = range.from {
        session.add(from, &request.body, limit)?;
    }
    let complete = session.total.is_some_and(|total| session.received.len() >= total);
    if !complete {
        return Ok(Input::Session(incomplete(session.received.len())));
    }
    let session = world.uploads.remove(id).ok_or_else(ApiError::not_found)?;
    whole(session.metadata, Bytes::from(session.received), limit)
}

impl Session {
    /// Takes a chunk; what is known of it already is skipped.
    fn add(&mut self, from: usize, chunk: &[u8], limit: usize) -> Result<(), ApiError> {
        let known = self.received.len().checked_sub(from);
        let Some(known) = known else {
            return Err(ApiError::invalid("Invalid Content-Range: there is a gap"));
        };
        let fresh = chunk.get(known..).unwrap_or_default();
        let end = self.received.len() + fresh.len();
        if end > limit {
            return Err(ApiError::too_large(limit));
        }
        if self.total != Some(end) && !chunk.len().is_multiple_of(CHUNK) {
            return Err(ApiError::invalid(format!(
                "Invalid request. The number of bytes uploaded is required to be equal or greater than {CHUNK}, except \
                 for the final request"
            )));
        }
        self.received.extend_from_slice(fresh);
        Ok(())
    }
}

/// A `Content-Range` of a request.
struct Range {
    /// `None` only asks.
    from: Option<usize>,
    total: Option<usize>,
}

impl Range {
    /// Without the header the body is everything.
    fn read(header: Option<&str>, length: usize) -> Result<Self, ApiError> {
        let Some(text) = header else {
            return Ok(Self {
                from: Some(0),
                total: Some(length),
            });
        };
        Self::parse(text, length).ok_or_else(|| ApiError::invalid("Failed to parse Content-Range header."))
    }

    fn parse(text: &str, length: usize) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let total = if total == "*" {
            None
        } else {
            Some(total.trim().parse().ok()?)
        };
        if range.trim() == "*" {
            return Some(Self { from: None, total });
        }
        let (from, to) = range.split_once('-')?;
        let (from, to): (usize, usize) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        let fits = to.checked_sub(from)?.checked_add(1)? == length && total.is_none_or(|total| to < total);
        fits.then_some(Self {
            from: Some(from),
            total,
        })
    }
}

fn incomplete(received: usize) -> Response<Bytes> {
    let mut response = bytes_response(308, "text/plain; charset=utf-8", Bytes::new());
    let range = received.checked_sub(1).map(|last| format!("bytes=0-{last}"));
    if let Some(Ok(value)) = range.map(|range| HeaderValue::from_str(&range)) {
        response.headers_mut().insert(header::RANGE, value);
    }
    response
}
