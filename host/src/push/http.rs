//! HTTP for Google's endpoints about push: no redirects, time limits, size limits, and errors that hold
//! neither a URL nor an answer's text.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, header, redirect::Policy};

/// How long one request may take, unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client,
}

/// A 2xx answer.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// Seconds that it may be kept (RFC 9111, 5.2.2.1), less its age.
    pub(super) max_age: Option<u64>,
}

/// Why there was no answer that means something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is over its limit")]
    OverLimit,
}

impl Http {
    pub(super) fn new() -> Result<Self, HttpError> {
        crate::tls::install();
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(failed)?;
        Ok(Self { client })
    }

    pub(super) fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url)
    }

    pub(super) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    /// Sends a request; at most `limit` bytes of a 2xx answer are read.
    pub(super) async fn send(&self, request: RequestBuilder, limit: usize) -> Result<Answer, HttpError> {
        let mut response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(HttpError::Status(response.status().as_u16()));
        }
        let max_age = max_age(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > limit {
                return Err(HttpError::OverLimit);
            }
        }
        Ok(Answer { body, max_age })
    }
}

fn max_age(headers: &header::HeaderMap) -> Option<u64> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
    };
    let control = text(header::CACHE_CONTROL)?.to_ascii_lowercase();
    let seconds: u64 = control
        .split(',')
        .find_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok())?;
    let age: u64 = text(header::AGE).and_then(|age| age.parse().ok()).unwrap_or(0);
    Some(seconds.saturating_sub(age))
}

fn failed(error: reqwest::Error) -> HttpError {
    HttpError::NoAnswer(error.without_url().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_max_age_is_read() {
        let mut headers = header::HeaderMap::new();
        assert_eq!(max_age(&headers), None);
        let control = "public, Max-Age=22000, must-revalidate".parse().unwrap();
        headers.insert(header::CACHE_CONTROL, control);
        assert_eq!(max_age(&headers), Some(22_000));
        headers.insert(header::AGE, "2000".parse().unwrap());
        assert_eq!(max_age(&headers), Some(20_000));
        headers.insert(header::CACHE_CONTROL, "no-store".parse().unwrap());
        assert_eq!(max_age(&headers), None);
    }
}
