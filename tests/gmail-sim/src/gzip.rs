//! Compressed bodies: what a client may send, and what Google sends to a client that asks for it.
//!
//! Google compresses for a client that accepts gzip and has the word in its User-Agent; requests may be gzip too.
//! Source: Gmail's performance guide.

use std::io::{Read as _, Write as _};

use axum::http::{HeaderMap, HeaderValue, Response, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::errors::ApiError;

/// The body of a request, decompressed to at most `limit` bytes if it is gzip.
pub(crate) fn inflate(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, ApiError> {
    let coding = headers.get(header::CONTENT_ENCODING);
    let gzip = coding
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("gzip"));
    if !gzip {
        return Ok(body);
    }
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(body.as_ref())
        .take(most)
        .read_to_end(&mut plain);
    match read {
        Ok(_) if plain.len() > limit => Err(ApiError::too_large(limit)),
        Ok(_) => Ok(Bytes::from(plain)),
        Err(_) => Err(ApiError::invalid("The request body is not valid gzip.")),
    }
}

/// Whether Google would compress for a client with these headers.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let says_gzip = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().contains("gzip"))
    };
    says_gzip(header::ACCEPT_ENCODING) && says_gzip(header::USER_AGENT)
}

/// Compresses an answer that has a body; says whether it did.
pub(crate) fn deflate(response: &mut Response<Bytes>) -> bool {
    if response.body().is_empty() || response.headers().contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let Ok(packed) = encoder.write_all(response.body()).and_then(|()| encoder.finish()) else {
        return false;
    };
    *response.body_mut() = Bytes::from(packed);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Origin, X-Origin, Referer, Accept-Encoding"),
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_within_the_limit() {
        let mut response = Response::new(Bytes::from(vec![b'x'; 10_000]));
        assert!(deflate(&mut response));
        let headers = response.headers().clone();
        let packed = response.into_body();
        assert!(packed.len() < 200);
        assert_eq!(inflate(&headers, packed.clone(), 10_000).unwrap().len(), 10_000);
        assert_eq!(inflate(&headers, packed.clone(), 9_999).unwrap_err().code, 413);
        assert_eq!(
            inflate(&headers, packed.slice(..20), 10_000).unwrap_err().code,
            400
        );
        assert_eq!(inflate(&HeaderMap::new(), packed.clone(), 1).unwrap(), packed);
    }
}
