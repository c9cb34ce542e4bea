//! `[telemetry]`: the spans of [`crate::spans`] as traces of OpenTelemetry, sent to a collector (OTLP over HTTP).
//!
//! Only spans are sent, and of our own target alone: log lines stay on standard error. A collector that is
//! slow or away costs spans, never a pass: they wait in a queue of limited length.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use async_trait::async_trait;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use url::{Host, Url};

use super::{config::read_small, failure::Failure};
use crate::spans::TARGET;

/// How long the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the program waits at its end for what is still to be sent.
const LAST: Duration = Duration::from_secs(5);
/// The longest answer of a collector that is read, bytes. It says which spans it refused.
const ANSWER: usize = 64 << 10;

/// Where traces go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    /// The whole address, such as `http://127.0.0.1:4318/v1/traces`.
    endpoint: Url,
    #[serde(default)]
    protocol: Encoding,
    /// A header that the collector wants, such as `authorization`.
    header: Option<String>,
    /// A file that holds the header's value and nothing else.
    pub(super) header_file: Option<PathBuf>,
}

/// How spans are encoded.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Encoding {
    #[default]
    #[serde(rename = "http/protobuf")]
    Protobuf,
    #[serde(rename = "http/json")]
    Json,
}

impl Telemetry {
    /// Begins to collect; within a runtime of tokio.
    pub(super) fn start(&self) -> Result<Traces, Failure> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new().map_err(wrong)?)
            .with_endpoint(self.endpoint.as_str())
            .with_protocol(match self.protocol {
                Encoding::Protobuf => Protocol::HttpBinary,
                Encoding::Json => Protocol::HttpJson,
            })
            .with_timeout(PATIENCE)
            .with_headers(self.headers()?)
            .build()
            .map_err(wrong)?;
        let resource = Resource::builder()
            .with_service_name("twinbox")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Traces(provider))
    }

    fn headers(&self) -> Result<HashMap<String, String>, Failure> {
        let (name, file) = match (&self.header, &self.header_file) {
            (Some(name), Some(file)) => (name, file),
            (None, None) => return Ok(HashMap::new()),
            _ => return Err(wrong("header and header_file go together")),
        };
        if self.endpoint.scheme() != "https" && !is_loopback(&self.endpoint) {
            return Err(wrong("a header from a file is not sent without TLS"));
        }
        let value = read_small(file).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
        Ok(HashMap::from([(name.clone(), value.trim().to_owned())]))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::configuration(
        format!("[telemetry]: {error}"),
        "The README's section on traces shows the whole table [telemetry].",
    )
}

/// Traces under way. What is not sent yet is sent by [`finish`](Self::finish).
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// What takes the spans in.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("twinbox"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && metadata.target() == TARGET
            }))
    }

    /// Sends what is left, for five seconds at most.
    pub(super) async fn finish(self) {
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// The exporter works on a thread of its own; its requests are made where the rest of the program's are.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

impl Client {
    fn new() -> Result<Self, reqwest::Error> {
        crate::tls::install();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        Ok(Self {
            client,
            runtime: tokio::runtime::Handle::current(),
        })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        self.runtime
            .spawn(async move { read(client.execute(request).await?).await })
            .await?
    }
}

async fn read(mut answer: reqwest::Response) -> Result<Response<Bytes>, HttpError> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if body.len() + part.len() > ANSWER {
            return Err("the collector's answer is too long".into());
        }
        body.extend_from_slice(&part);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    std::mem::swap(response.headers_mut(), answer.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests;
