//! HTTP for the provider's endpoints: no redirects, a time limit, a size limit, and errors that hold
//! neither a URL's query nor an answer's text.

use std::{pin::Pin, time::Duration};

use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// A client. Clones share their connections.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
}

/// Why there was no HTTP answer that means something.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("no answer")]
    Request(#[source] reqwest::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is over its limit")]
    OverLimit,
}

impl Http {
    pub(super) fn new() -> Result<Self, HttpError> {
        crate::tls::install();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(failed)?;
        Ok(Self { client })
    }

    /// Posts a form; only a 2xx is no error.
    pub(super) async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<(), HttpError> {
        let response = self.client.post(url).form(form).send().await.map_err(failed)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(HttpError::Status(status.as_u16())),
        }
    }

    /// Only 200 and 400 say something of a grant.
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self
            .client
            .execute(request.try_into().map_err(failed)?)
            .await
            .map_err(failed)?;
        let status = response.status();
        if ![200, 400].contains(&status.as_u16()) {
            return Err(HttpError::Status(status.as_u16()));
        }
        let mut answer = HttpResponse::new(Vec::new());
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            answer.body_mut().extend_from_slice(&chunk);
            if answer.body().len() > ANSWER_LIMIT {
                return Err(HttpError::OverLimit);
            }
        }
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

fn failed(error: reqwest::Error) -> HttpError {
    HttpError::Request(error.without_url())
}
